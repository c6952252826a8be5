#include "offline/restore.h"

#include <memory>
#include <optional>
#include <utility>

#include "base/logging.h"
#include "cluster/member.h"
#include "cluster/urls.h"
#include "cluster/v2_store.h"
#include "offline/data_directory.h"
#include "offline/db_file.h"
#include "offline/restored_db.h"
#include "wal/snap_files.h"
#include "wal/wal.h"

namespace quorate::offline {
namespace {

constexpr uint32_t kDirectoryMode = 0700;
constexpr std::string_view kBuilding = "restore.part";
constexpr std::string_view kLockName = "lock";
// With the log in another directory not all can appear at once; the database comes last, because no server
// starts on a log and a .snap file without it. Not a name that servers remove.
constexpr std::string_view kHeldBackDb = "db.restored";

std::string Quoted(std::string_view text) { return log::JsonString(text); }

// "[1 2 255]", as Go prints bytes.
std::string ByteList(std::string_view bytes) {
  std::string text = "[";
  for (const char byte : bytes) {
    if (text.size() > 1) text += ' ';
    text += std::to_string(static_cast<uint8_t>(byte));
  }
  return text + "]";
}

// The directories of one restore, from empty to in place.
class Site {
 public:
  Site(FileSystem* files, const RestoreOptions& options)
      : files_(files),
        final_(LocateData(options.data_dir, options.wal_dir)),
        separate_log_(!options.wal_dir.empty()),
        building_(LocateData(final_.root + "/" + std::string(kBuilding),
                             separate_log_ ? final_.wal + "." + std::string(kBuilding) : "")) {}

  // Invariant 3, unless it was finished.
  ~Site() {
    if (!opened_ || done_) return;
    lock_.reset();
    Forget(files_->RemoveAll(building_.root));
    if (separate_log_) {
      Forget(files_->RemoveAll(building_.wal));
      Forget(files_->RemoveAll(building_.wal + ".tmp"));  // As the log is built.
    }
    if (member_in_place_) Forget(files_->RemoveAll(final_.member));
    if (log_in_place_) Forget(files_->RemoveAll(final_.wal));
    RemoveNewParents();
  }
  Site(const Site&) = delete;
  Site& operator=(const Site&) = delete;

  // Where to build.
  const DataDirectory& building() const { return building_; }

  // Invariant 1. Changes nothing.
  Status CheckFree() {
    const auto info = files_->Stat(final_.root);
    if (info.ok()) {
      const auto names = files_->List(final_.root);
      for (const std::string& name : names.ok() ? *names : std::vector<std::string>{"?"}) {
        if (name == kBuilding) continue;
        return AlreadyExists(
            "data-dir " + Quoted(final_.root) +
            " not empty or could not be read; name a directory that does not exist yet, or move "
            "this one away");
      }
    }
    if (!separate_log_ || !files_->Exists(final_.wal)) return absl::OkStatus();
    return AlreadyExists("wal-dir " + Quoted(final_.wal) +
                         " exists; name a directory that does not exist yet, or move this one away");
  }

  // Makes the directories, all but the log's own.
  Status Open() {
    for (std::string dir = final_.root; dir != "." && dir != "/" && !files_->Exists(dir);
         dir = ParentOf(dir)) {
      first_made_ = dir;
    }
    opened_ = true;
    QUORATE_RETURN_IF_ERROR(files_->CreateDirectories(building_.root, kDirectoryMode));
    OpenOptions open;
    open.write = open.create = true;
    open.lock = LockKind::kFlock;
    auto lock = files_->Open(building_.root + "/" + std::string(kLockName), open);
    if (!lock.ok() && IsLocked(lock.status())) {
      opened_ = false;
      return FailedPrecondition("another restore into " + Quoted(final_.root) +
                                " is under way; wait for its end");
    }
    QUORATE_RETURN_IF_ERROR(lock.status());
    lock_ = *std::move(lock);
    // Invariant 4.
    QUORATE_RETURN_IF_ERROR(files_->RemoveAll(building_.member));
    QUORATE_RETURN_IF_ERROR(files_->RemoveAll(building_.wal));
    QUORATE_RETURN_IF_ERROR(files_->CreateDirectories(building_.snap, kDirectoryMode));
    return files_->CreateDirectories(ParentOf(building_.wal), kDirectoryMode);
  }

