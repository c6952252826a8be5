// The seed of a random test: QUORATE_TEST_SEED when set, so that a failure can be run again; else the given
// one, or a new one, which is printed.
#pragma once

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <random>

namespace quorate {

inline uint64_t TestSeed(uint64_t otherwise) {
  const char* text = std::getenv("QUORATE_TEST_SEED");
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 0);
}

inline uint64_t TestSeed() {
  const uint64_t seed = TestSeed(std::random_device()());
  std::printf("QUORATE_TEST_SEED=%llu\n", static_cast<unsigned long long>(seed));
  return seed;
}

}  // namespace quorate
