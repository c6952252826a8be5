// One member: proposes, logs, applies, answers. The deterministic core behind every request; see
// ARCHITECTURE.md.
//
// Owner: the core thread. Nothing here waits: calls queue work, EndOfRound() moves it on, disks answer
// through Env::executor, and replies run on the core thread, in the round in which their entry is applied.
//
// Invariants:
//
//  M1  applied_index() <= committed index; entries are applied once, in order, one at a time.
//
//  M2  At most one log write is under way; what is appended meanwhile goes into the next one (group commit).
//
//  M3  An entry is acknowledged to raft, and so can commit, only after the log write that holds it was
//  synced.
//
//  M4  A reply to a write runs after the entry was applied; so it is durable.
//
//  M5  A linearizable read runs at a state that holds everything committed when it was asked for.
//
//  M6  store(), lessor(), alarms() and membership() may be other objects after any round in which a leader's
//      snapshot was restored; watch_hub() and auth() stay.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "auth/auth_store.h"
#include "base/env.h"
#include "base/status.h"
#include "cluster/membership.h"
#include "cluster/v2_store.h"
#include "lease/lessor.h"
#include "mvcc/backend.h"
#include "mvcc/store.h"
#include "mvcc/watch_hub.h"
#include "mvcc/watch_store_history.h"
#include "raft/raw_node.h"
#include "server/alarms.h"
#include "server/applier.h"
#include "server/auto_compaction.h"
#include "server/auto_defrag.h"
#include "server/config.h"
#include "server/lost_log_guard.h"
#include "server/metrics.h"
#include "server/request_id.h"
#include "server/requests.h"
#include "server/transport.h"
#include "wal/snap_files.h"
#include "wal/wal.h"

namespace quorate::server {

class Member {
 public:
  // Opens or creates the data directory; reads and replays on the caller's thread. An error names the file
  // and the way out, and nothing was changed.
  // `transport`: null for a member that will always be alone; else it outlives the member.
  static StatusOr<std::unique_ptr<Member>> Open(const Config& config, const Env& env,
                                                Transport* transport = nullptr);
  // Whether the directory holds a member; else Open makes the first log of one.
  static StatusOr<bool> HasLog(const Config& config, FileSystem* files);
  ~Member();
  Member(const Member&) = delete;
  Member& operator=(const Member&) = delete;

  // ---- driven by the loop ----
  // Every Config::tick_nanos.
  void Tick();
  // After all events of a round: proposes, logs, applies, commits batches.
  void EndOfRound();
  // True while there is background work that wants further rounds without waiting for an event.
  bool WantsRound() const { return store_->busy(); }
  // Ends: refuses what waits, writes out the log and the database. Runs on the caller's thread; afterwards
  // only the destructor may be called. The executor must be idle (Shutdown) before.
  Status Close();
  // From now on new requests fail with "etcdserver: server stopped".
  void BeginStop();

  // ---- from other members (transport.h) ----
  // NotFound for a message to another member, PermissionDenied from a removed one; raft's errors. What raft
  // drops is dropped.
  Status Step(raft::Message message, MessagePath path);
  void ReportUnreachable(uint64_t id) { raft_->ReportUnreachable(id); }
  void ReportSnapshot(uint64_t id, bool ok);
  // Another member has refused us as one who was removed from the cluster: the program ends.
  void OnRefusedAsRemoved();

  // ---- leadership ----
  // Hands the leadership to a voter. `done` runs when that one leads, with ErrTimeoutLeaderTransfer after a
  // request's time, or with the reason why it can't be.
  void TransferLeadership(uint64_t to, std::function<void(const Status&)> done);
  // Before a clean end: to the voter that has been connected longest, if this member leads and there is one.
  // `done` runs at the latest after two election timeouts.
  void HandOver(std::function<void()> done);
  // Raft's view of the others; empty but on a leader.
  std::map<uint64_t, raft::Progress> progress() const { return raft_->GetStatus().progress; }
  raft::BasicStatus raft_status() const { return raft_->GetBasicStatus(); }
  // Of consensus, membership, leases and watches; for tests and the simulator.
  Status CheckInvariants() const;

  // ---- requests ----
  // Through the log. `reply` runs once: applied, refused, or timed out. `body` is the encoded request of that
  // kind.
  void Propose(EntryKind kind, std::string_view body, const auth::AuthInfo& who, Reply reply);
  void ProposePut(const PutRequest& request, const auth::AuthInfo& who, Reply reply);
  // A membership change, already checked against the members.
  void ProposeConfChange(raft::ConfChange change, Reply reply);
  // In the form of etcd 3.4 and 3.5; `request.id` is of NextRequestId.
  void ProposeV2(const cluster::V2Request& request, Reply reply);
  // `done` runs when a read now is linearizable, or with the error; `bytes` is what it keeps meanwhile of the
  // request. What waits is bounded: beyond that, ErrTooManyRequests.
  void WhenLinearizable(std::function<void(const Status&)> done, size_t bytes = 0);

