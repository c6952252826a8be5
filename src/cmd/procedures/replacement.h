// One member replaced by a new one with its name and URLs and an empty directory: the runbook's R5. The
// member is removed while it still votes, then stopped, and added as a learner, so that at no step a member
// that does not run counts towards the majority; it gets its vote when it has caught up. What is to be done
// on its host is a command's, or told to the operator.
//
// Interrupted anywhere, the same call goes on: what was to be replaced is noted before the removal, the rest
// is seen in the cluster.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "cmd/procedures/cluster_access.h"
#include "cmd/procedures/notebook.h"
#include "cmd/procedures/replacement_note.h"

namespace quorate::cmd {

struct ReplacementOptions {
  std::string exec;  // Run by /bin/sh for each step on the host; empty: the operator is told.
  std::string notes_directory;
  std::chrono::nanoseconds wait{0};  // Of each wait.
};

// Adds --exec, --wait and --state-dir to a command. `wait_nanos` is in nanoseconds.
struct ReplacementFlags {
  std::string exec;
  std::string state_dir;
  int64_t wait_nanos = 600'000'000'000;
  bool dry_run = false;
  bool yes = false;
  ReplacementOptions options(const std::string& notes_directory) const {
    return {exec, notes_directory, std::chrono::nanoseconds(wait_nanos)};
  }
};
void AddReplacementFlags(CLI::App* command, ReplacementFlags* flags);

// ETCD_INITIAL_CLUSTER for the member `id`, which has no name in the list yet. Pure.
std::string InitialClusterFor(const ClusterState& state, uint64_t id, const std::string& name);

// The notes of all replacements of this cluster that were begun and not finished.
StatusOr<std::vector<ReplacementNote>> InterruptedReplacements(const std::string& directory,
                                                               uint64_t cluster_id);
// Of one of them.
Notebook ReplacementNotebook(const std::string& directory, uint64_t cluster_id, const std::string& name);

// One thread. `access` must outlive it.
class Replacement {
 public:
  // `member`: its name, or its ID (also that of one that an interrupted replacement has removed) in
  // hexadecimal.
  Replacement(ClusterAccess* access, ReplacementOptions options, std::string member)
      : access_(*access), options_(std::move(options)), wanted_(std::move(member)) {}

  // Finds the member, or what an interrupted call has noted of it. Says when a note no longer fits. Errors
  // say why it can't be replaced.
  Status Prepare(const ClusterState& state);
  // Whether it may be begun, or gone on with, now.
  Status CheckMayBegin(const ClusterState& state) const;
  void SayPlan() const;
  Status Run();

 private:
  Status TakeNote(const ClusterState& state, const MemberState* found);
  Status Write() const { return notebook_->Write(note_.ToNotes()); }
  Status StepOnHost(const char* step, uint64_t id);
  Status CheckUnchanged(const ClusterState& state) const;
  Status TryToRemove(int* hand_overs);
  Status HandOverAndRemove();
  Status StopOnHost();
  Status TryToAdd();
  Status AddAgain();
  Status WorkOnHost(const ClusterState& state, const MemberState& added);
  void TellOperator(uint64_t id) const;
  Status AwaitAndPromote(uint64_t id);
  Status DisarmOldAlarms(const ClusterState& state);
  std::map<std::string, std::string> HostVariables(uint64_t id) const;

  ClusterAccess& access_;
  const ReplacementOptions options_;
  const std::string wanted_;
  std::unique_ptr<Notebook> notebook_;
  ReplacementNote note_;
  std::vector<Notebook> stale_;  // Those that no longer fit.
  bool resumed_ = false;
  bool leads_ = false;
  std::string initial_cluster_;
};

}  // namespace quorate::cmd
