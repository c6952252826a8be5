// Stands between a member's raft and the other members, and keeps a member whose log went back in time from
// doing harm: probation after a start that can't show continuity, proofs before and after, quarantine. The
// design's last part has the reasons; docs/lost-log.md is for operators.
//
// Owner: the core's thread. One per Member, which calls it at:
//
//   Open      after the log was read and raft was made: LostLogGuard::Open(...); an error ends the start.
//   Step      first: `if (guard->Inspect(message, path) != kPass) return OkStatus();`. kDrop: the guard has
//   taken
//             it, or it must not be seen by raft (a vote request on probation, anything in quarantine). What
//             the guard only holds until its memory is on disk comes back through Hooks::deliver.
//   outgoing  the messages of Ready and of OnPersisted, before they go to the transport:
//             `guard->FilterOutgoing(&messages)`. Vote requests (kVote) must leave only after the hard state
//             of their term is synced, as in etcd: what others remember of us rests on it.
//   campaign  raft->SetMayCampaign(guard->may_campaign()) after Tick and EndOfRound.
//   Tick      once a tick of the clock (not for ticks that are put forward at the start). A quarantined
//             member does not tick raft.
//   end of a round, after raft was drained and before clients are answered: EndOfRound().
//   Close     after the log was closed: Close(); only then is the next start continuous.
//   requests  while quarantined(): every RPC fails with ErrQuarantined(), /health and /readyz say
//             quarantine_reason(), /livez passes; nothing is proposed, no member of the cluster is answered
//             but by the PeerService.
//   PeerService: Add(kMemoryPath, ...AnswerMemory).
//
// Invariants:
//  L1  A member on probation sends no grant of a vote or pre-vote and does not campaign; a quarantined one
//      sends no message of raft at all, and that survives restarts.
//  L2  The grant of a vote that came on a stream reaches raft only after it is on this member's disk as
//      memory of the other.
//  L3  What is remembered of another member is never more than what that one has stored.
//  L4  The epoch in the data directory is durable before the one in the run directory is written.
//  L5  What this member has shown of itself lies in the run directory before it leaves.
//  L6  What came by MessagePath::kPost proves nothing, is not remembered, and ends no probation: who can
//      reach the port could else put a healthy member into quarantine, which it never leaves by itself. On
//      probation no leader is followed by it for a while: it would fill up what is missing before its stream
//      is open and can prove it.
//  L7  The only voter of a cluster writes no file of these and is never on probation.
//
// Files, in <data-dir>/quorate/, which etcd ignores: epoch (continuity.h), peer-memory (peer_memory.h),
// quarantine.json (quarantine.h), rejoin.json (rejoin.h).
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/env.h"
#include "base/status.h"
#include "raft/raw_node.h"
#include "raft/types.h"
#include "server/continuity.h"
#include "server/lost_log.h"
#include "server/peer_memory.h"
#include "server/probation.h"
#include "server/quarantine.h"
#include "server/transport.h"

namespace quorate::server {

// GET <path>?member=<id in hex>: what this member remembers of that one, as JSON. etcd answers 404.
inline constexpr std::string_view kMemoryPath = "/quorate/memory";

// What the member knows when it starts.
struct StartFacts {
  std::string data_dir;
  int election_ticks = 10;
  int64_t tick_nanos = 100'000'000;
  uint64_t member_id = 0;
  uint64_t cluster_id = 0;
  DiskFacts disk;
  // The log was made by this start: there is no past to have lost, unless the cluster knows better.
  bool first_start = false;
  // With first_start: the name under which the cluster has this ID already; empty: none.
  std::string published_name;
  bool only_voter = false;
  // For the way out that the log shows.
  std::string name;
  std::vector<std::string> peer_urls;
};

class LostLogGuard {
 public:
  struct Hooks {
    std::function<raft::BasicStatus()> status;
    // Of the entry at that index of our own log; 0: not known (compacted, or not there yet).
    std::function<raft::Term(raft::Index)> term_at;
    // The IDs of the other members as they are now, learners included.
    std::function<std::vector<uint64_t>()> others;
    // A message that was held back: into raft, without asking the guard again.
    std::function<void(raft::Message)> deliver;
    // Runs once, when the member becomes quarantined after Open; at Open look at quarantined().
    std::function<void()> on_quarantine;
    // The disk failed beyond repair (Config::on_fatal).
    std::function<void(const Status&)> on_fatal;
    // Only called from Tick on. Null: nobody is asked.
    Transport* transport = nullptr;
  };
  enum class Verdict { kPass, kDrop };

