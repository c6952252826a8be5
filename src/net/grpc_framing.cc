#include "net/grpc_framing.h"

#include <malloc.h>
#include <zlib.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <limits>

#include "base/check.h"
#include "base/wipe.h"

namespace quorate::net {
namespace {

// Of a stream's buffer, while it is empty.
constexpr size_t kKeepBytes = 4096;
constexpr char kHexUpper[] = "0123456789ABCDEF";
constexpr char kHexLower[] = "0123456789abcdef";

uint32_t ReadLength(const char* header) {
  uint32_t length = 0;
  for (int i = 1; i <= 4; ++i) length = length << 8 | static_cast<uint8_t>(header[i]);
  return length;
}

}  // namespace

std::string AnswerTooLarge(size_t size) {
  return "grpc: trying to send message larger than max (" + std::to_string(size) + " vs. " +
         std::to_string(kAnswerBytesMax) + ")";
}

void WriteMessageHeader(char* out, size_t size) {
  QUORATE_CHECK(size <= kAnswerBytesMax);
  out[0] = 0;
  for (int i = 0; i < 4; ++i) out[1 + i] = static_cast<char>(size >> (24 - 8 * i));
}

void MessageReader::Reset(bool gzip) {
  gzip_ = gzip;
  given_out_ = 0;
  buffer_.Clear();
  error_.code = Code::kOk;
}

MessageReader::Result MessageReader::Refuse(Code code, std::string message) {
  error_ = {code, std::move(message)};
  buffer_.Recycle(0);
  return Result::kError;
}

size_t MessageReader::FrameBytes(const char* header, size_t message_bytes_max) {
  const size_t length = ReadLength(header);
  if (length > message_bytes_max) {
    Refuse(Code::kResourceExhausted, "grpc: received message larger than max (" + std::to_string(length) +
                                         " vs. " + std::to_string(message_bytes_max) + ")");
    return 0;
  }
  return kMessageHeaderBytes + length;
}

MessageReader::Result MessageReader::Next(std::string_view* input, size_t message_bytes_max,
                                          std::string* scratch, std::string_view* message) {
  if (given_out_ > 0) {
    buffer_.Consume(given_out_);
    given_out_ = 0;
    // A stream may stay for ever, and say nothing large again.
    if (buffer_.empty()) buffer_.Recycle(kKeepBytes);
  }
  if (buffer_.empty() && input->size() >= kMessageHeaderBytes) {
    const size_t frame = FrameBytes(input->data(), message_bytes_max);
    if (frame == 0) return Result::kError;
    if (input->size() >= frame) {
      const std::string_view whole = input->substr(0, frame);
      input->remove_prefix(frame);
      return Open(whole, message_bytes_max, scratch, message);
    }
  }
  if (buffer_.size() < kMessageHeaderBytes) {
    const size_t n = std::min(kMessageHeaderBytes - buffer_.size(), input->size());
    buffer_.Append(input->substr(0, n));
    input->remove_prefix(n);
    if (buffer_.size() < kMessageHeaderBytes) return Result::kNeedMore;
  }
  const size_t frame = FrameBytes(buffer_.data(), message_bytes_max);
  if (frame == 0) return Result::kError;
  const size_t n = std::min(frame - buffer_.size(), input->size());
  buffer_.Append(input->substr(0, n));
  input->remove_prefix(n);
  if (buffer_.size() < frame) return Result::kNeedMore;
  given_out_ = frame;
  return Open(buffer_.view(), message_bytes_max, scratch, message);
}

MessageReader::Result MessageReader::Open(std::string_view frame, size_t message_bytes_max,
                                          std::string* scratch, std::string_view* message) {
  const std::string_view payload = frame.substr(kMessageHeaderBytes);
  const auto flag = static_cast<uint8_t>(frame[0]);
  if (flag == 0) {
    *message = payload;
    return Result::kMessage;
  }
  if (flag != 1) {
    return Refuse(Code::kInternal, "grpc: received unexpected payload format " + std::to_string(flag));
  }
  if (!gzip_) return Refuse(Code::kInternal, "grpc: compressed flag set with identity or empty encoding");
  switch (Gunzip(payload, message_bytes_max, scratch)) {
    case GunzipResult::kOk:
      *message = *scratch;
      return Result::kMessage;
    case GunzipResult::kCorrupt:
      return Refuse(Code::kInternal, "grpc: failed to decompress the received message: gzip: invalid data");
    case GunzipResult::kTooLarge:
      return Refuse(Code::kResourceExhausted, "grpc: received message after decompression larger than max " +
                                                  std::to_string(message_bytes_max));
  }
  return Result::kError;
}

GunzipResult Gunzip(std::string_view in, size_t max, std::string* out) {
  constexpr int kGzipOnly = 15 + 16;  // inflateInit2: the largest window, gzip header required.
  constexpr size_t kChunk = 64 * 1024;
  out->clear();
  z_stream z{};
  // Its window is a copy of what was decompressed.
  z.zalloc = [](void*, uInt count, uInt size) { return std::calloc(count, size); };
  z.zfree = [](void*, void* block) {
    Wipe(block, ::malloc_usable_size(block));
    std::free(block);
  };
  if (inflateInit2(&z, kGzipOnly) != Z_OK) return GunzipResult::kCorrupt;
  z.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(in.data()));
  z.avail_in = static_cast<uInt>(in.size());
  GunzipResult result = GunzipResult::kCorrupt;
  for (;;) {
    const size_t used = out->size();
    // One byte more than allowed tells "exactly max" from "more than max".
    const size_t room = std::min(kChunk, max + 1 - used);
    ReserveWiping(out, used + room);
    out->resize(used + room);
    z.next_out = reinterpret_cast<Bytef*>(out->data() + used);
    z.avail_out = static_cast<uInt>(room);
    const int rc = inflate(&z, Z_NO_FLUSH);
    out->resize(used + room - z.avail_out);
    if (out->size() > max) {
      result = GunzipResult::kTooLarge;
      break;
    }
    if (rc == Z_STREAM_END) {
      if (z.avail_in == 0) {
        result = GunzipResult::kOk;
        break;
      }
      if (inflateReset(&z) != Z_OK) break;
    } else if (rc != Z_OK || (z.avail_in == 0 && z.avail_out > 0)) {
      break;  // Damaged, or cut short.
    }
  }
  inflateEnd(&z);
  return result;
}

