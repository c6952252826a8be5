// The seed of a random test: printed, and replayed by QUORATE_TEST_SEED.
#pragma once

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <random>

namespace quorate::mvcc {

inline uint64_t TestSeed() {
  const char* given = std::getenv("QUORATE_TEST_SEED");
  const uint64_t seed = given != nullptr ? std::strtoull(given, nullptr, 10) : std::random_device()();
  std::printf("QUORATE_TEST_SEED=%llu\n", static_cast<unsigned long long>(seed));
  return seed;
}

}  // namespace quorate::mvcc
