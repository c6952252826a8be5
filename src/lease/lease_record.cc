#include "lease/lease_record.h"

#include <cstdio>

#include "base/endian.h"
#include "base/wire.h"

namespace quorate::lease {
namespace {

constexpr uint32_t kId = 1;
constexpr uint32_t kTtl = 2;
constexpr uint32_t kRemainingTtl = 3;
constexpr size_t kKeyBytes = 8;

std::string Hex(std::string_view bytes) {
  std::string out;
  char buffer[3];
  for (const char c : bytes) {
    std::snprintf(buffer, sizeof buffer, "%02x", static_cast<unsigned char>(c));
    out += buffer;
  }
  return out;
}

}  // namespace

std::string EncodeLeaseKey(int64_t id) {
  std::string key;
  AppendBig64(key, static_cast<uint64_t>(id));
  return key;
}

std::string EncodeLeaseRecord(const LeaseRecord& record) {
  std::string value;
  wire::AppendVarintFieldNonZero(value, kId, static_cast<uint64_t>(record.id));
  wire::AppendVarintFieldNonZero(value, kTtl, static_cast<uint64_t>(record.ttl_seconds));
  wire::AppendVarintFieldNonZero(value, kRemainingTtl, static_cast<uint64_t>(record.remaining_ttl_seconds));
  return value;
}

StatusOr<LeaseRecord> DecodeLeaseRecord(std::string_view key, std::string_view value) {
  LeaseRecord record;
  wire::Reader reader(value);
  while (reader.Next()) {
    if (reader.Is(kId, wire::Type::kVarint)) record.id = reader.int64();
    if (reader.Is(kTtl, wire::Type::kVarint)) record.ttl_seconds = reader.int64();
    if (reader.Is(kRemainingTtl, wire::Type::kVarint)) record.remaining_ttl_seconds = reader.int64();
  }
  if (!reader.ok() || key.size() != kKeyBytes || record.id == 0 ||
      LoadBig64(key.data()) != static_cast<uint64_t>(record.id)) {
    return DataLoss("bucket lease, key " + Hex(key) + ": the row is no lease (" +
                    std::to_string(value.size()) +
                    " bytes); restore the member from a snapshot, or remove it and add it anew");
  }
  return record;
}

}  // namespace quorate::lease
