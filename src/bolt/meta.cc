#include "bolt/meta.h"

#include <bit>

namespace quorate::bolt {
namespace {

constexpr size_t kChecksumOffset = 56;

uint64_t Checksum(const char* p) {
  uint64_t hash = 0xcbf29ce484222325;
  for (size_t i = 0; i < kChecksumOffset; ++i) hash = (hash ^ static_cast<uint8_t>(p[i])) * 0x100000001b3;
  return hash;
}

}  // namespace

std::optional<Meta> Meta::Parse(const char* p) {
  const char* body = p + kPageHeaderBytes;
  if (LoadLittle<uint32_t>(body) != kMagic || LoadLittle<uint32_t>(body + 4) != kVersion) return std::nullopt;
  if (LoadLittle<uint64_t>(body + kChecksumOffset) != Checksum(body)) return std::nullopt;
  Meta meta;
  meta.page_size = LoadLittle<uint32_t>(body + 8);
  meta.root = LoadLittle<uint64_t>(body + 16);
  meta.root_sequence = LoadLittle<uint64_t>(body + 24);
  meta.freelist = LoadLittle<uint64_t>(body + 32);
  meta.high_water = LoadLittle<uint64_t>(body + 40);
  meta.txid = LoadLittle<uint64_t>(body + 48);
  const bool page_size_valid = std::has_single_bit(meta.page_size) && meta.page_size >= kPageBytesMin &&
                               meta.page_size <= kPageBytesMax;
  const bool pages_valid =
      meta.root >= 2 && meta.root < meta.high_water &&
      (meta.freelist == kFreelistNone || (meta.freelist >= 2 && meta.freelist < meta.high_water)) &&
      meta.high_water <= uint64_t{INT64_MAX} / kPageBytesMax;
  if (!page_size_valid || !pages_valid) return std::nullopt;
  return meta;
}

void Meta::Store(char* p, PageId id) const {
  PageHeader{id, kMetaPage, 0, 0}.Store(p);
  char* body = p + kPageHeaderBytes;
  StoreLittle(body, kMagic);
  StoreLittle(body + 4, kVersion);
  StoreLittle(body + 8, page_size);
  StoreLittle(body + 12, uint32_t{0});
  StoreLittle(body + 16, root);
  StoreLittle(body + 24, root_sequence);
  StoreLittle(body + 32, freelist);
  StoreLittle(body + 40, high_water);
  StoreLittle(body + 48, txid);
  StoreLittle(body + kChecksumOffset, Checksum(body));
}

}  // namespace quorate::bolt
