#include "offline/restored_db.h"

#include <limits>
#include <optional>

#include "base/endian.h"
#include "bolt/db.h"
#include "mvcc/backend.h"
#include "mvcc/revision.h"
#include "offline/db_file.h"
#include "server/storage_version.h"

namespace quorate::offline {
namespace {

using mvcc::Bucket;
using mvcc::BucketName;

// As cluster/membership.cc writes it.
constexpr std::string_view kClusterVersionKey = "clusterVersion";

// Synced as it grows, so that what is reported as done is, and the last sync is short.
constexpr uint64_t kSyncBytes = 64 << 20;

std::string Number(uint64_t value) {
  std::string bytes(sizeof value, '\0');
  StoreBig64(bytes.data(), value);
  return bytes;
}

Status ReplaceMembers(bolt::WriteTx& tx, const std::vector<cluster::Member>& members) {
  for (const Bucket bucket : {Bucket::kMembers, Bucket::kMembersRemoved}) {
    QUORATE_ASSIGN_OR_RETURN(const bolt::WriteBucket* old, tx.FindBucket(BucketName(bucket)));
    if (old != nullptr) QUORATE_RETURN_IF_ERROR(tx.DeleteBucket(BucketName(bucket)));
    QUORATE_RETURN_IF_ERROR(tx.CreateBucketIfMissing(BucketName(bucket)).status());
  }
  QUORATE_ASSIGN_OR_RETURN(bolt::WriteBucket * rows, tx.FindBucket(BucketName(Bucket::kMembers)));
  for (const cluster::Member& member : members) {
    QUORATE_RETURN_IF_ERROR(rows->Put(cluster::IdText(member.id), cluster::MemberJson(member)));
  }
  return absl::OkStatus();
}

StatusOr<std::optional<cluster::Version>> ReadClusterVersion(bolt::WriteTx& tx) {
  QUORATE_ASSIGN_OR_RETURN(const bolt::WriteBucket* rows, tx.FindBucket(BucketName(Bucket::kCluster)));
  if (rows == nullptr) return std::nullopt;
  QUORATE_ASSIGN_OR_RETURN(const auto text, rows->Get(kClusterVersionKey));
  if (!text) return std::nullopt;
  QUORATE_ASSIGN_OR_RETURN(const cluster::Version version, cluster::ParseVersion(*text));
  return version;
}

// The database has what the first entries of the log do, and nothing more. The rows that 3.5 and later keep
// are written only where such a version keeps them: an etcd 3.4 would leave them stale.
Status SetLogPosition(bolt::WriteTx& tx, const DbChanges& changes,
                      const std::optional<cluster::Version>& version) {
  QUORATE_ASSIGN_OR_RETURN(bolt::WriteBucket * meta, tx.CreateBucketIfMissing(BucketName(Bucket::kMeta)));
  QUORATE_RETURN_IF_ERROR(meta->Put(mvcc::kConsistentIndexKey, Number(changes.hard_state.commit)));
  if (version.value_or(cluster::kInitialClusterVersion) < cluster::kVersion35) {
    QUORATE_RETURN_IF_ERROR(meta->Delete(mvcc::kTermKey));
    return meta->Delete(server::kConfStateKey);
  }
  raft::ConfState conf_state;
  for (const cluster::Member& member : *changes.members) conf_state.voters.push_back(member.id);
  QUORATE_RETURN_IF_ERROR(meta->Put(mvcc::kTermKey, Number(changes.hard_state.term)));
  return meta->Put(server::kConfStateKey, server::ConfStateJson(conf_state));
}

StatusOr<int64_t> NewestRevision(const bolt::WriteBucket& records) {
  bolt::Cursor cursor = records.NewCursor();
  QUORATE_RETURN_IF_ERROR(cursor.SeekLast());
  if (!cursor.Valid()) return 0;
  mvcc::Revision revision;
  bool tombstone = false;
  if (!mvcc::DecodeRevision(cursor.key(), &revision, &tombstone)) {
    return DataLoss("bucket 'key' of the snapshot ends in a row that is no revision; use another snapshot");
  }
  return revision.main;
}

// A record without key and value at the new revision, and a compaction ordered there: the server carries it
// out when it starts, and every older revision is gone for clients.
Status BumpRevision(bolt::WriteTx& tx, bolt::WriteBucket* records, int64_t revision) {
  const mvcc::RevisionKey key = mvcc::EncodeRevision({revision, 0}, false);
  QUORATE_RETURN_IF_ERROR(records->Put(key.view(), ""));
  QUORATE_ASSIGN_OR_RETURN(bolt::WriteBucket * meta, tx.FindBucket(BucketName(Bucket::kMeta)));
  return meta->Put(mvcc::kScheduledCompactKey, key.view());
}

}  // namespace

Status CopyDb(FileSystem* files, const std::string& from, const std::string& to, const ReportFn& report) {
  QUORATE_ASSIGN_OR_RETURN(const auto db, OpenDb(files, from, false));
  QUORATE_ASSIGN_OR_RETURN(const bolt::ReadTx tx, db->BeginRead());
  QUORATE_RETURN_IF_ERROR(CheckDb(tx, from, report));
  OpenOptions open;
  open.write = open.create = open.exclusive = true;
  QUORATE_ASSIGN_OR_RETURN(const auto file, files->Open(to, open));
  uint64_t written = 0;
  uint64_t synced = 0;
  const Status copied = tx.CopyTo([&](std::string_view chunk) -> Status {
    QUORATE_RETURN_IF_ERROR(file->WriteAt(written, chunk));
    written += chunk.size();
    if (written - synced >= kSyncBytes) {
      QUORATE_RETURN_IF_ERROR(file->Sync());
      synced = written;
    }
    if (report) report("copying", written, tx.size_bytes());
    return absl::OkStatus();
  });
  QUORATE_RETURN_IF_ERROR(copied);
  return file->Sync();
}

StatusOr<RestoredDb> AdoptDb(FileSystem* files, const std::string& path, const DbChanges& changes) {
  QUORATE_ASSIGN_OR_RETURN(const auto db, OpenDb(files, path, true, changes.map_bytes));
  QUORATE_ASSIGN_OR_RETURN(const auto tx, db->BeginWrite());
  RestoredDb restored;
  QUORATE_RETURN_IF_ERROR(ReplaceMembers(*tx, *changes.members));
  QUORATE_ASSIGN_OR_RETURN(restored.cluster_version, ReadClusterVersion(*tx));
  QUORATE_RETURN_IF_ERROR(SetLogPosition(*tx, changes, restored.cluster_version));
  QUORATE_ASSIGN_OR_RETURN(bolt::WriteBucket * records, tx->CreateBucketIfMissing(BucketName(Bucket::kKey)));
  QUORATE_ASSIGN_OR_RETURN(restored.revision, NewestRevision(*records));
  if (changes.revision_bump > 0) {
    const auto room = static_cast<uint64_t>(std::numeric_limits<int64_t>::max() - restored.revision);
    if (changes.revision_bump > room) {
      return InvalidArgument("--bump-revision " + std::to_string(changes.revision_bump) +
                             " is too much: revisions end at 2^63-1, and the snapshot is at " +
                             std::to_string(restored.revision));
    }
    restored.revision += static_cast<int64_t>(changes.revision_bump);
    QUORATE_RETURN_IF_ERROR(BumpRevision(*tx, records, restored.revision));
  }
  QUORATE_RETURN_IF_ERROR(tx->Commit());
  return restored;
}

}  // namespace quorate::offline
