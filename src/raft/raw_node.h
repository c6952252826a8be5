// One member of a raft group: a deterministic state machine. In: ticks, proposals, messages, acknowledgements
// of the disk and of apply. Out: Ready, the work to do. No I/O, no clock, no threads. The algorithm, its
// messages and its log lines are those of etcd-io/raft (main branch), so a group may mix members of both.
//
// How an owner runs it (Config::async_storage_writes = true):
//
//   while (node.HasReady()) {
//     Ready ready = node.NextReady();
//     send(ready.messages);            // may leave at once, before anything is on disk
//     if (ready.NeedsPersist()) {
//       storage.Append(ready.entries); // (1)
//       write(ready.hard_state, ready.entries, ready.snapshot);
//       if (ready.must_sync || ready.snapshot) sync();
//       // (2) later, when the above and all before it is durable:
//       node.OnPersisted(std::move(ready.persist), &outgoing);
//       send(outgoing);
//     }
//     if (!ready.committed_entries.empty()) {
//       apply(ready.committed_entries);
//       node.OnApplied(ready.apply);   // also later, in order
//     }
//   }
//
// (1) Into memory, at any time before OnPersisted; a snapshot likewise (ApplySnapshot), all in order.
// (2) Several Readies may be on their way to the disk at once. Acknowledge them in the order they came in;
//     one sync may cover many, then acknowledge each in turn. One without must_sync needs no sync of its
//     own, only its place in the order. Committed entries are always on this member's own disk already.
// A snapshot replaces the state machine: apply what was handed out before it first.
//
// With async_storage_writes = false an owner writes, syncs, sends and applies the Ready in that order and
// calls Advance; committed entries may then be ones that the same Ready persists.
//
// Owner thread: whoever made it; nothing here is thread-safe, but Ready, Entry and Message may be handed to
// other threads.
//
// Invariants, checked by CheckInvariants():
//  R1  applied <= applying <= committed <= last index.
//  R2  first index <= committed + 1.
//  R3  unstable entries are consecutive from the unstable offset, and offset <= offset in progress <= end.
//  R4  terms in the log never fall and none is above the node's term.
//  R5  a leader knows itself as leader, and of each member match < next.
//  R6  a follower or candidate never has the role of leader towards itself; a candidate's vote is its own.
//  R7  learners and voters are disjoint; outside of a joint configuration nothing of one is left.
// Between two calls (checked in random_cluster_test.cc): the term never falls, within one term a vote once
// cast never changes, committed and applied never fall.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/env.h"
#include "base/status.h"
#include "raft/logger.h"
#include "raft/storage.h"
#include "raft/tracker.h"
#include "raft/types.h"

namespace quorate::raft {

enum class Role : uint8_t { kFollower, kCandidate, kLeader, kPreCandidate };

// kLeaseBased trusts clocks and is only here to match the recorded behaviour; the server uses kSafe.
enum class ReadOnlyOption : uint8_t { kSafe, kLeaseBased };

struct Config {
  NodeId id = kNone;  // Not 0, nor one of the two highest numbers.
  // Ticks without a leader before a campaign; the actual timeout is random in [n, 2n).
  int election_tick = 10;
  int heartbeat_tick = 1;      // Ticks between heartbeats; below election_tick.
  Storage* storage = nullptr;  // Not owned; outlives the node.
  Random* random = nullptr;    // Not owned; for election timeouts.
  Logger* logger = nullptr;    // Not owned; null: the process's log.
  Index applied = 0;           // What the state machine already has, on restart.
  bool async_storage_writes = true;
  // Encoded bytes of entries in a kApp; 0: one entry a message.
  uint64_t max_size_per_msg = kNoLimit;
  // Encoded bytes handed to apply and not yet acknowledged; 0: as max_size_per_msg.
  uint64_t max_committed_size_per_ready = 0;
  // Payload bytes of a leader's uncommitted tail; 0: no limit.
  uint64_t max_uncommitted_entries_size = 0;
  int max_inflight_msgs = 512;      // Unacknowledged kApp messages per follower.
  uint64_t max_inflight_bytes = 0;  // Their payload bytes; 0: no limit.
  // A leader that hears no quorum for an election timeout steps down; the others keep to a leader they hear.
  bool check_quorum = false;
  bool pre_vote = false;
  ReadOnlyOption read_only_option = ReadOnlyOption::kSafe;
  bool disable_proposal_forwarding = false;
  bool disable_conf_change_validation = false;
  // A leader that was removed or demoted leaves at once. Else it leads on, takes no proposals once removed,
  // and its owner has to stop it. Either way transfer the leadership first: configurations count from when
  // they are applied, and successors that have not heard of the commit yet may lack the votes to elect one of
  // them.
  bool step_down_on_removal = false;
};

// Changes of it need not be stored.
struct SoftState {
  NodeId lead = kNone;
  Role role = Role::kFollower;

