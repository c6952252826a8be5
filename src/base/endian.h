// Fixed-width integers in files and frames, byte order by name.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <string>

namespace quorate {

static_assert(std::endian::native == std::endian::little,
              "the db file is in host order; etcd runs it on little-endian hosts");

template <typename T>
T LoadLittle(const void* p) {
  T v;
  std::memcpy(&v, p, sizeof v);
  return v;
}
template <typename T>
void StoreLittle(void* p, T v) {
  std::memcpy(p, &v, sizeof v);
}
inline uint64_t LoadBig64(const void* p) { return __builtin_bswap64(LoadLittle<uint64_t>(p)); }
inline void StoreBig64(void* p, uint64_t v) { StoreLittle(p, __builtin_bswap64(v)); }
inline uint32_t LoadBig32(const void* p) { return __builtin_bswap32(LoadLittle<uint32_t>(p)); }
inline void StoreBig32(void* p, uint32_t v) { StoreLittle(p, __builtin_bswap32(v)); }
inline void AppendBig64(std::string& out, uint64_t v) {
  char b[8];
  StoreBig64(b, v);
  out.append(b, sizeof b);
}

}  // namespace quorate