  uint64_t NextRequestId() { return request_ids_.Next(); }

  // Whom the token of a request belongs to; {} when authentication is off. InvalidAuthToken for an unknown
  // token.
  StatusOr<auth::AuthInfo> Identify(std::string_view token);

  // Whether a write of this cost (etcd: storage/quota.go) fits. A refusal raises the NOSPACE alarm.
  bool QuotaAvailable(int64_t cost);

  // ---- state ----
  uint64_t id() const { return id_; }
  uint64_t cluster_id() const { return cluster_id_; }
  uint64_t term() const { return term_; }
  uint64_t leader() const { return leader_; }
  bool is_leader() const { return leader_ == id_; }
  uint64_t applied_index() const { return applied_index_; }
  uint64_t committed_index() const { return committed_index_; }
  Status CheckTxnPermitted(const auth::AuthInfo& who, const etcdserverpb::TxnRequest& txn) {
    return applier_->CheckTxnPermitted(who, txn);
  }
  LeasePermissions& lease_permissions() { return applier_->lease_permissions(); }
  uint64_t pending_proposals() const { return pending_.size(); }
  // No v2-style entry lies behind the newest snapshot: etcd 3.7 can read the log.
  bool v2_entries_covered() const { return v2_entry_index_ <= snapshot_index_; }
  // Soon, however few entries there are behind the last one.
  void MakeSnapshot() { snapshot_wanted_ = true; }
  // For responses: revision is the store's present one.
  ResponseHeader header() const;
  // Local membership has caught up with the log, the name is published: clients may come.
  bool ready() const { return ready_; }
  void OnReady(std::function<void()> fn);
  // The member was removed from the cluster; the program ends. Runs some time after the others could hear of
  // it.
  void OnRemoved(std::function<void()> fn) { on_removed_ = std::move(fn); }

  // What stands between this member and the others if its log went back in time. While it says quarantined(),
  // every request is refused with ErrQuarantined.
  LostLogGuard& lost_log() { return *guard_; }
  Status QuarantineRefusal() const;
  // The member has become quarantined; runs at once if it is.
  void OnQuarantined(std::function<void()> fn);

  // Null when the member is alone for ever.
  Transport* transport() { return transport_; }
  wal::SnapshotFiles& snapshot_files() { return *snapshots_; }
  const Config& config() const { return config_; }
  const Env& env() const { return env_; }
  int64_t now() const { return env_.clock->MonotonicNanos(); }
  mvcc::Store& store() { return *store_; }
  mvcc::Backend& backend() { return *backend_; }
  mvcc::WatchHub& watch_hub() { return *watch_hub_; }
  lease::Lessor& lessor() { return *lessor_; }
  auth::AuthStore& auth() { return *auth_; }
  cluster::Membership& membership() { return *membership_; }
  bool is_learner() const { return membership_->local() != nullptr && membership_->local()->is_learner; }
  Alarms& alarms() { return *alarms_; }
  KvApplier& kv() { return applier_->kv(); }
  Metrics& metrics() { return metrics_; }
  int64_t quota_bytes() const;

 private:
  struct Pending {
    Reply reply;
    int64_t started_nanos = 0;
  };
  struct AskedRead {
    int64_t started_nanos = 0;
    size_t bytes = 0;
    std::function<void(const Status&)> done;
  };
  struct WaitingRead {
    uint64_t index = 0;
    AskedRead read;
  };

  struct Directories {
    std::string member, snap, wal, db;
  };
  static Directories Layout(const Config& config);

  // The state that a leader's snapshot replaces as a whole.
  struct Parts {
    std::unique_ptr<mvcc::Backend> backend;
    std::unique_ptr<lease::Lessor> lessor;
    std::unique_ptr<mvcc::Store> store;
    std::unique_ptr<Alarms> alarms;
  };

  Member(const Config& config, const Env& env, Transport* transport);

