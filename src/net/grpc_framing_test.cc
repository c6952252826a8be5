#include "net/grpc_framing.h"

#include <gtest/gtest.h>
#include <zlib.h>

#include <cstdlib>
#include <limits>
#include <random>
#include <string>
#include <vector>

namespace quorate::net {
namespace {

std::string Gzip(std::string_view in) {
  z_stream z{};
  EXPECT_EQ(Z_OK, deflateInit2(&z, Z_DEFAULT_COMPRESSION, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY));
  std::string out(deflateBound(&z, in.size()) + 64, '\0');
  z.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(in.data()));
  z.avail_in = static_cast<uInt>(in.size());
  z.next_out = reinterpret_cast<Bytef*>(out.data());
  z.avail_out = static_cast<uInt>(out.size());
  EXPECT_EQ(Z_STREAM_END, deflate(&z, Z_FINISH));
  out.resize(z.total_out);
  deflateEnd(&z);
  return out;
}

std::string Framed(std::string_view message, char flag = 0) {
  std::string frame(kMessageHeaderBytes, '\0');
  WriteMessageHeader(frame.data(), message.size());
  frame[0] = flag;
  return frame.append(message);
}

TEST(MessageReader, FindsTheMessagesHoweverTheBytesAreSplit) {
  const char* env = std::getenv("QUORATE_TEST_SEED");
  const uint64_t seed = env != nullptr ? std::strtoull(env, nullptr, 10) : std::random_device{}();
  SCOPED_TRACE("QUORATE_TEST_SEED=" + std::to_string(seed));
  std::mt19937_64 random(seed);
  for (int round = 0; round < 300; ++round) {
    std::vector<std::string> messages;
    std::string wire;
    for (uint64_t n = random() % 6; n > 0; --n) {
      std::string message(random() % 40, '\0');
      for (char& c : message) c = static_cast<char>(random());
      const bool compressed = random() % 3 == 0;
      wire += compressed ? Framed(Gzip(message), 1) : Framed(message);
      messages.push_back(std::move(message));
    }
    MessageReader reader;
    reader.Reset(true);
    std::string scratch;
    std::vector<std::string> got;
    for (size_t at = 0; at < wire.size();) {
      const size_t n = std::min<size_t>(1 + random() % 12, wire.size() - at);
      const std::string piece = wire.substr(at, n);  // A copy: the reader must not keep views of it.
      std::string_view input = piece;
      std::string_view message;
      MessageReader::Result result;
      while ((result = reader.Next(&input, 1000, &scratch, &message)) == MessageReader::Result::kMessage) {
        got.emplace_back(message);
      }
      ASSERT_EQ(MessageReader::Result::kNeedMore, result);
      ASSERT_TRUE(input.empty());
      at += n;
    }
    ASSERT_EQ(messages, got);
  }
}

TEST(MessageReader, RefusesWhatGrpcGoRefuses) {
  struct Case {
    std::string input;
    bool gzip;
    Code code;
    std::string text;
  };
  const std::string bomb = Framed(Gzip(std::string(5000, 'a')), 1);
  const std::string cut = Gzip(std::string(90, 'a'));
  const Case cases[] = {
      {Framed(std::string(101, 'x')), false, Code::kResourceExhausted,
       "grpc: received message larger than max (101 vs. 100)"},
      {std::string("\0\xff\xff\xff\xff", 5), false, Code::kResourceExhausted,
       "grpc: received message larger than max (4294967295 vs. 100)"},
      {Framed("x", 2), false, Code::kInternal, "grpc: received unexpected payload format 2"},
      {Framed("x", 1), false, Code::kInternal, "grpc: compressed flag set with identity or empty encoding"},
      {Framed("not gzip", 1), true, Code::kInternal,
       "grpc: failed to decompress the received message: gzip: invalid data"},
      {Framed(cut.substr(0, cut.size() - 9), 1), true, Code::kInternal,
       "grpc: failed to decompress the received message: gzip: invalid data"},
      {Framed("", 1), true, Code::kInternal,
       "grpc: failed to decompress the received message: gzip: invalid data"},
      {bomb, true, Code::kResourceExhausted,
       "grpc: received message after decompression larger than max 100"},
  };
  for (const Case& c : cases) {
    for (const size_t step : {size_t{1}, c.input.size()}) {
      MessageReader reader;
      reader.Reset(c.gzip);
      std::string scratch;
      MessageReader::Result result = MessageReader::Result::kNeedMore;
      for (size_t at = 0; at < c.input.size() && result == MessageReader::Result::kNeedMore; at += step) {
        std::string_view input = std::string_view(c.input).substr(at, step);
        std::string_view message;
        result = reader.Next(&input, 100, &scratch, &message);
      }
      ASSERT_EQ(MessageReader::Result::kError, result) << c.text;
      EXPECT_EQ(c.code, reader.error().code);
      EXPECT_EQ(c.text, reader.error().message);
    }
  }
}

TEST(Gunzip, LimitIsExactAndMembersAreJoined) {
  std::string out;
  const std::string text(1000, 'q');
  EXPECT_EQ(GunzipResult::kOk, Gunzip(Gzip(text), 1000, &out));
  EXPECT_EQ(text, out);
  EXPECT_EQ(GunzipResult::kTooLarge, Gunzip(Gzip(text), 999, &out));
  EXPECT_EQ(GunzipResult::kOk, Gunzip(Gzip("ab") + Gzip("cd"), 1000, &out));
  EXPECT_EQ("abcd", out);
  EXPECT_EQ(GunzipResult::kOk, Gunzip(Gzip(""), 0, &out));
  EXPECT_EQ("", out);
}

TEST(GrpcTimeout, Parses) {
  EXPECT_EQ(1'000'000, ParseGrpcTimeout("1m"));
  EXPECT_EQ(0, ParseGrpcTimeout("0n"));
  EXPECT_EQ(5'000, ParseGrpcTimeout("5u"));
  EXPECT_EQ(int64_t{99'999'999} * 1'000'000'000, ParseGrpcTimeout("99999999S"));
  EXPECT_EQ(int64_t{2 * 60} * 1'000'000'000, ParseGrpcTimeout("2M"));
  EXPECT_EQ(std::numeric_limits<int64_t>::max() / 2, ParseGrpcTimeout("99999999H"));
  for (const char* bad : {"", "S", "1", "1s", "-1S", "1 S", "123456789S", "1.5S", "+1S"}) {
    EXPECT_EQ(std::nullopt, ParseGrpcTimeout(bad)) << bad;
  }
}

TEST(GrpcMessage, IsPercentEncoded) {
  EXPECT_EQ("etcdserver: key not found", EncodeGrpcMessage("etcdserver: key not found"));
  EXPECT_EQ("100%25 %C3%A4%0A", EncodeGrpcMessage("100% \xc3\xa4\n"));
  EXPECT_EQ("\"a\\\"b\\\\\\x01\"", GoQuote("a\"b\\\x01"));
}

}  // namespace
}  // namespace quorate::net
