#include "server/alarms.h"

#include <string>

#include "base/wire.h"

namespace quorate::server {
namespace {

std::string EncodeKey(uint64_t member_id, AlarmType type) {
  std::string key;
  wire::AppendVarintFieldNonZero(key, 1, member_id);
  wire::AppendVarintFieldNonZero(key, 2, static_cast<uint64_t>(type));
  return key;
}

bool DecodeKey(std::string_view key, Alarm* out) {
  wire::Reader in(key);
  while (in.Next()) {
    if (in.Is(1, wire::Type::kVarint)) out->member_id = in.varint();
    if (in.Is(2, wire::Type::kVarint)) out->type = static_cast<AlarmType>(in.varint());
  }
  return in.ok();
}

}  // namespace

StatusOr<Alarms> Alarms::Load(mvcc::Backend* backend) {
  Alarms alarms(backend);
  Status damaged;
  QUORATE_RETURN_IF_ERROR(backend->ForEach(mvcc::Bucket::kAlarm, [&](std::string_view key, std::string_view) {
    Alarm alarm;
    if (DecodeKey(key, &alarm)) {
      alarms.alarms_.emplace(alarm.type, alarm.member_id);
    } else {
      damaged = DataLoss(
          "the database's bucket \"alarm\" holds a key that is no alarm; restore the member from a snapshot");
    }
  }));
  if (!damaged.ok()) return damaged;
  return alarms;
}

bool Alarms::Activate(uint64_t member_id, AlarmType type) {
  if (!alarms_.emplace(type, member_id).second) return false;
  backend_->Put(mvcc::Bucket::kAlarm, EncodeKey(member_id, type), {});
  return true;
}

bool Alarms::Deactivate(uint64_t member_id, AlarmType type) {
  if (alarms_.erase({type, member_id}) == 0) return false;
  backend_->Delete(mvcc::Bucket::kAlarm, EncodeKey(member_id, type));
  return true;
}

std::vector<Alarm> Alarms::Get(AlarmType type) const {
  std::vector<Alarm> out;
  for (const auto& [t, member] : alarms_) {
    if (type == AlarmType::kNone || t == type) out.push_back({member, t});
  }
  return out;
}

bool Alarms::Has(AlarmType type) const {
  const auto it = alarms_.lower_bound({type, 0});
  return it != alarms_.end() && it->first == type;
}

}  // namespace quorate::server