  // member_open.cc: from the directory to a running state.
  Status CreateFirstLog();
  StatusOr<wal::WalMetadata> WriteFirstRecords(const std::string& directory);
  StatusOr<std::vector<cluster::Member>> InitialMembers() const;
  Status Recover();
  Status MakeAlone(const raft::Snapshot* snapshot, wal::LogContents* log);
  Status CheckLog(const raft::Snapshot* snapshot, const wal::LogContents& log) const;
  StatusOr<std::string> ChooseDatabase(uint64_t snapshot_index, uint64_t last_index, bool alone) const;
  StatusOr<Parts> OpenParts() const;
  Status InstallParts(Parts parts, const raft::Snapshot* snapshot);
  void MakeApplier();
  void MakeAutomatic();
  Status OpenState(const raft::Snapshot* snapshot);
  Status StartRaft(std::shared_ptr<const raft::Snapshot> snapshot, wal::LogContents log);
  wal::WalOptions WalOptions() const;

  // member.cc: proposals, reads, time.
  auth::AuthInfo OwnIdentity() const;
  void RaiseNoSpace();
  void AskRead(std::function<void(const Status&)> done, size_t bytes);
  void EndRead(const AskedRead& read, const Status& status);
  void OnReadState(const raft::ReadState& state);
  void Enqueue(std::string data, uint64_t id, Reply reply);
  void FlushProposals();
  void DropExpiredProposals();
  void FlushReads();
  void RunReadyReads();
  void ExpireWaiting(int64_t now);
  void FailAllWaiting(const Status& status);
  void RevokeExpiredLeases();
  void ProposeCheckpoints();
  void CampaignIfAlone();
  bool MayPublish() const;
  bool LeadershipConfirmed(int64_t time);
  void BecomeReady();

  // member_cluster.cc: the other members.
  Status OpenGuard(const raft::Snapshot* snapshot, const wal::LogContents& log);
  Status CloseGuard();
  void OnQuarantine();
  Status StepChecked(raft::Message message, MessagePath path);
  Status StepRaft(raft::Message message);
  // Databases that came with snapshots: this one, which raft has not taken; all up to this index, which raft
  // can't take any more.
  void DropReceived(uint64_t index);
  void ReleaseReceived(uint64_t index);
  // What a new request is told; OK: it may go on.
  Status Refusal() const;
  void SendMessages(std::vector<raft::Message> messages);
  void SendSnapshot(raft::Message message);
  void ConnectMembers();
  void FollowChange(const cluster::AppliedChange& change);
  void HoldForwarded(std::vector<raft::Entry> entries);
  void FlushForwarded();
  void FinishTransfer();
  void EndRemoved();
  void AdvanceFirstElection();
  Status TimeoutError(int64_t started_nanos) const;
  bool HasPeers() const;

  // member_restore.cc: a snapshot from the leader takes the place of everything.
  void BeginRestore(raft::Ready ready);
  void LogRestored(raft::Ready ready);
  void OpenRestored();
  void FinishRestore(Parts parts);

  // member_log.cc: raft's output to the log and back.
  void DrainRaft();
  void HandleReady(raft::Ready ready);
  static void HoldVoteRequests(raft::Ready* ready);
  void Persist(raft::Ready ready);
  void StartLogWrite();
  void OnLogWritten(const Status& status, wal::WalBatch batch, size_t acks);
  void AcknowledgeLog(size_t acks);
  void PrepareSpareSegment();
  void OnLeaderChange(const raft::SoftState& state);
  void TrimRaftLog();

  // member_apply.cc: committed entries.
  void ApplyCommitted(std::vector<raft::Entry> entries, const raft::ApplyAck& ack);
  void ApplyWaiting();
  // False when the entry has to wait; nothing is changed then.
  bool ApplyEntry(const raft::Entry& entry);
  bool ApplyNormal(const raft::Entry& entry);
  bool HashFirst(const EntryView& view);
  void PersistHeld();
  void ApplyV2(const raft::Entry& entry);
  void EndAt(const raft::Entry& entry, const Status& why);
  Status ApplyClusterEntry(const EntryView& view);
  void ApplyConfChange(const raft::Entry& entry);
  Reply TakeReply(uint64_t id);
  void Publish();
  void ProposeCompaction(int64_t revision, std::function<void(bool)> done);
  void MaybeSnapshot();
  Status FollowVersion(uint64_t entry_index);
  void FinishSnapshot(const raft::Snapshot& snapshot);
  void ReleaseLog(uint64_t index);
  void Purge();

  const Config config_;
  const Env env_;
  Transport* const transport_;
  const Directories dirs_;
  uint64_t id_ = 0;
  uint64_t cluster_id_ = 0;

  std::unique_ptr<mvcc::Backend> backend_;
  std::unique_ptr<lease::Lessor> lessor_;
  std::unique_ptr<mvcc::Store> store_;
  std::unique_ptr<mvcc::StoreHistory> history_;
  std::unique_ptr<mvcc::WatchHub> watch_hub_;
  std::unique_ptr<auth::AuthStore> auth_;
  std::unique_ptr<cluster::Membership> membership_;
  std::unique_ptr<Alarms> alarms_;
  std::unique_ptr<Applier> applier_;
  std::unique_ptr<AutoCompaction> auto_compaction_;
  std::unique_ptr<AutoDefrag> auto_defrag_;