std::optional<int64_t> ParseGrpcTimeout(std::string_view s) {
  constexpr size_t kDigitsMax = 8;
  if (s.size() < 2 || s.size() > kDigitsMax + 1) return std::nullopt;
  int64_t value = 0;
  for (const char c : s.substr(0, s.size() - 1)) {
    if (c < '0' || c > '9') return std::nullopt;
    value = value * 10 + (c - '0');
  }
  int64_t unit = 0;
  switch (s.back()) {
    case 'H':
      unit = int64_t{3600} * 1'000'000'000;
      break;
    case 'M':
      unit = int64_t{60} * 1'000'000'000;
      break;
    case 'S':
      unit = 1'000'000'000;
      break;
    case 'm':
      unit = 1'000'000;
      break;
    case 'u':
      unit = 1'000;
      break;
    case 'n':
      unit = 1;
      break;
    default:
      return std::nullopt;
  }
  constexpr int64_t kMax = std::numeric_limits<int64_t>::max() / 2;
  return value > kMax / unit ? kMax : value * unit;
}

std::string EncodeGrpcMessage(std::string_view s) {
  std::string out;
  out.reserve(s.size());
  for (const char c : s) {
    if (c >= ' ' && c <= '~' && c != '%') {
      out.push_back(c);
    } else {
      const auto byte = static_cast<uint8_t>(c);
      out.push_back('%');
      out.push_back(kHexUpper[byte >> 4]);
      out.push_back(kHexUpper[byte & 15]);
    }
  }
  return out;
}

std::string GoQuote(std::string_view s) {
  std::string out = "\"";
  for (const char c : s) {
    if (c == '"' || c == '\\') {
      out.push_back('\\');
      out.push_back(c);
    } else if (c >= ' ' && c <= '~') {
      out.push_back(c);
    } else {
      const auto byte = static_cast<uint8_t>(c);
      out += "\\x";
      out.push_back(kHexLower[byte >> 4]);
      out.push_back(kHexLower[byte & 15]);
    }
  }
  out.push_back('"');
  return out;
}

}  // namespace quorate::net
