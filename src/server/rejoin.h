// --lost-log-action=rejoin: the runbook's way out (R5), carried out by the quarantined member itself through
// the client API of the healthy ones. It is removed, added again as a learner under a new ID, moves its old
// data aside, joins, catches up, and is promoted.
//
//   step      what is done                                                   then
//   (none)    asks who is healthy; goes on only if the others are a majority  -> kRemove, on disk
//   kRemove   member remove OLD (gone already: fine)                          -> kAdd
//   kAdd      member add as learner (there already: taken over)              -> kMove, and the program starts
//   anew kMove     PrepareRejoin, before the member is opened: moves the member and WAL directories aside
//   inside
//             their own parents                                               -> kJoin
//   kJoin     the member joins with an empty log; then member promote NEW    -> done, the file is removed
//
// Each step is written to <data-dir>/quorate/rejoin.json before it begins and can be done again from any
// point, so that a crash anywhere goes on where it was. Errors are tried again with a growing pause; where
// the right is missing (authentication) the member stays quarantined and says what to do by hand.
//
// Owner: the core's thread.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/env.h"
#include "base/status.h"
#include "cluster/member.h"
#include "server/quarantine.h"

namespace quorate::server {

// The client API of a cluster, as far as rejoining needs it. `done` runs once, in a later round, on the
// owner's thread; never after the object is gone. Unavailable where no endpoint answers in time;
// PermissionDenied, Unauthenticated or InvalidArgument where the user lacks the right.
class ClusterAdmin {
 public:
  using Members = std::vector<cluster::Member>;
  using MembersDone = std::function<void(StatusOr<Members>)>;

  virtual ~ClusterAdmin() = default;
  // Client URLs to ask, in any order.
  virtual void SetEndpoints(std::vector<std::string> endpoints) = 0;
  virtual void List(MembersDone done) = 0;
  // OK when the member with these client URLs answers and knows a leader.
  virtual void CheckHealth(const std::vector<std::string>& client_urls,
                           std::function<void(const Status&)> done) = 0;
  // NotFound when there is no such member.
  virtual void Remove(uint64_t id, std::function<void(const Status&)> done) = 0;
  virtual void AddLearner(const std::vector<std::string>& peer_urls,
                          std::function<void(const Status&)> done) = 0;
  virtual void Promote(uint64_t id, std::function<void(const Status&)> done) = 0;
};

enum class RejoinStep : uint8_t { kRemove, kAdd, kMove, kJoin };

struct RejoinState {
  RejoinStep step = RejoinStep::kRemove;
  uint64_t old_id = 0;
  uint64_t new_id = 0;  // From kMove on.
  bool promote = true;  // The old one was a voter.
  std::string name;
  std::vector<std::string> peer_urls;
  std::vector<std::string> endpoints;
  std::string initial_cluster;  // From kMove on: as --initial-cluster.

  friend bool operator==(const RejoinState&, const RejoinState&) = default;
};

std::string EncodeRejoin(const RejoinState& state);
StatusOr<RejoinState> DecodeRejoin(std::string_view json);

class RejoinFile {
 public:
  RejoinFile(FileSystem* files, const std::string& data_dir);
  // DataLoss when it can't be read: then nobody knows what was done, and an operator has to look.
  StatusOr<std::optional<RejoinState>> Load() const;
  Status Store(const RejoinState& state);
  Status Remove();

 private:
  FileSystem* const files_;
  const std::string path_;
};

// Before the member is opened, on the caller's thread: does kMove if that is where it stands. `wal_dir`:
// empty when it lies in the member directory. Returns the state at kJoin, with which the member is to join.
StatusOr<std::optional<RejoinState>> PrepareRejoin(FileSystem* files, const std::string& data_dir,
                                                   const std::string& wal_dir);
// The members as --initial-cluster wants them; `own_id` under `own_name`, others without a name under their
// ID.
std::string InitialClusterText(const std::vector<cluster::Member>& members, uint64_t own_id,
                               std::string_view own_name);

class Rejoin {
 public:
  struct Hooks {
    // Client URLs of the other members.
    std::function<void(std::function<void(std::vector<std::string>)> done)> discover;
    // The program is to end this member and start again.
    std::function<void()> restart;
  };
  struct Self {
    uint64_t id = 0;
    std::string name;
    std::vector<std::string> peer_urls;
    std::string data_dir;
  };

  // For a quarantined member, or one that has just joined by it. Nothing is owned.
  Rejoin(FileSystem* files, ClusterAdmin* admin, Self self, bool quarantined, Hooks hooks);
  // Reads how far it has come.
  Status Open();
  // Every tick. Does nothing when there is nothing to do.
  void Tick();

  bool finished() const { return finished_; }
  // Not empty: why it can't go on without an operator.
  const std::string& blocked() const { return blocked_; }

 private:
  void Check();
  void CheckMajority(const std::vector<cluster::Member>& members, size_t next, size_t healthy);
  void BeginRemoval(const std::vector<cluster::Member>& members);
  void RemoveOld();
  void AddNew();
  void Adopt(const std::vector<cluster::Member>& members);
  void PromoteNew();
  void Finish(std::string_view how);
  bool Save(RejoinStep step);
  void Retry(std::string_view what, const Status& status);
  // Wraps an answer: only while this object lives.
  template <typename F>
  auto Guarded(F f);

  ClusterAdmin& admin_;
  const Self self_;
  const bool quarantined_;
  const Hooks hooks_;
  RejoinFile file_;
  std::optional<RejoinState> state_;
  bool open_ = false;  // An answer is awaited.
  bool finished_ = false;
  std::string blocked_;
  int wait_ticks_ = 0;
  int failures_ = 0;
  std::shared_ptr<char> alive_ = std::make_shared<char>();
};

}  // namespace quorate::server
