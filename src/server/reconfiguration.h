// Changes of the members: what has to hold before one is proposed, and the proposal. Facts: formats.md 8.5,
// 6.4; etcd server/etcdserver/server.go (mayAddMember, mayRemoveMember, mayPromoteMember).
//
// Core thread only. Tick() is to be called with the member's. Permissions are the caller's to check, but for
// promotions that are forwarded: the leader checks again.
#pragma once

#include <cstdint>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/status.h"
#include "cluster/member.h"
#include "cluster/membership.h"
#include "raft/progress.h"
#include "raft/types.h"

namespace quorate::server {

class Member;

// Since when a member has been reachable without a break, monotonic nanoseconds; 0: it is not
// (Transport::ActiveSince).
using ActiveSince = std::function<int64_t(uint64_t id)>;

// A member counts as connected when it has been so for this long.
constexpr int64_t kHealthIntervalNanos = 5'000'000'000;  // etcd: HealthInterval

// The strict checks (--strict-reconfig-check). Errors: ErrNotEnoughStarted, ErrUnhealthyCluster.
Status CheckAdd(const cluster::Membership& membership, bool learner, int64_t now_nanos,
                const ActiveSince& active_since);
Status CheckRemove(const cluster::Membership& membership, uint64_t id, int64_t now_nanos,
                   const ActiveSince& active_since);
Status CheckPromote(const cluster::Membership& membership);
// On the leader, strict or not: the learner has at least nine tenths of the leader's log. Errors:
// ErrNotLeader without progress, ErrMemberNotFound, ErrLearnerNotReady.
Status CheckLearnerReady(const std::map<uint64_t, raft::Progress>& progress, uint64_t leader, uint64_t id);

class Reconfiguration {
 public:
  // With the members after the change.
  using Done = std::function<void(StatusOr<std::vector<cluster::Member>>)>;

  explicit Reconfiguration(Member* member);
  ~Reconfiguration();
  Reconfiguration(const Reconfiguration&) = delete;
  Reconfiguration& operator=(const Reconfiguration&) = delete;

  void Tick();

  // The URLs are checked and in canonical form. `added` is the new member's ID.
  void Add(std::vector<std::string> peer_urls, bool learner,
           std::function<void(StatusOr<std::vector<cluster::Member>>, const cluster::Member& added)> done);
  void Remove(uint64_t id, Done done);
  void Update(uint64_t id, std::vector<std::string> peer_urls, Done done);
  // A follower asks the leader, with the caller's token.
  void Promote(uint64_t id, const std::string& token, Done done);
  // The leader's part; ErrNotLeader elsewhere.
  void PromoteHere(uint64_t id, Done done);

 private:
  struct Forwarded {
    uint64_t id = 0;
    std::string token;
    int64_t deadline_nanos = 0;
    bool under_way = false;
    Done done;
  };

  void Propose(raft::ConfChange change, Done done);
  void Forward(const std::shared_ptr<Forwarded>& request);
  void End(const std::shared_ptr<Forwarded>& request, StatusOr<std::vector<cluster::Member>> result);
  int64_t ActiveSinceOf(uint64_t id) const;
  std::vector<cluster::Member> Members() const;

  Member& member_;
  std::list<std::shared_ptr<Forwarded>> forwarded_;
  std::shared_ptr<char> alive_ = std::make_shared<char>();
};

}  // namespace quorate::server
