#include "base/crc32c.h"

#include <gtest/gtest.h>

#include <string>

#include "base/env_sim.h"
#include "base/test_seed.h"

namespace quorate {
namespace {

// RFC 3720, B.4, and the check value of the catalogue of parametrised CRC algorithms.
TEST(Crc32c, KnownValues) {
  std::string rising;
  for (int i = 0; i < 32; ++i) rising += static_cast<char>(i);
  const struct {
    std::string data;
    uint32_t crc;
  } cases[] = {
      {"", 0},
      {"123456789", 0xe3069283},
      {std::string(32, '\0'), 0x8a9136aa},
      {std::string(32, '\xff'), 0x62a8ab43},
      {rising, 0x46dd794e},
  };
  for (const auto& c : cases) {
    EXPECT_EQ(crc32c::Value(c.data), c.crc);
    EXPECT_EQ(crc32c::ExtendPortable(0, c.data), c.crc);
  }
}

TEST(Crc32c, InstructionAndTablesAgreeOnAllLengthsAndCuts) {
  const uint64_t seed = TestSeed(1);
  SCOPED_TRACE(seed);
  SeededRandom random(seed);
  std::string data(60'000, '\0');
  for (char& c : data) c = static_cast<char>(random.Next());
  for (int i = 0; i < 300; ++i) {
    const size_t length = i < 40 ? static_cast<size_t>(i) : random.Below(data.size());
    const std::string_view part =
        std::string_view(data).substr(random.Below(data.size() - length + 1), length);
    const auto start = static_cast<uint32_t>(random.Next());
    const uint32_t expected = crc32c::ExtendPortable(start, part);
    ASSERT_EQ(crc32c::Extend(start, part), expected) << length;
    const size_t cut = random.Below(length + 1);
    ASSERT_EQ(crc32c::Extend(crc32c::Extend(start, part.substr(0, cut)), part.substr(cut)), expected);
  }
}

}  // namespace
}  // namespace quorate
