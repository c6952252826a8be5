// The frame around each WAL record (etcd: wal/encoder.go, decoder.go):
//   8 bytes little-endian: bits 0-55 length N of the record, bit 63 set when padded, bits 56-58 number of pad
//   bytes N bytes record, then zeros until N + pad is a multiple of 8
// A length field of 0 is the end of the used part of a segment.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace quorate::wal {

constexpr size_t kFrameFieldBytes = 8;
constexpr uint64_t kFrameLengthMask = (uint64_t{1} << 56) - 1;
// Damage is taken for a torn write only where a whole sector of this size is zero (or the file ends).
constexpr size_t kSectorBytes = 512;
// etcd 3.4 refuses longer records; so a length above it that also runs over the end of the file can't be one
// that a crash cut short.
constexpr uint64_t kTornRecordBytesMax = 10 * 1024 * 1024;

inline bool AllZero(std::string_view bytes) {
  return bytes.empty() ||
         (bytes[0] == '\0' && std::memcmp(bytes.data(), bytes.data() + 1, bytes.size() - 1) == 0);
}

constexpr size_t FramePadding(size_t record_bytes) { return (8 - record_bytes % 8) % 8; }

constexpr uint64_t FrameField(size_t record_bytes) {
  const uint64_t pad = FramePadding(record_bytes);
  return pad == 0 ? record_bytes : record_bytes | (0x80 | pad) << 56;
}

struct FrameSize {
  uint64_t record_bytes;
  uint64_t pad_bytes;
};

constexpr FrameSize ParseFrameField(uint64_t field) {
  return {field & kFrameLengthMask, field >> 63 != 0 ? field >> 56 & 7 : 0};
}

static_assert(FrameField(16) == 16);
static_assert(ParseFrameField(FrameField(13)).record_bytes == 13 &&
              ParseFrameField(FrameField(13)).pad_bytes == 3);

}  // namespace quorate::wal
