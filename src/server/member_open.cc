// From a data directory to a member: a new one is made, an old one recovered. An error leaves the directory
// as it was, except where it says otherwise.
#include <algorithm>
#include <optional>
#include <span>
#include <utility>

#include "base/logging.h"
#include "cluster/member.h"
#include "cluster/urls.h"
#include "cluster/v2_request.h"
#include "server/data_directory.h"
#include "server/database_check.h"
#include "server/log_members.h"
#include "server/member.h"
#include "server/own_directory.h"
#include "server/standalone.h"
#include "server/sync_failure.h"
#include "wal/log_reader.h"

namespace quorate::server {
namespace {

constexpr uint32_t kDirectoryMode = 0700;
constexpr uint64_t kMessageBytesMax = 1024 * 1024;  // etcd: maxSizePerMsg
constexpr int kInflightMessagesMax = 512;
constexpr uint64_t kUncommittedBytesMax = uint64_t{1} << 30;  // etcd: maxUncommittedEntriesSize

std::string Parent(const std::string& path) {
  const size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

// With all missing parents, and durable: what is synced inside would else be lost with the name of its
// directory. One that is there may have been made by a process that was killed before it got to syncing.
Status MakeDirectory(FileSystem* files, const std::string& path) {
  const std::string parent = Parent(path);
  if (files->Exists(path)) {
    if (const Status synced = files->SyncDirectory(parent); !synced.ok()) {
      LOG_WARN("failed to sync a directory", {"path", parent}, {"error", Message(synced)});
    }
    return absl::OkStatus();
  }
  if (parent != path) QUORATE_RETURN_IF_ERROR(MakeDirectory(files, parent));
  QUORATE_RETURN_IF_ERROR(files->CreateDirectories(path, kDirectoryMode));
  return files->SyncDirectory(parent);
}

// Nothing of the user's is deleted.
Status CheckMayCreateLog(FileSystem* files, const std::string& directory) {
  const auto names = files->List(directory);
  if (absl::IsNotFound(names.status())) return absl::OkStatus();
  if (!names.ok()) return names.status();
  for (const std::string& name : *names) {
    if (name.ends_with(".tmp")) continue;
    return FailedPrecondition(directory + " holds " + name +
                              " and no write-ahead log: move it away, or name another directory");
  }
  return absl::OkStatus();
}

std::string WithoutTrailingSlash(std::string path) {
  while (path.size() > 1 && path.ends_with('/')) path.pop_back();
  return path;
}

// No entry may hold data of the v2 API: applied or not, it would be lost.
Status CheckV2(const std::vector<raft::Entry>& entries) {
  for (const raft::Entry& entry : entries) {
    if (entry.type != raft::EntryType::kNormal || !cluster::IsV2Request(entry.data.view())) continue;
    QUORATE_ASSIGN_OR_RETURN(const cluster::V2Request request, cluster::DecodeV2Request(entry.data.view()));
    uint64_t member_id = 0;
    QUORATE_RETURN_IF_ERROR(cluster::ClassifyV2Request(request, &member_id).status());
  }
  return absl::OkStatus();
}

// The database reaches everything that was acknowledged, and is enough for a member of its own.
std::string AloneWayOut(const std::string& database) {
  return "; --force-new-cluster can't make up for that; what " + database +
         " holds is brought back by quorateutl snapshot restore --skip-hash-check " + database;
}

Status CheckNotRemoved(const std::string& data_dir, const wal::LogContents& log, raft::Index committed) {
  QUORATE_ASSIGN_OR_RETURN(const bool removed, WasRemoved(log, committed));
  if (!removed) return absl::OkStatus();
  return FailedPrecondition("the member of " + data_dir +
                            " was removed from its cluster; to come back it is added again under a new ID "
                            "(member add) and starts with an empty data directory");
}

}  // namespace

Member::Directories Member::Layout(const Config& config) {
  Directories d;
  d.member = WithoutTrailingSlash(config.data_dir) + "/member";
  d.snap = d.member + "/snap";
  d.wal = config.wal_dir.empty() ? d.member + "/wal" : WithoutTrailingSlash(config.wal_dir);
  d.db = d.snap + "/db";
  return d;
}

StatusOr<bool> Member::HasLog(const Config& config, FileSystem* files) {
  return wal::LogExists(files, Layout(config).wal);
}

StatusOr<std::unique_ptr<Member>> Member::Open(const Config& config, const Env& env, Transport* transport) {
  std::unique_ptr<Member> member(new Member(config, env, transport));
  QUORATE_RETURN_IF_ERROR(CheckDataDirectory(env.files, config.data_dir));
  // Before anything is read: it may not be what the disk holds.
  QUORATE_RETURN_IF_ERROR(RepairAfterFailedSync(
      env.files, SyncFailureMark(env.files, config.data_dir, config.lost_log),
      {member->dirs_.wal, member->dirs_.db, OwnDirectory(config.data_dir) + "/peer-memory"}));
  QUORATE_ASSIGN_OR_RETURN(const bool has_log, HasLog(config, env.files));
  member->first_start_ = !has_log;
  if (!has_log) QUORATE_RETURN_IF_ERROR(member->CreateFirstLog());
  QUORATE_RETURN_IF_ERROR(member->Recover());
  member->PrepareSpareSegment();
  return member;
}

// A member without a log: one of the first of a new cluster, whose log begins with the entries that add them
// all, or one that joins, whose log is empty. What follows is the same as a restart.
Status Member::CreateFirstLog() {
  if (env_.files->Exists(dirs_.db)) {
    return FailedPrecondition(
        dirs_.db + " exists, but there is no log in " + dirs_.wal +
        ": point --wal-dir to it if it was moved, or restore the member from a snapshot; to begin "
        "anew, move " +
        config_.data_dir + " away");
  }
  QUORATE_RETURN_IF_ERROR(InitialMembers().status());
  QUORATE_RETURN_IF_ERROR(MakeDirectory(env_.files, dirs_.snap));
  QUORATE_RETURN_IF_ERROR(MakeDirectory(env_.files, Parent(dirs_.wal)));
  QUORATE_RETURN_IF_ERROR(CheckMayCreateLog(env_.files, dirs_.wal));
  // Built beside its place: a log without these first entries would be one of a cluster without members.
  const std::string building = dirs_.wal + ".new";
  QUORATE_RETURN_IF_ERROR(env_.files->RemoveAll(building));
  QUORATE_ASSIGN_OR_RETURN(const wal::WalMetadata metadata, WriteFirstRecords(building));
  LOG_INFO("starting local member", log::HexId("local-member-id", metadata.node_id),
           log::HexId("cluster-id", metadata.cluster_id));
  QUORATE_RETURN_IF_ERROR(env_.files->RemoveAll(dirs_.wal));
  QUORATE_RETURN_IF_ERROR(env_.files->Rename(building, dirs_.wal));
  return env_.files->SyncDirectory(Parent(dirs_.wal));
}

// Of the cluster that this member is the first of or joins, ascending by ID, with the names of
// --initial-cluster; this member, by its name, among them.
StatusOr<std::vector<cluster::Member>> Member::InitialMembers() const {
  QUORATE_ASSIGN_OR_RETURN(const cluster::InitialCluster initial,
                           cluster::ParseInitialCluster(config_.initial_cluster));
  std::vector<cluster::Member> members;
  if (config_.new_cluster) {
    QUORATE_RETURN_IF_ERROR(cluster::VerifyBootstrap(initial, config_.name, config_.advertise_peer_urls, {}));
    QUORATE_ASSIGN_OR_RETURN(members, cluster::InitialMembers(initial, config_.initial_cluster_token));
  } else {
    QUORATE_RETURN_IF_ERROR(cluster::VerifyJoinExisting(initial, config_.name));
    if (!config_.remote_cluster) {
      return FailedPrecondition(
          "--initial-cluster-state=existing: no member of the cluster has answered, and " + config_.data_dir +
          " holds no member yet; start the others first, or correct --initial-cluster");
    }
    members = config_.remote_cluster->members;
  }
  if (members.size() > 1 && transport_ == nullptr) {
    return FailedPrecondition("--initial-cluster names " + std::to_string(members.size()) +
                              " members, and this one can't talk to others");
  }
  const bool named = std::any_of(members.begin(), members.end(), [this](const cluster::Member& member) {
    return member.attributes.name == config_.name;
  });
  if (!named) return FailedPrecondition("--initial-cluster has no member of the name " + config_.name);
  return members;
}

StatusOr<wal::WalMetadata> Member::WriteFirstRecords(const std::string& directory) {
  QUORATE_ASSIGN_OR_RETURN(const std::vector<cluster::Member> members, InitialMembers());
  wal::WalMetadata metadata;
  std::vector<uint64_t> ids;
  for (const cluster::Member& member : members) {
    ids.push_back(member.id);
    if (member.attributes.name == config_.name) metadata.node_id = member.id;
  }
  metadata.cluster_id =
      config_.new_cluster ? cluster::ComputeClusterId(ids) : config_.remote_cluster->cluster_id;
  QUORATE_ASSIGN_OR_RETURN(const auto log, wal::Wal::Create(env_.files, directory, metadata, WalOptions()));
  if (config_.new_cluster) {
    const cluster::Bootstrap bootstrap = cluster::MakeBootstrap(members);
    log->Append(bootstrap.entries, bootstrap.hard_state);
    QUORATE_RETURN_IF_ERROR(log->WriteAndSync(log->TakeBatch()));
  }
  QUORATE_RETURN_IF_ERROR(log->Close());
  return metadata;
}

wal::WalOptions Member::WalOptions() const {
  wal::WalOptions options;
  options.segment_bytes = config_.wal_segment_bytes;
  options.sync = config_.sync;
  options.clock = env_.clock;
  return options;
}

Status Member::Recover() {
  QUORATE_ASSIGN_OR_RETURN(const auto valid, wal::ValidSnapshots(env_.files, dirs_.wal));
  snapshots_ = std::make_unique<wal::SnapshotFiles>(env_.files, dirs_.snap);
  std::optional<raft::Snapshot> snapshot;
  if (env_.files->Exists(dirs_.snap)) {
    QUORATE_ASSIGN_OR_RETURN(snapshot, snapshots_->LoadNewest(valid));
  }
  if (snapshot) {
    // Refused before anything is changed; loaded again below, when the IDs are known.
    QUORATE_RETURN_IF_ERROR(cluster::V2Store::Parse(snapshot->data).status());
  }
  wal::WalSnapshot start;
  if (snapshot) start = {snapshot->metadata.index, snapshot->metadata.term, std::nullopt};
  wal::LogContents log;
  wal::WalOptions options = WalOptions();
  std::string database = dirs_.db;
  options.accept = [&](const wal::LogContents& contents) -> Status {
    QUORATE_RETURN_IF_ERROR(CheckLog(snapshot ? &*snapshot : nullptr, contents));
    QUORATE_ASSIGN_OR_RETURN(const bool alone, IsAlone(snapshot ? &*snapshot : nullptr, contents));
    QUORATE_ASSIGN_OR_RETURN(database, ChooseDatabase(snapshot ? snapshot->metadata.index : 0,
                                                      LastIndex(snapshot ? &*snapshot : nullptr, contents),
                                                      alone || config_.force_new_cluster));
    if (!config_.force_new_cluster) return absl::OkStatus();
    QUORATE_ASSIGN_OR_RETURN(const raft::Index applied, ReadConsistentIndex(env_.files, database));
    return CheckNotRemoved(config_.data_dir, contents, applied);
  };
  QUORATE_ASSIGN_OR_RETURN(wal_, wal::Wal::Open(env_.files, dirs_.wal, start, std::move(options), &log));
  QUORATE_RETURN_IF_ERROR(MakeDirectory(env_.files, dirs_.snap));
  QUORATE_RETURN_IF_ERROR(MakeDirectory(env_.files, dirs_.wal));
  if (database != dirs_.db) {
    QUORATE_RETURN_IF_ERROR(env_.files->Rename(database, dirs_.db));
    QUORATE_RETURN_IF_ERROR(env_.files->SyncDirectory(dirs_.snap));
  }
  id_ = log.metadata.node_id;
  cluster_id_ = log.metadata.cluster_id;
  request_ids_ = RequestIds(id_, env_.clock->WallNanos());
  QUORATE_RETURN_IF_ERROR(snapshots_->RemoveTemporary());
  if (config_.force_new_cluster) QUORATE_RETURN_IF_ERROR(MakeAlone(snapshot ? &*snapshot : nullptr, &log));
  QUORATE_RETURN_IF_ERROR(OpenState(snapshot ? &*snapshot : nullptr));
  return StartRaft(snapshot ? std::make_shared<raft::Snapshot>(*std::move(snapshot)) : nullptr,
                   std::move(log));
}

Status Member::CheckLog(const raft::Snapshot* snapshot, const wal::LogContents& log) const {
  const uint64_t last = LastIndex(snapshot, log);
  QUORATE_ASSIGN_OR_RETURN(const bool alone, IsAlone(snapshot, log));
  // One of several is quarantined for it (OpenGuard).
  if (log.hard_state.commit > last && (alone || config_.force_new_cluster)) {
    return DataLoss("the log in " + dirs_.wal + " says that index " + std::to_string(log.hard_state.commit) +
                    " is committed and ends at " + std::to_string(last) +
                    ": it has lost its end; restore the member from a snapshot" +
                    (config_.force_new_cluster ? AloneWayOut(dirs_.db) : ""));
  }
  QUORATE_RETURN_IF_ERROR(CheckNotRemoved(config_.data_dir, log, log.hard_state.commit));
  if (transport_ == nullptr && !alone && !config_.force_new_cluster) {
    QUORATE_ASSIGN_OR_RETURN(const LogMembers members, MembersAtEnd(snapshot, log));
    return FailedPrecondition(config_.data_dir + " belongs to a cluster of " +
                              std::to_string(members.size()) + " members, and this one can't talk to others");
  }
  return CheckV2(log.entries);
}

// --force-new-cluster. What the database holds was committed.
Status Member::MakeAlone(const raft::Snapshot* snapshot, wal::LogContents* log) {
  QUORATE_ASSIGN_OR_RETURN(const raft::Index applied, ReadConsistentIndex(env_.files, dirs_.db));
  const raft::Index committed = std::max(applied, snapshot == nullptr ? 0 : snapshot->metadata.index);
  QUORATE_ASSIGN_OR_RETURN(const Standalone alone,
                           MakeStandalone(snapshot, committed, config_.advertise_peer_urls, log));
  for (const raft::Index index : alone.emptied) {
    LOG_WARN("forcing a new cluster: an entry that this member can't go on with has no effect",
             {"index", index});
  }
  const auto changed = std::span(log->entries).subspan(alone.first_new);
  if (changed.empty()) {
    LOG_WARN("this member is the only one of its cluster already: take --force-new-cluster away",
             log::HexId("local-member-id", id_));
  } else {
    LOG_WARN("forcing a new cluster of this member alone", log::HexId("local-member-id", id_),
             {"removed-members", alone.removed_members});
  }
  wal_->Append(changed, log->hard_state);
  wal_->RequestSync();
  return wal_->WriteAndSync(wal_->TakeBatch());
}

// The database must reach the snapshot, where the log begins, and not beyond the log's end. One that a leader
// has sent with the snapshot and that was not yet put into its place is taken when ours is older. One member
// of several whose database lies beyond the log's end is quarantined for it (OpenGuard).
StatusOr<std::string> Member::ChooseDatabase(uint64_t snapshot_index, uint64_t last_index, bool alone) const {
  std::string path = dirs_.db;
  QUORATE_ASSIGN_OR_RETURN(uint64_t applied, ReadConsistentIndex(env_.files, path));
  if (applied < snapshot_index && env_.files->Exists(snapshots_->DatabasePath(snapshot_index))) {
    path = snapshots_->DatabasePath(snapshot_index);
    QUORATE_ASSIGN_OR_RETURN(applied, ReadConsistentIndex(env_.files, path));
  }
  if (snapshot_index > 0 && !env_.files->Exists(path)) {
    return FailedPrecondition("the database file " + path +
                              " is missing; restore the member from a snapshot");
  }
  if (applied < snapshot_index) {
    return DataLoss("the database " + path + " stands at raft index " + std::to_string(applied) +
                    ", before the snapshot at " + std::to_string(snapshot_index) +
                    "; restore the member from a snapshot");
  }
  if (applied > last_index && alone) {
    return DataLoss(
        "the database " + path + " stands at raft index " + std::to_string(applied) + ", the log in " +
        dirs_.wal + " ends at " + std::to_string(last_index) +
        ": the log has lost acknowledged entries or belongs to another moment; put the matching log back, or "
        "restore the member from a snapshot" +
        (config_.force_new_cluster ? AloneWayOut(path) : ""));
  }
  return path;
}

// Everything that is read from the database. At start on the caller's thread, later on Lane::kDb: touches
// nothing of the member but its settings.
StatusOr<Member::Parts> Member::OpenParts() const {
  Parts parts;
  mvcc::BackendOptions options;
  options.batch_interval_nanos = config_.backend_batch_interval_nanos;
  options.batch_operations = config_.backend_batch_operations;
  options.sync = config_.sync;
  options.on_fatal = config_.on_fatal;
  QUORATE_ASSIGN_OR_RETURN(parts.backend, mvcc::Backend::Open(env_, dirs_.db, std::move(options)));

  lease::LessorOptions lease_options;
  lease_options.min_ttl_seconds =
      lease::MinTtlSeconds(config_.election_ticks, config_.tick_nanos / 1'000'000);
  lease_options.checkpoint = config_.lease_checkpoint;
  lease_options.checkpoint_persist = config_.lease_checkpoint_persist;
  QUORATE_ASSIGN_OR_RETURN(parts.lessor, lease::Lessor::Open(env_, parts.backend.get(), lease_options));
  mvcc::StoreOptions store_options;
  store_options.compaction_batch = config_.compaction_batch_limit;
  // Else a watch from there on would miss the deletion (etcd #19179; since 3.4.34).
  store_options.keep_tombstone_at_compaction = true;
  store_options.hash_compactions = config_.compact_hash_check_interval_nanos > 0;
  QUORATE_ASSIGN_OR_RETURN(parts.store,
                           mvcc::Store::Open(env_, parts.backend.get(), parts.lessor.get(), store_options));
  QUORATE_ASSIGN_OR_RETURN(auto alarms, Alarms::Load(parts.backend.get()));
  parts.alarms = std::make_unique<Alarms>(std::move(alarms));
  return parts;
}

// Puts them in the place of what is there, which goes when nobody refers to it any more.
Status Member::InstallParts(Parts parts, const raft::Snapshot* snapshot) {
  Parts old{std::move(backend_), std::move(lessor_), std::move(store_), std::move(alarms_)};
  const auto old_history = std::move(history_);
  backend_ = std::move(parts.backend);
  lessor_ = std::move(parts.lessor);
  store_ = std::move(parts.store);
  alarms_ = std::move(parts.alarms);
  backend_->set_commit_observer([this](int64_t nanos) { metrics_.backend_commit.ObserveNanos(nanos); });
  backend_->set_defragment_observer([this](int64_t nanos) { metrics_.backend_defrag.ObserveNanos(nanos); });
  history_ = std::make_unique<mvcc::StoreHistory>(store_.get(), backend_.get());
  store_->set_observer([this](const mvcc::EventBatch& batch) { watch_hub_->Notify(batch); });
  if (watch_hub_ != nullptr) watch_hub_->Restored(history_.get());
  if (auth_ != nullptr) QUORATE_RETURN_IF_ERROR(auth_->Reload(backend_.get()));
  membership_ = std::make_unique<cluster::Membership>(id_, cluster_id_, backend_.get());
  if (snapshot != nullptr) QUORATE_RETURN_IF_ERROR(membership_->LoadV2(snapshot->data));
  if (auth_ != nullptr) MakeApplier();
  return FollowVersion(0);
}

void Member::MakeApplier() {
  Applier::Parts parts;
  parts.config = &config_;
  parts.backend = backend_.get();
  parts.store = store_.get();
  parts.lessor = lessor_.get();
  parts.auth = auth_.get();
  parts.alarms = alarms_.get();
  parts.metrics = &metrics_;
  parts.header = [this] { return header(); };
  parts.now = [this] { return now(); };
  parts.raise_no_space = [this] { RaiseNoSpace(); };
  applier_ = std::make_unique<Applier>(std::move(parts));
}

Status Member::OpenState(const raft::Snapshot* snapshot) {
  QUORATE_ASSIGN_OR_RETURN(Parts parts, OpenParts());
  QUORATE_RETURN_IF_ERROR(InstallParts(std::move(parts), snapshot));
  mvcc::WatchHubOptions hub_options;
  hub_options.progress_interval_nanos = config_.watch_progress_interval_nanos;
  watch_hub_ = std::make_unique<mvcc::WatchHub>(env_, history_.get(), hub_options);
  QUORATE_ASSIGN_OR_RETURN(auth_, auth::AuthStore::Open(backend_.get(), env_.random, config_.auth));
  QUORATE_RETURN_IF_ERROR(FollowVersion(0));  // For it, too.
  MakeApplier();
  MakeAutomatic();
  return absl::OkStatus();
}

void Member::MakeAutomatic() {
  if (config_.auto_compaction_retention > 0) {
    auto_compaction_ =
        std::make_unique<AutoCompaction>(config_.auto_compaction_mode, config_.auto_compaction_retention,
                                         [this](int64_t revision, std::function<void(bool)> done) {
                                           ProposeCompaction(revision, std::move(done));
                                         });
  }
  auto_defrag_ = std::make_unique<AutoDefrag>(
      config_.auto_defrag, env_.random,
      [this] {
        const mvcc::Backend::Stats stats = backend_->stats();
        return AutoDefrag::Use{stats.size_bytes, stats.size_bytes - stats.size_in_use_bytes};
      },
      [this](std::function<void(const Status&)> done) { backend_->Defragment(std::move(done)); });
}

Status Member::StartRaft(std::shared_ptr<const raft::Snapshot> snapshot, wal::LogContents log) {
  if (snapshot) {
    snapshot_index_ = snapshot->metadata.index;
    conf_state_ = snapshot->metadata.conf_state;
    QUORATE_RETURN_IF_ERROR(raft_storage_.ApplySnapshot(snapshot));
  }
  applied_index_ = snapshot_index_;
  applied_term_ = snapshot ? snapshot->metadata.term : 0;
  raft::HardState state = log.hard_state;
  // A commit index beyond the end of the log: OpenGuard sees it in the log's own state.
  // What the database holds was committed: a leader that needed the others to say so again, and they its
  // database, would wait for ever.
  const uint64_t known = std::max({state.commit, snapshot_index_, backend_->consistent_index()});
  state.commit = std::min(known, LastIndex(snapshot.get(), log));
  raft_storage_.SetHardState(state);
  raft_storage_.Append(log.entries);
  term_ = state.term;
  committed_index_ = state.commit;

  raft::Config config;
  config.id = id_;
  config.election_tick = config_.election_ticks;
  config.heartbeat_tick = 1;
  config.storage = &raft_storage_;
  config.random = env_.random;
  config.applied = snapshot_index_;
  config.max_size_per_msg = kMessageBytesMax;
  config.max_inflight_msgs = kInflightMessagesMax;
  config.max_uncommitted_entries_size = kUncommittedBytesMax;
  config.check_quorum = true;
  config.pre_vote = config_.pre_vote;
  QUORATE_ASSIGN_OR_RETURN(raft_, raft::RawNode::Create(config));
  LOG_INFO("restarting local member", log::HexId("cluster-id", cluster_id_),
           log::HexId("local-member-id", id_), {"commit-index", state.commit});
  // One that joins knows the others only from what they have said; its own log will tell it the same.
  if (transport_ != nullptr && config_.remote_cluster && membership_->members().empty()) {
    for (const cluster::Member& member : config_.remote_cluster->members) {
      if (member.id != id_) transport_->AddPeer(member.id, member.peer_urls);
    }
  }
  ConnectMembers();
  return OpenGuard(snapshot.get(), log);
}

}  // namespace quorate::server
