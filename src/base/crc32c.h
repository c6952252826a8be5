// CRC-32C (Castagnoli, reflected polynomial 0x82F63B78), with the processor's instruction where it has one.
#pragma once

#include <cstdint>
#include <string_view>

namespace quorate::crc32c {

// The checksum of A followed by `data`, where `crc` is the checksum of A (0 for nothing): Go's crc32.Update.
uint32_t Extend(uint32_t crc, std::string_view data);
// The same by tables alone: what processors without the instruction run.
uint32_t ExtendPortable(uint32_t crc, std::string_view data);
inline uint32_t Value(std::string_view data) { return Extend(0, data); }

}  // namespace quorate::crc32c