  std::unique_ptr<wal::Wal> wal_;
  std::unique_ptr<wal::SnapshotFiles> snapshots_;
  raft::MemoryStorage raft_storage_;
  std::unique_ptr<raft::RawNode> raft_;
  std::unique_ptr<LostLogGuard> guard_;
  bool first_start_ = false;  // The log was made by this start.
  raft::ConfState conf_state_;

  // Readies whose records are in the log's buffer or on their way to the disk, oldest first.
  struct InFlightReady {
    std::vector<raft::Entry> entries;
    std::optional<raft::HardState> hard_state;
    raft::PersistAck ack;
  };
  std::deque<InFlightReady> in_flight_;
  bool log_writing_ = false;
  bool spare_pending_ = false;

  // A leader's snapshot on its way into its place; null: none. Until it is there nothing else is persisted or
  // applied, so what raft wants meanwhile waits.
  struct Restore {
    std::shared_ptr<const raft::Snapshot> snapshot;
    raft::PersistAck ack;
    bool logged = false;  // Its record is on its way into the log, or in it.
  };
  std::unique_ptr<Restore> restore_;
  std::deque<raft::Ready> held_;
  std::set<uint64_t> dropping_;  // The indexes of received databases that are being removed.

  // Committed entries behind one that waits for the hash of its password; empty: none waits. A snapshot is
  // held meanwhile.
  struct Committed {
    std::vector<raft::Entry> entries;
    raft::ApplyAck ack;
    size_t next = 0;
  };
  std::deque<Committed> to_apply_;

  RequestIds request_ids_;
  absl::flat_hash_map<uint64_t, Pending> pending_;
  std::deque<std::pair<int64_t, uint64_t>>
      pending_by_time_;                   // Start and id; ids already answered stay until they are old.
  size_t proposals_bytes_ = 0;            // Of proposals_.
  std::vector<raft::Payload> proposals_;  // Not yet given to raft.
  std::vector<uint64_t> proposal_ids_;    // Theirs; those that timed out come first.

  size_t reads_bytes_ = 0;        // Of all reads below.
  std::vector<AskedRead> reads_;  // Not yet asked of raft.
  std::vector<AskedRead> reads_asked_;
  uint64_t read_round_ = 0;  // Context of the read-index round under way; 0: none.
  int64_t read_round_started_ = 0;
  std::deque<WaitingRead> reads_waiting_;  // For apply; by index.

  // Proposals that followers have forwarded while the leadership was being handed over, with the time at
  // which their own members stop to wait for them.
  std::deque<std::pair<int64_t, raft::Payload>> forwarded_;
  size_t forwarded_bytes_ = 0;
  struct Transfer {
    uint64_t to = 0;
    int64_t deadline_nanos = 0;
    std::function<void(const Status&)> done;
  };
  std::optional<Transfer> transfer_;
  size_t snapshots_sending_ = 0;
  int64_t snapshot_sent_nanos_ = 0;  // When the last one ended; 0: never.
  int64_t leader_since_nanos_ = 0;   // When the present leader was first seen.
  int64_t opened_nanos_ = 0;
  bool first_election_advanced_ = false;
  bool removed_ = false;
  int removed_ticks_ = 0;  // Until on_removed_ runs.
  int64_t leadership_confirmed_nanos_ = 0;
  bool confirming_leadership_ = false;

  uint64_t term_ = 0;
  uint64_t leader_ = 0;
  uint64_t applied_index_ = 0;
  uint64_t applied_term_ = 0;
  uint64_t committed_index_ = 0;
  uint64_t snapshot_index_ = 0;
  uint64_t v2_entry_index_ = 0;  // Of the last v2-style entry applied.
  bool snapshot_wanted_ = false;
  bool snapshot_writing_ = false;
  bool no_space_asked_ = false;
  bool stopping_ = false;
  bool publish_pending_ = false;
  bool ready_ = false;
  std::vector<std::function<void()>> on_ready_;
  std::function<void()> on_removed_;
  std::function<void()> on_quarantined_;
  std::deque<int64_t> leases_to_revoke_;
  size_t revocations_under_way_ = 0;
  uint64_t release_index_ = 0;  // Of a snapshot whose record is on its way into the log; 0: none.
  int64_t purge_round_nanos_ = 0;
  Metrics metrics_;
};

}  // namespace quorate::server