  friend bool operator==(const SoftState&, const SoftState&) = default;
};

// The answer to ReadIndex(context): once applied >= index, reads that were asked before the call are
// linearizable.
struct ReadState {
  Index index = 0;
  std::string context;
};

// To be handed back by OnPersisted once the Ready it came with is durable. The messages in it must not leave
// before: votes and acknowledgements of this member, some of them to itself.
struct PersistAck {
  std::vector<Message> messages;
  bool stable = false;                       // Whether the rest of the fields says something.
  Term term = 0;                             // Of the node when the Ready was made: a later term voids index.
  Index index = 0;                           // The log is stable up to here; 0: says nothing.
  Term log_term = 0;                         // The term of the entry at index.
  std::shared_ptr<const Snapshot> snapshot;  // Now stored and restored; null: none.
};

// To be handed back by OnApplied.
struct ApplyAck {
  Index index = 0;             // The last entry applied.
  uint64_t encoded_bytes = 0;  // Of all entries of the batch.
  uint64_t payload_bytes = 0;
};

struct Ready {
  std::optional<SoftState> soft_state;  // If changed.
  // To persist, in one go with entries and snapshot; if changed.
  std::optional<HardState> hard_state;
  // To persist; the first may replace what is stored from its index on.
  std::vector<Entry> entries;
  // To persist and to restore the state machine from, before entries; null: none.
  std::shared_ptr<const Snapshot> snapshot;
  // The above must be synced (not only written) before persist is handed back.
  bool must_sync = false;
  PersistAck persist;

  // To apply in order. Shares payloads with the log.
  std::vector<Entry> committed_entries;
  ApplyAck apply;

  std::vector<Message> messages;  // With async writes: may leave at once; else: after persisting.
  std::vector<ReadState> read_states;

  bool NeedsPersist() const {
    return !entries.empty() || hard_state.has_value() || snapshot != nullptr || !persist.messages.empty();
  }
};

struct BasicStatus {
  NodeId id = kNone;
  HardState hard_state;
  SoftState soft_state;
  Index applied = 0;
  Index first_index = 0;
  Index last_index = 0;
  NodeId lead_transferee = kNone;
  bool learner = false;
  // The highest commit index that a leader claimed although our log is shorter. Not 0 is proof that this
  // member's log went back in time: the leader only counts what we once acknowledged. The commit index itself
  // is left as it was.
  Index claimed_commit = 0;
  // Of the snapshot that was taken and is not yet stored; 0: none.
  Index pending_snapshot = 0;
};

struct NodeStatus : BasicStatus {
  TrackerConfig config;
  std::map<NodeId, Progress> progress;  // Only on a leader.
};

class Raft;

class RawNode {
 public:
  // InvalidArgument for a bad config; DataLoss when the stored state contradicts itself.
  static StatusOr<std::unique_ptr<RawNode>> Create(const Config& config);
  ~RawNode();
  RawNode(const RawNode&) = delete;
  RawNode& operator=(const RawNode&) = delete;

  void Tick();
  Status Campaign();
  // Whether this node may begin an election, by itself or asked to (true at first). One that may not still
  // follows, votes and answers; whoever leads or campaigns already goes on.
  void SetMayCampaign(bool may_campaign);

  // Appends to the leader's log, or forwards to the leader. Takes the payloads by move, in O(1) each; on an
  // error they are untouched and none was taken. Unavailable ("raft proposal dropped") when there is no
  // leader, a transfer is under way, the uncommitted tail is full, or this leader is no longer a member. No
  // answer comes: watch committed_entries.
  Status Propose(std::string data);
  Status ProposeBatch(std::span<Payload> batch);
  // A change that is not allowed at this moment becomes an empty normal entry.
  Status ProposeConfChange(const ConfChange& change);
  Status ProposeConfChange(const ConfChangeV2& change);
  // When the entry is applied; for a change that the application refuses, pass node_id 0. An error is a
  // change that can't be made to this configuration (all members fail alike).
  StatusOr<ConfState> ApplyConfChange(const ConfChange& change);
  StatusOr<ConfState> ApplyConfChange(const ConfChangeV2& change);

  // A message from another member. InvalidArgument for a local type, and where sender or term is impossible;
  // NotFound for an answer of a stranger; Unavailable for a forwarded proposal that was dropped. A message
  // that contradicts itself or what is known is dropped with a log line.
  Status Step(Message message);

  bool HasReady() const;
  Ready NextReady();
  // Steps what the messages mean to this node itself and appends the others to *outgoing.
  void OnPersisted(PersistAck ack, std::vector<Message>* outgoing);
  void OnApplied(const ApplyAck& ack);
  // Only with async_storage_writes = false: the last Ready is persisted and applied.
  void Advance();

  // Answered by a ReadState, or never: without a leader the request is dropped.
  void ReadIndex(std::string context);
  void TransferLeader(NodeId transferee);
  // The follower forgets who leads, so that it may grant a pre-vote; no-op on a leader.
  Status ForgetLeader();
  void ReportUnreachable(NodeId id);
  void ReportSnapshot(NodeId id, bool ok);

  BasicStatus GetBasicStatus() const;
  NodeStatus GetStatus() const;
  Status CheckInvariants() const;

 private:
  friend class RawNodePeer;  // For tests: sets the random election timeout.

  RawNode(std::unique_ptr<Raft> raft, bool async_storage_writes);
  bool ApplyUnstable() const { return !async_; }
  PersistAck TakePersistAck(const Ready& ready);
  Status ProposeChange(EntryType type, std::string data);

  std::unique_ptr<Raft> raft_;
  bool async_;
  SoftState previous_soft_;
  HardState previous_hard_;
  std::vector<Entry> batch_;  // Scratch of ProposeBatch.
  // Without async writes: what Advance does.
  bool advance_pending_ = false;
  PersistAck advance_persist_;
  ApplyAck advance_apply_;
};

// More elections than any member can have missed.
inline constexpr Term kTermStepMax = Term{1} << 32;

// The error of a proposal that was not taken, and may be tried again.
bool IsProposalDropped(const Status& status);

}  // namespace quorate::raft
