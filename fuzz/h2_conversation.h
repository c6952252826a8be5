// HTTP/2 as a client sends it, from a fuzzer's instructions: frames whose lengths hold, and whole gRPC
// requests, which random bytes alone seldom make.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "fuzz/input.h"

namespace quorate::fuzz {

constexpr std::string_view kH2Preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

enum H2Frame : uint8_t { kData = 0, kHeaders = 1, kSettings = 4, kWindowUpdate = 8 };
constexpr uint8_t kEndStream = 1;
constexpr uint8_t kEndHeaders = 4;

inline void AppendH2Frame(std::string& out, uint8_t type, uint8_t flags, uint32_t stream,
                          std::string_view payload) {
  const size_t n = payload.size();
  for (const size_t byte : {n >> 16, n >> 8, n, size_t{type}, size_t{flags}, size_t{stream >> 24},
                            size_t{stream >> 16}, size_t{stream >> 8}, size_t{stream}}) {
    out.push_back(static_cast<char>(byte));
  }
  out.append(payload);
}

// HPACK: a literal that enters no table. Names and values below 127 bytes.
inline void AppendHpack(std::string& out, std::string_view name, std::string_view value) {
  out.push_back('\0');
  out.push_back(static_cast<char>(name.size()));
  out.append(name);
  out.push_back(static_cast<char>(value.size()));
  out.append(value);
}

constexpr std::array<std::string_view, 8> kH2Paths = {"/t.T/Echo", "/t.T/Stream", "/t.T/Wait",  "/t.T/Source",
                                                      "/t.T/None", "/page?a=b",   "/page/wait", "/page/long"};

inline void AppendH2Request(std::string& out, uint32_t stream, uint8_t choice, bool end) {
  const std::string_view path = kH2Paths[choice % kH2Paths.size()];
  const bool plain = path.starts_with("/page");
  std::string block;
  AppendHpack(block, ":method", plain && end ? "GET" : "POST");
  AppendHpack(block, ":scheme", "http");
  AppendHpack(block, ":path", path);
  AppendHpack(block, ":authority", "h");
  if (!plain) AppendHpack(block, "content-type", "application/grpc");
  if (!plain) AppendHpack(block, "te", "trailers");
  if ((choice & 0x40) != 0) AppendHpack(block, "grpc-encoding", "gzip");
  if ((choice & 0x80) != 0) AppendHpack(block, "grpc-timeout", "1n");
  AppendH2Frame(out, kHeaders, end ? kEndStream | kEndHeaders : kEndHeaders, stream, block);
}

// One instruction appended to `out`.
inline void AppendH2Instruction(std::string& out, Input& input) {
  const uint8_t op = input.Byte();
  const bool flag = (op & 0x80) != 0;
  switch (op % 16) {
    case 11:
      AppendH2Request(out, input.Byte(), input.Byte(), flag);
      return;
    case 12: {  // A gRPC message.
      const uint32_t stream = input.Byte();
      const std::string_view message = input.Bytes(input.Byte());
      std::string body(4, '\0');
      body[0] = (op & 0x40) != 0 ? 1 : 0;
      body.push_back(static_cast<char>(message.size()));
      AppendH2Frame(out, kData, flag ? kEndStream : 0, stream, body.append(message));
      return;
    }
    case 13: {  // A long body of one byte.
      const uint32_t stream = input.Byte();
      AppendH2Frame(out, kData, flag ? kEndStream : 0, stream, std::string(input.Byte() * 64, '\0'));
      return;
    }
    case 14:
      AppendH2Frame(out, kWindowUpdate, 0, input.Byte(), std::string_view("\0\x0f\0\0", 4));
      return;
    case 15:
      out.append(input.Bytes(input.Byte()));
      return;
    default: {
      const uint8_t flags = input.Byte();
      const uint32_t stream = input.Byte();
      AppendH2Frame(out, op % 16, flags, stream, input.Bytes(input.Byte()));
      return;
    }
  }
}

}  // namespace quorate::fuzz
