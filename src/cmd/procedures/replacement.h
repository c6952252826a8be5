// One member replaced by a new one with its name and URLs and an empty directory: the runbook's R5. The
// member is removed and added as a learner, so that at no step a member that does not run counts towards the
// majority; it gets its vote when it has caught up. What is to be done on its host is a command's, or told to
// the operator.
//
// Interrupted anywhere, the same call goes on: what was to be replaced is noted before the removal, the rest
// is seen in the cluster.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "cmd/procedures/cluster_access.h"
#include "cmd/procedures/notebook.h"

namespace quorate::cmd {

struct ReplacementOptions {
  std::string exec;  // Run by /bin/sh for each step on the host; empty: the operator is told.
  std::string state_dir;
  std::chrono::nanoseconds wait{0};  // Of each wait.
};

// Adds --exec, --wait and --state-dir to a command. `wait_nanos` is in nanoseconds.
struct ReplacementFlags {
  std::string exec;
  std::string state_dir;
  int64_t wait_nanos = 600'000'000'000;
  bool dry_run = false;
  bool yes = false;
  ReplacementOptions options() const { return {exec, state_dir, std::chrono::nanoseconds(wait_nanos)}; }
};
void AddReplacementFlags(CLI::App* command, ReplacementFlags* flags);

// ETCD_INITIAL_CLUSTER for the member `id`, which has no name in the list yet. Pure.
std::string InitialClusterFor(const ClusterState& state, uint64_t id, const std::string& name);

// One thread. `access` must outlive it.
class Replacement {
 public:
  // `member`: its name, or its ID in hexadecimal.
  Replacement(ClusterAccess* access, ReplacementOptions options, std::string member)
      : access_(*access), options_(std::move(options)), wanted_(std::move(member)) {}

  // Finds the member, or what an interrupted call has noted of it. Errors say why it can't or may not be
  // replaced.
  Status Prepare(const ClusterState& state);
  void SayPlan() const;
  Status Run();

 private:
  Status TakeNotes(const Notes& notes);
  bool Noted(const char* name) const { return notes_.contains(name); }
  Status Note(const char* name);
  Status StepOnHost(const char* step, uint64_t id);
  Status HandOverAndRemove(const ClusterState& state);
  Status AddAgain();
  Status WorkOnHost(const ClusterState& state, uint64_t id);
  void TellOperator(uint64_t id) const;
  Status AwaitAndPromote(uint64_t id);
  Status DisarmOldAlarms(const ClusterState& state);
  // The new member, once it is added. Null: it is not.
  const MemberState* NewMember(const ClusterState& state) const;
  std::map<std::string, std::string> HostVariables(uint64_t id) const;

  ClusterAccess& access_;
  const ReplacementOptions options_;
  const std::string wanted_;
  std::unique_ptr<Notebook> notebook_;
  Notes notes_;
  MemberState old_;  // As it was: name, ID and URLs.
  bool resumed_ = false;
  bool leads_ = false;
  std::string initial_cluster_;
};

}  // namespace quorate::cmd