  // Invariant 2.
  Status PutInPlace() {
    const std::string held_back = std::string("/") + std::string(kHeldBackDb);
    if (separate_log_) QUORATE_RETURN_IF_ERROR(files_->Rename(building_.db, building_.snap + held_back));
    for (const std::string& dir : {building_.wal, building_.snap, building_.member}) {
      QUORATE_RETURN_IF_ERROR(files_->SyncDirectory(dir));
    }
    QUORATE_RETURN_IF_ERROR(files_->Rename(building_.member, final_.member));
    member_in_place_ = true;
    QUORATE_RETURN_IF_ERROR(files_->SyncDirectory(final_.root));
    QUORATE_RETURN_IF_ERROR(SyncNewParents());
    if (separate_log_) {
      QUORATE_RETURN_IF_ERROR(files_->Rename(building_.wal, final_.wal));
      log_in_place_ = true;
      QUORATE_RETURN_IF_ERROR(files_->SyncDirectory(ParentOf(final_.wal)));
      QUORATE_RETURN_IF_ERROR(files_->Rename(final_.snap + held_back, final_.db));
      QUORATE_RETURN_IF_ERROR(files_->SyncDirectory(final_.snap));
    }
    done_ = true;
    lock_.reset();
    // What is left is an empty directory and a lock nobody holds; they harm nobody if they stay.
    Forget(files_->RemoveAll(building_.root));
    return absl::OkStatus();
  }

  const DataDirectory& final_places() const { return final_; }

 private:
  // The names of all directories that Open made above the member's.
  Status SyncNewParents() {
    for (std::string dir = final_.root;; dir = ParentOf(dir)) {
      QUORATE_RETURN_IF_ERROR(files_->SyncDirectory(ParentOf(dir)));
      if (first_made_.empty() || dir == first_made_) return absl::OkStatus();
    }
  }

  // Those that are empty: another restore may have put its own directory into one meanwhile.
  void RemoveNewParents() {
    if (first_made_.empty()) return;
    for (std::string dir = final_.root;; dir = ParentOf(dir)) {
      const auto names = files_->List(dir);
      if (names.ok() ? !names->empty() : !absl::IsNotFound(names.status())) return;
      if (names.ok() && !files_->Remove(dir).ok()) return;
      if (dir == first_made_) return;
    }
  }

  static void Forget(const Status& status) {
    if (!status.ok()) LOG_WARN("failed to remove what a restore left", {"error", Message(status)});
  }

