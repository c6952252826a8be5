// The instruction has a latency of three cycles and starts one per cycle, so long inputs are cut into three
// streams whose checksums are joined by "append n zero bytes" tables (Mark Adler's method,
// https://stackoverflow.com/a/17646775).
#include "base/crc32c.h"

#include <array>
#include <cstddef>

#include "base/endian.h"

#if defined(__x86_64__)
#include <nmmintrin.h>
#endif

namespace quorate::crc32c {
namespace {

constexpr uint32_t kPolynomial = 0x82f63b78;  // Frozen.

using SliceTables = std::array<std::array<uint32_t, 256>, 8>;

constexpr SliceTables MakeSliceTables() {
  SliceTables t{};
  for (uint32_t n = 0; n < 256; ++n) {
    uint32_t crc = n;
    for (int k = 0; k < 8; ++k) crc = crc & 1 ? crc >> 1 ^ kPolynomial : crc >> 1;
    t[0][n] = crc;
  }
  for (size_t n = 0; n < 256; ++n) {
    for (size_t k = 1; k < 8; ++k) t[k][n] = t[k - 1][n] >> 8 ^ t[0][t[k - 1][n] & 0xff];
  }
  return t;
}

constexpr SliceTables kSlices = MakeSliceTables();

// Both take and return the register, which is the complement of the checksum.
uint32_t ExtendTable(uint32_t crc, const char* p, size_t n) {
  for (; n >= 8; p += 8, n -= 8) {
    const uint64_t v = LoadLittle<uint64_t>(p) ^ crc;
    crc = 0;
    for (size_t i = 0; i < 8; ++i) crc ^= kSlices[7 - i][v >> (8 * i) & 0xff];
  }
  for (; n > 0; ++p, --n) crc = crc >> 8 ^ kSlices[0][(crc ^ static_cast<uint8_t>(*p)) & 0xff];
  return crc;
}

#if defined(__x86_64__)

constexpr size_t kStreamLong = 4096;
constexpr size_t kStreamShort = 256;

// Applies "append n zero bytes" to a register, a byte of it at a time.
using ZerosTable = std::array<std::array<uint32_t, 256>, 4>;

ZerosTable MakeZerosTable(size_t zeros) {
  // The operator is linear: its value on each single bit gives all of it.
  std::array<uint32_t, 32> bit{};
  for (size_t i = 0; i < 32; ++i) {
    uint32_t crc = uint32_t{1} << i;
    for (size_t n = 0; n < zeros; ++n) crc = crc >> 8 ^ kSlices[0][crc & 0xff];
    bit[i] = crc;
  }
  ZerosTable t{};
  for (size_t k = 0; k < 4; ++k) {
    for (size_t n = 0; n < 256; ++n) {
      for (size_t b = 0; b < 8; ++b) {
        if (n >> b & 1) t[k][n] ^= bit[8 * k + b];
      }
    }
  }
  return t;
}

uint32_t AppendZeros(const ZerosTable& t, uint32_t crc) {
  return t[0][crc & 0xff] ^ t[1][crc >> 8 & 0xff] ^ t[2][crc >> 16 & 0xff] ^ t[3][crc >> 24];
}

__attribute__((target("sse4.2"))) uint32_t ThreeStreams(uint32_t crc, const char* p, size_t stream,
                                                        const ZerosTable& zeros) {
  uint64_t a = crc;
  uint64_t b = 0;
  uint64_t c = 0;
  for (const char* end = p + stream; p < end; p += 8) {
    a = _mm_crc32_u64(a, LoadLittle<uint64_t>(p));
    b = _mm_crc32_u64(b, LoadLittle<uint64_t>(p + stream));
    c = _mm_crc32_u64(c, LoadLittle<uint64_t>(p + 2 * stream));
  }
  const uint32_t ab = AppendZeros(zeros, static_cast<uint32_t>(a)) ^ static_cast<uint32_t>(b);
  return AppendZeros(zeros, ab) ^ static_cast<uint32_t>(c);
}

__attribute__((target("sse4.2"))) uint32_t ExtendInstruction(uint32_t crc, const char* p, size_t n) {
  if (n >= 3 * kStreamShort) {
    static const ZerosTable kZerosLong = MakeZerosTable(kStreamLong);
    static const ZerosTable kZerosShort = MakeZerosTable(kStreamShort);
    for (; n >= 3 * kStreamLong; p += 3 * kStreamLong, n -= 3 * kStreamLong) {
      crc = ThreeStreams(crc, p, kStreamLong, kZerosLong);
    }
    for (; n >= 3 * kStreamShort; p += 3 * kStreamShort, n -= 3 * kStreamShort) {
      crc = ThreeStreams(crc, p, kStreamShort, kZerosShort);
    }
  }
  uint64_t wide = crc;
  for (; n >= 8; p += 8, n -= 8) wide = _mm_crc32_u64(wide, LoadLittle<uint64_t>(p));
  crc = static_cast<uint32_t>(wide);
  for (; n > 0; ++p, --n) crc = _mm_crc32_u8(crc, static_cast<uint8_t>(*p));
  return crc;
}

bool HasInstruction() {
  static const bool kHas = __builtin_cpu_supports("sse4.2");
  return kHas;
}

#endif

}  // namespace

uint32_t Extend(uint32_t crc, std::string_view data) {
#if defined(__x86_64__)
  if (HasInstruction()) return ~ExtendInstruction(~crc, data.data(), data.size());
#endif
  return ~ExtendTable(~crc, data.data(), data.size());
}

uint32_t ExtendPortable(uint32_t crc, std::string_view data) {
  return ~ExtendTable(~crc, data.data(), data.size());
}

}  // namespace quorate::crc32c
