#include "raft/confchange.h"

#include <algorithm>

#include "absl/strings/str_format.h"

namespace quorate::raft {
namespace {

size_t CountOnlyIn(const IdSet& a, const IdSet& b) {
  return static_cast<size_t>(std::count_if(a.begin(), a.end(), [&b](NodeId id) { return !b.Contains(id); }));
}

StatusOr<ChangedConfig> Checked(ChangedConfig changed) {
  QUORATE_RETURN_IF_ERROR(CheckConfig(changed.config, changed.progress));
  return changed;
}

}  // namespace

Status CheckConfig(const TrackerConfig& config, const ProgressMap& progress) {
  const IdSet voters = config.voters.Ids();
  for (const IdSet* ids : {&voters, &config.learners, &config.learners_next}) {
    for (NodeId id : *ids) {
      if (!progress.contains(id)) return FailedPrecondition(absl::StrFormat("no progress for %d", id));
    }
  }
  for (NodeId id : config.learners_next) {
    if (!config.voters.outgoing.Contains(id)) {
      return FailedPrecondition(absl::StrFormat("%d is in LearnersNext, but not Voters[1]", id));
    }
    if (progress.at(id).learner) {
      return FailedPrecondition(
          absl::StrFormat("%d is in LearnersNext, but is already marked as learner", id));
    }
  }
  for (NodeId id : config.learners) {
    if (config.voters.outgoing.Contains(id)) {
      return FailedPrecondition(absl::StrFormat("%d is in Learners and Voters[1]", id));
    }
    if (config.voters.incoming.Contains(id)) {
      return FailedPrecondition(absl::StrFormat("%d is in Learners and Voters[0]", id));
    }
    if (!progress.at(id).learner) {
      return FailedPrecondition(absl::StrFormat("%d is in Learners, but is not marked as learner", id));
    }
  }
  if (!config.voters.joint()) {
    if (!config.learners_next.empty())
      return FailedPrecondition("cfg.LearnersNext must be nil when not joint");
    if (config.auto_leave) return FailedPrecondition("AutoLeave must be false when not joint");
  }
  return absl::OkStatus();
}

StatusOr<ChangedConfig> Changer::CheckedCopy() const { return Checked({tracker_.config, tracker_.progress}); }

StatusOr<ChangedConfig> Changer::EnterJoint(bool auto_leave,
                                            std::span<const ConfChangeSingle> changes) const {
  QUORATE_ASSIGN_OR_RETURN(ChangedConfig to, CheckedCopy());
  if (to.config.voters.joint()) return FailedPrecondition("config is already joint");
  // Members may be added to an empty configuration one by one (bootstrap), but there is no quorum to make
  // joint.
  if (to.config.voters.incoming.empty()) return FailedPrecondition("can't make a zero-voter config joint");
  to.config.voters.outgoing = to.config.voters.incoming;
  QUORATE_RETURN_IF_ERROR(Apply(changes, to));
  to.config.auto_leave = auto_leave;
  return Checked(std::move(to));
}

StatusOr<ChangedConfig> Changer::LeaveJoint() const {
  QUORATE_ASSIGN_OR_RETURN(ChangedConfig to, CheckedCopy());
  if (!to.config.voters.joint()) return FailedPrecondition("can't leave a non-joint config");
  for (NodeId id : to.config.learners_next) {
    to.config.learners.Insert(id);
    to.progress[id].learner = true;
  }
  to.config.learners_next.Clear();
  for (NodeId id : to.config.voters.outgoing) {
    if (!to.config.voters.incoming.Contains(id) && !to.config.learners.Contains(id)) to.progress.erase(id);
  }
  to.config.voters.outgoing.Clear();
  to.config.auto_leave = false;
  return Checked(std::move(to));
}

StatusOr<ChangedConfig> Changer::Simple(std::span<const ConfChangeSingle> changes) const {
  QUORATE_ASSIGN_OR_RETURN(ChangedConfig to, CheckedCopy());
  if (to.config.voters.joint()) return FailedPrecondition("can't apply simple config change in joint config");
  QUORATE_RETURN_IF_ERROR(Apply(changes, to));
  const IdSet& before = tracker_.config.voters.incoming;
  const IdSet& after = to.config.voters.incoming;
  if (CountOnlyIn(before, after) + CountOnlyIn(after, before) > 1) {
    return FailedPrecondition("more than one voter changed without entering joint config");
  }
  return Checked(std::move(to));
}

Status Changer::Apply(std::span<const ConfChangeSingle> changes, ChangedConfig& to) const {
  for (const ConfChangeSingle& change : changes) {
    if (change.node_id == 0) continue;  // The application refused the change when it applied the entry.
    switch (change.type) {
      case ConfChangeType::kAddNode:
        MakeVoter(change.node_id, to);
        break;
      case ConfChangeType::kAddLearnerNode:
        MakeLearner(change.node_id, to);
        break;
      case ConfChangeType::kRemoveNode:
        Remove(change.node_id, to);
        break;
      case ConfChangeType::kUpdateNode:
        break;
      default:
        return FailedPrecondition(absl::StrFormat("unexpected conf type %d", static_cast<int>(change.type)));
    }
  }
  if (to.config.voters.incoming.empty()) return FailedPrecondition("removed all voters");
  return absl::OkStatus();
}

void Changer::MakeVoter(NodeId id, ChangedConfig& to) const {
  const auto it = to.progress.find(id);
  if (it == to.progress.end()) return AddMember(id, false, to);
  it->second.learner = false;
  to.config.learners.Erase(id);
  to.config.learners_next.Erase(id);
  to.config.voters.incoming.Insert(id);
}

// A voter of the outgoing half can't be a learner at the same time: it is staged until the joint
// configuration ends.
void Changer::MakeLearner(NodeId id, ChangedConfig& to) const {
  const auto it = to.progress.find(id);
  if (it == to.progress.end()) return AddMember(id, true, to);
  if (it->second.learner) return;
  Progress kept = it->second;
  Remove(id, to);
  if (to.config.voters.outgoing.Contains(id)) {
    to.config.learners_next.Insert(id);
  } else {
    kept.learner = true;
    to.config.learners.Insert(id);
  }
  to.progress.insert_or_assign(id, std::move(kept));
}

void Changer::Remove(NodeId id, ChangedConfig& to) const {
  if (!to.progress.contains(id)) return;
  to.config.voters.incoming.Erase(id);
  to.config.learners.Erase(id);
  to.config.learners_next.Erase(id);
  if (!to.config.voters.outgoing.Contains(id)) to.progress.erase(id);
}

void Changer::AddMember(NodeId id, bool learner, ChangedConfig& to) const {
  (learner ? to.config.learners : to.config.voters.incoming).Insert(id);
  Progress member;
  member.next = std::max<Index>(last_index_, 1);
  member.inflights = tracker_.NewInflights();
  member.learner = learner;
  // Else the next check of the quorum could depose the leader before the member had a chance to speak.
  member.recent_active = true;
  to.progress.insert_or_assign(id, std::move(member));
}

// A joint state is rebuilt by first making the outgoing half the only one, then entering from it: remove all
// of it, add the incoming voters, then learners and staged learners.
StatusOr<ChangedConfig> RestoreConfig(const ProgressTracker& limits, Index last_index,
                                      const ConfState& state) {
  ProgressTracker tracker(limits.max_inflight, limits.max_inflight_bytes);
  const Changer changer(tracker, last_index);
  auto take = [&tracker](StatusOr<ChangedConfig> changed) -> Status {
    if (!changed.ok()) return changed.status();
    tracker.config = std::move(changed->config);
    tracker.progress = std::move(changed->progress);
    return absl::OkStatus();
  };
  std::vector<ConfChangeSingle> incoming;
  for (NodeId id : state.voters_outgoing) incoming.push_back({ConfChangeType::kRemoveNode, id});
  for (NodeId id : state.voters) incoming.push_back({ConfChangeType::kAddNode, id});
  for (NodeId id : state.learners) incoming.push_back({ConfChangeType::kAddLearnerNode, id});
  for (NodeId id : state.learners_next) incoming.push_back({ConfChangeType::kAddLearnerNode, id});

  if (state.voters_outgoing.empty()) {
    for (const ConfChangeSingle& change : incoming)
      QUORATE_RETURN_IF_ERROR(take(changer.Simple({&change, 1})));
  } else {
    for (NodeId id : state.voters_outgoing) {
      const ConfChangeSingle change{ConfChangeType::kAddNode, id};
      QUORATE_RETURN_IF_ERROR(take(changer.Simple({&change, 1})));
    }
    QUORATE_RETURN_IF_ERROR(take(changer.EnterJoint(state.auto_leave, incoming)));
  }
  return ChangedConfig{std::move(tracker.config), std::move(tracker.progress)};
}

bool LeavesJoint(const ConfChangeV2& change) {
  return change.transition == ConfChangeTransition::kAuto && change.changes.empty();
}

// More changes than one could sometimes do without, depending on what they meet; joint is always right.
bool EntersJoint(const ConfChangeV2& change, bool* auto_leave) {
  if (change.transition == ConfChangeTransition::kAuto && change.changes.size() <= 1) return false;
  *auto_leave = change.transition != ConfChangeTransition::kJointExplicit;
  return true;
}

}  // namespace quorate::raft
