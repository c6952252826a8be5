// Compares hashes of the key space with the other members. Source: etcdserver/corrupt.go of etcd 3.4 to 3.7.
//
// Core thread only. Tick() is to be called with the member's.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "mvcc/store.h"

namespace quorate::server {

class Member;

// A member's answer to /members/hashkv.
struct PeerHash {
  uint64_t id = 0;
  std::vector<std::string> urls;
  // Error: OutOfRange with the original's text for a revision that is compacted or in the future there; else
  // why there is no answer.
  StatusOr<mvcc::HashKvResult> hash;
};

std::string HashRequestJson(int64_t revision);
StatusOr<int64_t> ParseHashRequest(std::string_view json);
std::string HashJson(const mvcc::HashKvResult& result, int64_t hash_revision);
StatusOr<mvcc::HashKvResult> ParseHash(std::string_view json);

// Before serving. FailedPrecondition "<id> found data inconsistency with peers" when a member has another
// hash at the same revision and the same compacted revision. Logs what can't be compared.
Status CompareInitially(uint64_t local_id, int64_t revision, const mvcc::HashKvResult& local,
                        const std::vector<PeerHash>& peers);

// On the leader: `before` at `revision`, what the others said of that revision, and then, after a
// linearizable read, `after`. The member to raise the alarm for; nullopt: all agree.
std::optional<uint64_t> FindCorrupt(uint64_t local_id, int64_t revision, const mvcc::HashKvResult& before,
                                    const std::vector<PeerHash>& peers, int64_t revision_after,
                                    const mvcc::HashKvResult& after);

class CorruptionMonitor {
 public:
  // `interval_nanos`: of the periodic check (--corrupt-check-time); 0: none. `compactions_interval_nanos`: of
  // the check of what compactions began with (--compact-hash-check-time); 0: none.
  CorruptionMonitor(Member* member, int64_t interval_nanos, int64_t compactions_interval_nanos);
  ~CorruptionMonitor();
  CorruptionMonitor(const CorruptionMonitor&) = delete;
  CorruptionMonitor& operator=(const CorruptionMonitor&) = delete;

  void Tick();

  // --experimental-initial-corrupt-check: after Member::Open on a directory that is not new, before its first
  // tick and before anything is served. `done` gets the error with which the program must end.
  void CheckInitially(std::function<void(const Status&)> done);
  // On the leader, once; `done` with an error when it could not be carried out.
  void CheckNow(std::function<void(const Status&)> done);
  // On the leader, once: the newest compaction hash that all members have is compared. `done` when it is.
  void CheckCompactions(std::function<void()> done);

 private:
  struct Check;
  struct CompactionCheck;
  // One kind of check, at its interval, on the leader only, never two at once.
  struct Schedule {
    int64_t interval_nanos = 0;  // 0: never.
    int64_t next_nanos = 0;
    bool under_way = false;
  };

  void AskPeers(int64_t revision, std::function<void(std::vector<PeerHash>)> done);
  void Finish(const std::shared_ptr<Check>& check);
  bool IsDue(Schedule* schedule);
  void CheckNextCompaction(const std::shared_ptr<CompactionCheck>& check);
  void HashInitially(const std::function<void(const Status&)>& done);
  void RaiseAlarm(uint64_t member_id);

  Member& member_;
  Schedule periodic_;
  Schedule compactions_;
  int64_t compaction_checked_ = 0;  // The newest revision at which all members were found equal.
  std::shared_ptr<char> alive_ = std::make_shared<char>();
};

}  // namespace quorate::server
