// The cluster's alarms: replicated, kept in bucket `alarm` with the encoded AlarmMember as key. Core thread
// only.
#pragma once

#include <cstdint>
#include <set>
#include <utility>
#include <vector>

#include "base/status.h"
#include "mvcc/backend.h"

namespace quorate::server {

// etcdserverpb.AlarmType, frozen.
enum class AlarmType : int32_t { kNone = 0, kNoSpace = 1, kCorrupt = 2 };

struct Alarm {
  uint64_t member_id = 0;
  AlarmType type = AlarmType::kNone;
};

class Alarms {
 public:
  // Reads the bucket. DataLoss when a row is no AlarmMember.
  static StatusOr<Alarms> Load(mvcc::Backend* backend);

  // Both say whether the set has changed.
  bool Activate(uint64_t member_id, AlarmType type);
  bool Deactivate(uint64_t member_id, AlarmType type);

  // Of one type, by member; kNone: all.
  std::vector<Alarm> Get(AlarmType type) const;
  bool Has(AlarmType type) const;
  bool Has(uint64_t member_id, AlarmType type) const { return alarms_.contains({type, member_id}); }

 private:
  explicit Alarms(mvcc::Backend* backend) : backend_(backend) {}

  mvcc::Backend* backend_;
  std::set<std::pair<AlarmType, uint64_t>> alarms_;
};

}  // namespace quorate::server
