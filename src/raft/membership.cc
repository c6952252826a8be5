// Changes of membership, as they are applied.
#include "raft/describe.h"
#include "raft/log_format.h"
#include "raft/raft.h"

namespace quorate::raft {

StatusOr<ConfState> Raft::ApplyConfChange(const ConfChangeV2& change) {
  const Changer changer(tracker_, log_.LastIndex());
  bool auto_leave = false;
  StatusOr<ChangedConfig> changed = LeavesJoint(change) ? changer.LeaveJoint()
                                    : EntersJoint(change, &auto_leave)
                                        ? changer.EnterJoint(auto_leave, change.changes)
                                        : changer.Simple(change.changes);
  if (!changed.ok()) return changed.status();
  return SwitchTo(*std::move(changed));
}

ConfState Raft::SwitchTo(ChangedConfig changed) {
  tracker_.config = std::move(changed.config);
  tracker_.progress = std::move(changed.progress);
  Infof(logger_, "%x switched to configuration %s", id_, Describe(tracker_.config));
  ConfState state = tracker_.ToConfState();
  const Progress* self = tracker_.Find(id_);
  learner_ = self != nullptr && self->learner;

  if (role_ == Role::kLeader && (self == nullptr || learner_)) {
    // Removed or demoted. Without stepping down it leads on until others elect somebody else.
    if (step_down_on_removal_) BecomeFollower(term_, kNone);
    return state;
  }
  if (role_ != Role::kLeader || state.voters.empty()) return state;

  if (MaybeCommit()) {
    // Fewer are needed now.
    BroadcastAppend();
  } else {
    // New members need not wait for the next heartbeat.
    for (const auto& [id, member] : tracker_.progress) {
      if (id != id_) MaybeSendAppend(id, false);
    }
  }
  if (!tracker_.config.voters.Contains(lead_transferee_)) lead_transferee_ = kNone;
  return state;
}

// A joint configuration that ends by itself is left as soon as it is applied. If the proposal is dropped (a
// transfer of leadership is under way), the next applied entry tries again, here or on the new leader.
void Raft::MaybeLeaveJoint(Index applied) {
  if (!tracker_.config.auto_leave || role_ != Role::kLeader || applied < pending_conf_index_) return;
  Entry leave;
  leave.type = EntryType::kConfChangeV2;
  if (const Status status = LeaderPropose({&leave, 1}); !status.ok()) {
    Debugf(logger_, "not initiating automatic transition out of joint configuration %s: %s",
           Describe(tracker_.config), std::string(quorate::Message(status)));
  } else {
    Infof(logger_, "initiating automatic transition out of joint configuration %s",
          Describe(tracker_.config));
  }
}

}  // namespace quorate::raft