  FileSystem* const files_;
  const DataDirectory final_;
  const bool separate_log_;
  const DataDirectory building_;
  std::unique_ptr<File> lock_;
  std::string first_made_;  // The topmost directory that was missing; empty: none.
  bool opened_ = false;
  bool member_in_place_ = false;
  bool log_in_place_ = false;
  bool done_ = false;
};

Status CheckDigest(FileSystem* files, const RestoreOptions& options, const ReportFn& report) {
  QUORATE_RETURN_IF_ERROR(files->Stat(options.snapshot_path).status());
  if (options.skip_hash_check) return ReadAhead(files, options.snapshot_path, report);
  QUORATE_ASSIGN_OR_RETURN(const Digest digest, ReadDigest(files, options.snapshot_path, report));
  if (digest.ok()) return absl::OkStatus();
  const auto why = WhyNoDb(files, options.snapshot_path);
  if (digest.stored.empty()) {
    return DataLoss(
        "snapshot missing hash but --skip-hash-check=false; " +
        why.value_or("a file of `snapshot save` has one; for a db file copied from a data directory "
                     "give --skip-hash-check=true"));
  }
  return DataLoss(
      "expected sha256 " + ByteList(digest.stored) + ", got " + ByteList(digest.computed) + "; " +
      why.value_or("the file was changed after it was saved: copy it anew, or use another snapshot"));
}

StatusOr<std::vector<cluster::Member>> NewMembers(const RestoreOptions& options, const std::string& token) {
  QUORATE_ASSIGN_OR_RETURN(const auto urls, cluster::ParseUrls(options.peer_urls));
  QUORATE_ASSIGN_OR_RETURN(const auto initial, cluster::ParseInitialCluster(options.initial_cluster));
  QUORATE_RETURN_IF_ERROR(cluster::VerifyBootstrap(initial, options.name, urls, {}));
  return cluster::InitialMembers(initial, token);
}

// The v2 store of the .snap file: the members, and the version that the database says the cluster has.
std::string SnapshotData(const std::vector<cluster::Member>& members, const RestoredDb& db) {
  cluster::V2Store store;
  for (const cluster::Member& member : members) store.CreateMember(member);
  store.SetClusterVersion(db.cluster_version.value_or(cluster::kInitialClusterVersion));
  return store.Json();
}

// The log of the new cluster: its members, committed, and a snapshot that holds them.
Status WriteLog(FileSystem* files, const DataDirectory& at, const wal::WalMetadata& metadata,
                const cluster::Bootstrap& bootstrap, std::string snapshot_data,
                const std::vector<cluster::Member>& members) {
  raft::Snapshot snapshot;
  for (const cluster::Member& member : members) snapshot.metadata.conf_state.voters.push_back(member.id);
  snapshot.metadata.index = bootstrap.hard_state.commit;
  snapshot.metadata.term = bootstrap.hard_state.term;
  snapshot.data = std::move(snapshot_data);
  QUORATE_ASSIGN_OR_RETURN(const auto log, wal::Wal::Create(files, at.wal, metadata, {}));
  log->Append(bootstrap.entries, bootstrap.hard_state);
  QUORATE_RETURN_IF_ERROR(log->WriteAndSync(log->TakeBatch()));
  QUORATE_RETURN_IF_ERROR(wal::SnapshotFiles(files, at.snap).Save(snapshot));
  log->SaveSnapshotRecord({snapshot.metadata.index, snapshot.metadata.term, snapshot.metadata.conf_state});
  QUORATE_RETURN_IF_ERROR(log->WriteAndSync(log->TakeBatch()));
  return log->Close();
}

wal::WalMetadata IdsOf(const std::vector<cluster::Member>& members, const std::string& name) {
  wal::WalMetadata metadata;
  std::vector<uint64_t> ids;
  for (const cluster::Member& member : members) {
    ids.push_back(member.id);
    if (member.attributes.name == name) metadata.node_id = member.id;
  }
  metadata.cluster_id = cluster::ComputeClusterId(ids);
  return metadata;
}

}  // namespace

Status CheckRestoreOptions(const RestoreOptions& options) {
  if ((options.revision_bump > 0) == options.mark_compacted) return absl::OkStatus();
  return InvalidArgument(
      "--mark-compacted required if --revision-bump > 0; give --bump-revision N and "
      "--mark-compacted together, or neither");
}

StatusOr<Restored> Restore(FileSystem* files, const RestoreOptions& options, const ReportFn& report) {
  QUORATE_RETURN_IF_ERROR(CheckRestoreOptions(options));
  const std::string& token = options.initial_cluster_token;
  QUORATE_ASSIGN_OR_RETURN(std::vector<cluster::Member> members, NewMembers(options, token));
  Site site(files, options);
  QUORATE_RETURN_IF_ERROR(site.CheckFree());
  const DataDirectory& goal = site.final_places();
  LOG_INFO("restoring snapshot", {"path", options.snapshot_path}, {"wal-dir", goal.wal},
           {"data-dir", goal.root}, {"snap-dir", goal.snap});
  QUORATE_RETURN_IF_ERROR(CheckDigest(files, options, report));

  QUORATE_RETURN_IF_ERROR(site.Open());
  const DataDirectory& at = site.building();
  QUORATE_RETURN_IF_ERROR(CopyDb(files, options.snapshot_path, at.db, report));
  if (options.prepare_db) {
    QUORATE_ASSIGN_OR_RETURN(const std::string state, options.prepare_db(at.db));
    QUORATE_ASSIGN_OR_RETURN(members, NewMembers(options, token + state));
  }
  cluster::Bootstrap bootstrap = cluster::MakeBootstrap(members);
  bootstrap.hard_state.vote = members.front().id;
  DbChanges changes;
  changes.members = &members;
  changes.hard_state = bootstrap.hard_state;
  changes.revision_bump = options.revision_bump;
  changes.map_bytes = options.map_bytes;
  QUORATE_ASSIGN_OR_RETURN(const RestoredDb db, AdoptDb(files, at.db, changes));
  const wal::WalMetadata metadata = IdsOf(members, options.name);
  QUORATE_RETURN_IF_ERROR(WriteLog(files, at, metadata, bootstrap, SnapshotData(members, db), members));
  QUORATE_RETURN_IF_ERROR(site.PutInPlace());
  return Restored{metadata.cluster_id, metadata.node_id, db.revision};
}

}  // namespace quorate::offline
