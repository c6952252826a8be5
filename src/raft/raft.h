// The consensus state machine behind RawNode. Internal to this folder: others include raft/raw_node.h.
//
// One class, its code split by role: raft.cc (start, terms, sending, what every role does), election.cc,
// leader.cc (proposals, acknowledgements, transfer), replication.cc (appends, snapshots, heartbeats to
// followers), follower.cc, membership.cc, read_index.cc. Invariants: see raw_node.h.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "raft/confchange.h"
#include "raft/log.h"
#include "raft/raw_node.h"
#include "raft/read_only.h"
#include "raft/tracker.h"

namespace quorate::raft {

enum class CampaignType { kPreElection, kElection, kTransfer };

class Raft {
 public:
  static StatusOr<std::unique_ptr<Raft>> Create(const Config& config);

  void Tick();
  // A message from another member, from this one to itself, or a local one.
  Status Step(Message message);
  // Moves from `entries` (their data and type) on success only.
  Status Propose(std::span<Entry> entries);
  void ReadIndex(Payload context);
  StatusOr<ConfState> ApplyConfChange(const ConfChangeV2& change);

  // The storage has what the ack says; its messages are not looked at.
  void StorageAppended(const PersistAck& ack);
  void StorageApplied(const ApplyAck& ack);

  SoftState soft_state() const { return {lead_, role_}; }
  HardState hard_state() const { return {term_, vote_, log_.committed()}; }
  Status CheckInvariants() const;

 private:
  friend class RawNode;
  friend class RawNodePeer;

  Raft(const Config& config, Logger& logger);
  Status Load(const Config& config);

  // raft.cc
  void Send(Message message);
  void Reset(Term term);
  void BecomeFollower(Term term, NodeId lead);
  // False if that was all there is to do for the message.
  bool HandleTerm(const Message& m);
  void HandleHigherTerm(const Message& m);
  void HandleLowerTerm(const Message& m);
  void AppliedTo(Index index, uint64_t encoded_bytes);
  void AppliedSnapshot(const Snapshot& snapshot);
  bool CommittedInCurrentTerm() const { return log_.TermOrZero(log_.committed()) == term_; }
  Status Dropped() const;

  // election.cc
  void TickElection();
  bool Promotable() const;
  // Above applied, up to `last` <= committed.
  bool HasUnappliedConfChanges(Index last) const;
  bool InLease(const Message& m) const;
  void Hup(CampaignType type);
  void Campaign(CampaignType type);
  void BecomeCandidate();
  void BecomePreCandidate();
  void BecomeLeader();
  void HandleVoteRequest(const Message& m);
  void HandleVoteResponse(const Message& m);
  Status StepCandidate(Message& m);

  // leader.cc
  void TickHeartbeat();
  Status StepLeader(Message& m);
  void HandleCheckQuorum();
  Status LeaderPropose(std::span<Entry> entries);
  Status FilterConfChange(Entry& entry, Index index);
  bool AppendEntries(std::span<Entry> entries);
  void HandleAppendResponse(const Message& m, Progress& member);
  void HandleAppendRejected(const Message& m, Progress& member);
  void HandleAppendAccepted(const Message& m, Progress& member);
  void HandleHeartbeatResponse(const Message& m, Progress& member);
  void HandleSnapshotStatus(const Message& m, Progress& member);
  void HandleTransferLeader(const Message& m, Progress& member);
  bool MaybeCommit();

  // replication.cc
  void SendAppend(NodeId to) { MaybeSendAppend(to, true); }
  bool MaybeSendAppend(NodeId to, bool send_if_empty);
  bool MaybeSendSnapshot(NodeId to, Progress& member);
  void SendHeartbeat(NodeId to, const std::string& context);
  void SendTimeoutNow(NodeId to);
  void BroadcastAppend();
  void BroadcastHeartbeat();

  // follower.cc
  Status StepFollower(Message& m);
  void HearLeader(NodeId from);
  bool ConsistentAppend(const Message& m) const;
  void HandleAppend(Message& m);
  bool AppendFrom(Message& m, bool* contradiction);
  void HandleHeartbeat(const Message& m);
  void HandleSnapshot(const Message& m);
  bool RestoreSnapshot(const std::shared_ptr<const Snapshot>& snapshot);

  // membership.cc
  ConfState SwitchTo(ChangedConfig changed);
  void MaybeLeaveJoint(Index applied);

  // read_index.cc
  void LeaderReadIndex(ReadRequest request);
  void ConfirmRead(ReadRequest request);
  void AnswerRead(const ReadRequest& request);
  void ReleasePendingReads();

  const NodeId id_;
  const int election_timeout_;
  const int heartbeat_timeout_;
  const uint64_t max_msg_size_;
  const uint64_t max_uncommitted_size_;
  const bool check_quorum_;
  const bool pre_vote_;
  const bool disable_proposal_forwarding_;
  const bool disable_conf_change_validation_;
  const bool step_down_on_removal_;
  const ReadOnlyOption read_only_option_;
  Logger& logger_;
  Random& random_;

  Term term_ = 0;
  NodeId vote_ = kNone;
  NodeId lead_ = kNone;
  Role role_ = Role::kFollower;
  bool learner_ = false;
  bool may_campaign_ = true;  // See RawNode::SetMayCampaign.
  Log log_;
  ProgressTracker tracker_;

  // Ticks since the election timeout was last restarted: on a leader by itself, on others by word from the
  // leader.
  int election_elapsed_ = 0;
  int heartbeat_elapsed_ = 0;
  int randomized_election_timeout_ = 0;

  // Leader only.
  NodeId lead_transferee_ = kNone;
  Index pending_conf_index_ = 0;   // No further change of membership until this is applied.
  uint64_t uncommitted_size_ = 0;  // Payload bytes; an estimate from below.
  ReadOnly read_only_;
  std::vector<ReadRequest> pending_reads_;  // Came before this leader committed in its term.

  Index claimed_commit_ = 0;  // See BasicStatus.

  // Out. Those in messages_after_append_ wait for all that is unstable now, and may be to this node itself.
  std::vector<Message> messages_;
  std::vector<Message> messages_after_append_;
  std::vector<ReadState> read_states_;
};

}  // namespace quorate::raft