  // Reads and writes files on the caller's thread.
  static StatusOr<std::unique_ptr<LostLogGuard>> Open(const LostLogOptions& options, const Env& env,
                                                      const StartFacts& facts, Hooks hooks);
  ~LostLogGuard();
  LostLogGuard(const LostLogGuard&) = delete;
  LostLogGuard& operator=(const LostLogGuard&) = delete;

  Verdict Inspect(raft::Message& message, MessagePath path);
  void FilterOutgoing(std::vector<raft::Message>* messages);
  void Tick();
  void EndOfRound();
  // A clean end, on the caller's thread, when the executor has ended. `end`: as the log was closed.
  Status Close(const LogPosition& end);

  bool may_campaign() const { return !quarantined() && !on_probation(); }
  bool on_probation() const { return !probation_.over(); }
  bool quarantined() const { return mark_.has_value(); }
  // Empty when not quarantined. One line.
  const std::string& quarantine_reason() const { return reason_; }
  const std::optional<QuarantineMark>& mark() const { return mark_; }

  PeerAnswer AnswerMemory(const PeerCall& call) const;
  const PeerMemory& memory() const { return memory_; }

 private:
  struct Held {
    uint64_t version = 0;  // Of the memory that must be on disk first.
    raft::Message message;
  };

  LostLogGuard(const LostLogOptions& options, const Env& env, const StartFacts& facts, Continuity continuity,
               const StartFinding& finding, Hooks hooks);
  Status Start(const StartFinding& finding);
  std::optional<std::string> ProofAtStart(const StartFinding& finding) const;
  // False when its mark could not be written.
  bool Quarantine(std::string proof, const DiskFacts& facts);
  void QuarantineNow(std::string proof);
  void Announce() const;
  bool Contradicted(const raft::Message& message);
  bool Remember(raft::Message& message);
  void ReportToProbation(const raft::Message& message);
  void SayHowProbationEnded();
  void Ask(uint64_t peer);
  void OnAnswer(uint64_t peer, const StatusOr<PeerAnswer>& answer);
  void SaveMemory(Lane lane);
  void SaveWitness(const raft::BasicStatus& status);
  void BeginEpoch();
  void ReleaseHeld();
  LogPosition Witness(const raft::BasicStatus& status) const;

  const LostLogOptions options_;
  const Env env_;
  const StartFacts facts_;
  const Hooks hooks_;

  Continuity continuity_;
  const bool nothing_lost_;  // This is the first start, or continuous with the last.
  QuarantineFile quarantine_file_;
  PeerMemoryFile memory_file_;
  PeerMemory memory_;  // Of the others.
  PeerMemory shown_;   // Of this member: what others may have seen of it.
  Probation probation_;
  std::optional<QuarantineMark> mark_;
  std::string reason_;

  bool campaigned_ = false;  // By this process.
  bool trust_said_ = false;
  std::deque<Held> held_;
  uint64_t memory_version_ = 0;  // Counts changes.
  uint64_t vote_version_ = 0;    // The last one of a vote.
  uint64_t memory_durable_ = 0;  // The version on disk.
  bool memory_writing_ = false;
  int64_t memory_saved_nanos_ = 0;
  LogPosition witness_saved_;
  bool begun_ = false;  // This process has an epoch; not while it is on probation.
  bool epoch_beginning_ = false;
  int64_t begin_tried_nanos_ = 0;
  std::shared_ptr<char> alive_ = std::make_shared<char>();
};

}  // namespace quorate::server
