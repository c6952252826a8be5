// The bytes of one run, taken from the front. What is missing is zero or empty, so every input means
// something.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/logging.h"

namespace quorate::fuzz {

class Input {
 public:
  Input(const uint8_t* data, size_t size) : rest_(reinterpret_cast<const char*>(data), size) {}

  bool empty() const { return rest_.empty(); }
  uint8_t Byte() {
    const std::string_view byte = Bytes(1);
    return byte.empty() ? 0 : static_cast<uint8_t>(byte[0]);
  }
  // Little-endian.
  uint16_t Short() {
    const uint16_t low = Byte();
    return static_cast<uint16_t>(low | Byte() << 8);
  }
  // At most `count`.
  std::string_view Bytes(size_t count) {
    const std::string_view bytes = rest_.substr(0, count);
    rest_.remove_prefix(bytes.size());
    return bytes;
  }
  std::string_view Rest() { return Bytes(rest_.size()); }

 private:
  std::string_view rest_;
};

// Log lines about damaged input would be all that a run prints.
inline void KeepQuiet() {
  static const bool quiet = [] {
    log::Config config;
    config.level = log::Level::kFatal;
    std::string error;
    return log::Configure(config, &error);
  }();
  static_cast<void>(quiet);
}

}  // namespace quorate::fuzz
