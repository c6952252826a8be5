// A row of bucket `lease`: key u64 big-endian id, value leasepb.Lease{ID=1, TTL=2, RemainingTTL=3: int64},
// frozen. Source: formats.md section 5.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/status.h"

namespace quorate::lease {

struct LeaseRecord {
  int64_t id = 0;
  int64_t ttl_seconds = 0;
  int64_t remaining_ttl_seconds = 0;  // 0: no checkpoint.
  bool operator==(const LeaseRecord&) const = default;
};

std::string EncodeLeaseKey(int64_t id);
std::string EncodeLeaseRecord(const LeaseRecord& record);
// DataLoss when the row is no lease, or not that of its key.
StatusOr<LeaseRecord> DecodeLeaseRecord(std::string_view key, std::string_view value);

}  // namespace quorate::lease
