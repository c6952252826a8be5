// The legality and result of membership changes: simple (at most one voter) and joint. Pure functions of the
// tracker. Source: Raft thesis, section 4.3; texts of errors are etcd-io/raft's.
#pragma once

#include <span>

#include "base/status.h"
#include "raft/tracker.h"
#include "raft/types.h"

namespace quorate::raft {

struct ChangedConfig {
  TrackerConfig config;
  ProgressMap progress;
};

// Each call leaves the tracker as it is. Errors are FailedPrecondition.
class Changer {
 public:
  // last_index: where replication to a new member begins to probe. The tracker outlives the changer.
  Changer(const ProgressTracker& tracker, Index last_index) : tracker_(tracker), last_index_(last_index) {}

  // (1 2 3) becomes CHANGED(1 2 3)&&(1 2 3): decisions need both.
  StatusOr<ChangedConfig> EnterJoint(bool auto_leave, std::span<const ConfChangeSingle> changes) const;
  // The incoming half decides alone from now on; staged learners become learners.
  StatusOr<ChangedConfig> LeaveJoint() const;
  // Changes that together change at most one voter.
  StatusOr<ChangedConfig> Simple(std::span<const ConfChangeSingle> changes) const;

 private:
  StatusOr<ChangedConfig> CheckedCopy() const;
  Status Apply(std::span<const ConfChangeSingle> changes, ChangedConfig& to) const;
  void MakeVoter(NodeId id, ChangedConfig& to) const;
  void MakeLearner(NodeId id, ChangedConfig& to) const;
  void Remove(NodeId id, ChangedConfig& to) const;
  void AddMember(NodeId id, bool learner, ChangedConfig& to) const;

  const ProgressTracker& tracker_;
  Index last_index_;
};

// The invariants T1 to T3 of tracker.h, and that every member has a Progress of the right kind.
Status CheckConfig(const TrackerConfig& config, const ProgressMap& progress);

// The configuration that a ConfState describes, built from nothing. The tracker gives only the limits of its
// window.
StatusOr<ChangedConfig> RestoreConfig(const ProgressTracker& limits, Index last_index,
                                      const ConfState& state);

// How a ConfChangeV2 is carried out.
bool LeavesJoint(const ConfChangeV2& change);
// Whether it is joint, and then whether that ends by itself.
bool EntersJoint(const ConfChangeV2& change, bool* auto_leave);

}  // namespace quorate::raft
