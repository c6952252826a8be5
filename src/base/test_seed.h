// The seed of a random test: QUORATE_TEST_SEED when set, so that a failure can be run again; else the given
// one.
#pragma once

#include <cstdint>
#include <cstdlib>

namespace quorate {

inline uint64_t TestSeed(uint64_t otherwise) {
  const char* text = std::getenv("QUORATE_TEST_SEED");
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 0);
}

}  // namespace quorate
