#include "base/wire.h"

#include <gtest/gtest.h>

#include <string>

#include "base/endian.h"
#include "base/env_sim.h"
#include "base/test_seed.h"

namespace quorate {
namespace {

TEST(Wire, VarintsComeBackAndHaveTheSizeForetold) {
  for (int shift = 0; shift < 64; ++shift) {
    for (const uint64_t v : {(uint64_t{1} << shift) - 1, uint64_t{1} << shift, ~uint64_t{0} >> shift}) {
      std::string out;
      wire::AppendVarintField(out, 7, v);
      EXPECT_EQ(out.size(), wire::VarintFieldSize(7, v));
      wire::Reader reader(out);
      ASSERT_TRUE(reader.Next());
      EXPECT_TRUE(reader.Is(7, wire::Type::kVarint));
      EXPECT_EQ(reader.varint(), v);
      EXPECT_FALSE(reader.Next());
      EXPECT_TRUE(reader.ok());
    }
  }
}

TEST(Wire, FieldsOfEachType) {
  std::string out;
  wire::AppendVarintField(out, 1, static_cast<uint64_t>(int64_t{-3}));
  wire::AppendBytesField(out, 2000, "abc");
  wire::AppendVarint(out, wire::Tag(3, wire::Type::kFixed32));
  out.append("\x01\x02\x03\x04", 4);
  wire::AppendVarint(out, wire::Tag(4, wire::Type::kFixed64));
  out.append("\x01\x00\x00\x00\x00\x00\x00\x80", 8);
  wire::AppendVarintFieldNonZero(out, 5, 0);
  wire::AppendBytesFieldNonEmpty(out, 6, "");
  wire::AppendBytesField(out, 6, "");
  wire::Reader reader(out);
  ASSERT_TRUE(reader.Next());
  EXPECT_EQ(reader.int64(), -3);
  ASSERT_TRUE(reader.Next());
  EXPECT_TRUE(reader.Is(2000, wire::Type::kBytes));
  EXPECT_EQ(reader.bytes(), "abc");
  ASSERT_TRUE(reader.Next());
  EXPECT_EQ(reader.varint(), 0x04030201u);
  ASSERT_TRUE(reader.Next());
  EXPECT_EQ(reader.varint(), 0x8000000000000001u);
  ASSERT_TRUE(reader.Next());
  EXPECT_TRUE(reader.Is(6, wire::Type::kBytes));
  EXPECT_FALSE(reader.Next());
  EXPECT_TRUE(reader.ok());
}

TEST(Wire, MalformedInputIsRefused) {
  const std::string cases[] = {
      std::string("\x00\x01", 2),                 // Field 0.
      std::string("\x08", 1),                     // No value.
      std::string("\x08\x80", 2),                 // A varint cut short.
      "\x08" + std::string(10, '\x80') + "\x01",  // A varint of 11 bytes.
      "\x08" + std::string(9, '\xff') + "\x02",   // A varint above 64 bits.
      std::string("\x0a\x05"
                  "abcd",
                  6),                            // More bytes announced than there are.
      "\x0a" + std::string(9, '\xff') + "\x01",  // A length of 2^64-1.
      std::string("\x0d\x01\x02\x03", 4),        // A short fixed32.
      std::string("\x0b\x0c", 2),                // A group.
      std::string("\x0e", 1),                    // Wire type 6.
  };
  for (const std::string& in : cases) {
    wire::Reader reader(in);
    while (reader.Next()) {
    }
    EXPECT_FALSE(reader.ok()) << testing::PrintToString(in);
  }
}

TEST(Wire, GarbageNeverReadsBeyondTheEnd) {
  const uint64_t seed = TestSeed(2);
  SCOPED_TRACE(seed);
  SeededRandom random(seed);
  for (int i = 0; i < 20'000; ++i) {
    std::string in(random.Below(40), '\0');
    for (char& c : in) c = static_cast<char>(random.Below(4) == 0 ? random.Next() : random.Below(32));
    const auto heap = std::make_unique<char[]>(in.size());  // So that the sanitizer knows the end.
    std::memcpy(heap.get(), in.data(), in.size());
    wire::Reader reader({heap.get(), in.size()});
    size_t fields = 0;
    while (reader.Next()) {
      ++fields;
      if (reader.type() == wire::Type::kBytes && !reader.bytes().empty()) {
        ASSERT_GE(reader.bytes().data(), heap.get());
        ASSERT_LE(reader.bytes().data() + reader.bytes().size(), heap.get() + in.size());
      }
    }
    ASSERT_LE(fields, in.size());
  }
}

TEST(Endian, BytesInOrder) {
  char b[8];
  StoreBig64(b, 0x0102030405060708);
  EXPECT_EQ(std::string(b, 8), std::string("\x01\x02\x03\x04\x05\x06\x07\x08"));
  EXPECT_EQ(LoadBig64(b), 0x0102030405060708u);
  EXPECT_EQ(LoadLittle<uint32_t>(b), 0x04030201u);
  EXPECT_EQ(LoadBig32(b), 0x01020304u);
}

}  // namespace
}  // namespace quorate
