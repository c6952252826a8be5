// Sizes as etcd's tools print them.
#pragma once

#include <cstdint>
#include <string>

namespace quorate::cmd {

// "0 B", "57 kB", "1.2 MB": powers of 1000, a decimal below ten. Source: github.com/dustin/go-humanize,
// Bytes.
std::string HumanBytes(uint64_t bytes);

}  // namespace quorate::cmd
