// Request IDs, unique while the request is under way, also across restarts: low half of the member's ID (2
// bytes), milliseconds of the start (5 bytes), counter (1 byte and, by carrying over, the rest). Source: etcd
// pkg/idutil.
#pragma once

#include <cstdint>

namespace quorate::server {

class RequestIds {
 public:
  RequestIds() = default;
  RequestIds(uint64_t member_id, int64_t wall_nanos)
      : prefix_((member_id & 0xffff) << 48),
        suffix_((static_cast<uint64_t>(wall_nanos / 1'000'000) << 8) & kSuffixMask) {}

  uint64_t Next() { return prefix_ | (++suffix_ & kSuffixMask); }

 private:
  static constexpr uint64_t kSuffixMask = (uint64_t{1} << 48) - 1;
  uint64_t prefix_ = 0;
  uint64_t suffix_ = 0;
};

}  // namespace quorate::server
