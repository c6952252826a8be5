#include "offline/member_state.h"

#include <utility>

#include "base/endian.h"
#include "bolt/db.h"
#include "cluster/v2_request.h"
#include "cluster/v2_store.h"
#include "mvcc/backend.h"
#include "offline/db_file.h"
#include "server/storage_version.h"
#include "wal/log_reader.h"
#include "wal/snap_files.h"

namespace quorate::offline {
namespace {

StatusOr<uint64_t> ReadNumber(const bolt::Bucket& meta, std::string_view key) {
  QUORATE_ASSIGN_OR_RETURN(const auto row, meta.Get(key));
  if (!row) return 0;
  if (row->size() != sizeof(uint64_t))
    return DataLoss("meta/" + std::string(key) + " of the database is no number");
  return LoadBig64(row->data());
}

Status ReadDatabase(FileSystem* files, const std::string& path, MemberState* state) {
  QUORATE_ASSIGN_OR_RETURN(const auto db, OpenDb(files, path, false));
  QUORATE_ASSIGN_OR_RETURN(const bolt::ReadTx tx, db->BeginRead());
  QUORATE_ASSIGN_OR_RETURN(const auto meta, tx.FindBucket(mvcc::BucketName(mvcc::Bucket::kMeta)));
  if (!meta) return DataLoss(path + " has no bucket 'meta', so it is not etcd's");
  QUORATE_ASSIGN_OR_RETURN(state->consistent_index, ReadNumber(*meta, mvcc::kConsistentIndexKey));
  QUORATE_ASSIGN_OR_RETURN(state->db_term, ReadNumber(*meta, mvcc::kTermKey));
  QUORATE_ASSIGN_OR_RETURN(const auto version, meta->Get(server::kStorageVersionKey));
  if (version) {
    QUORATE_ASSIGN_OR_RETURN(state->storage_version, cluster::ParseVersion(*version));
  } else if (state->db_term != 0) {
    state->storage_version = cluster::kVersion35;
  }
  return absl::OkStatus();
}

// Whether a normal entry is a request of the v2 API.
bool IsV2UserData(const raft::Entry& entry) {
  if (entry.type != raft::EntryType::kNormal || !cluster::IsV2Request(entry.data.view())) return false;
  const auto request = cluster::DecodeV2Request(entry.data.view());
  uint64_t member_id = 0;
  return request.ok() && !cluster::ClassifyV2Request(*request, &member_id).ok();
}

std::string Number(uint64_t value) { return std::to_string(value); }

}  // namespace

StatusOr<MemberState> ReadMemberState(FileSystem* files, const DataDirectory& at) {
  MemberState state;
  QUORATE_RETURN_IF_ERROR(ReadDatabase(files, at.db, &state));
  QUORATE_ASSIGN_OR_RETURN(const auto snapshots, wal::ValidSnapshots(files, at.wal));
  if (!snapshots.empty()) state.snapshot = snapshots.back();
  QUORATE_ASSIGN_OR_RETURN(wal::LogContents log, wal::ReadLog(files, at.wal, state.snapshot));
  state.metadata = log.metadata;
  state.hard_state = log.hard_state;
  state.entries = std::move(log.entries);
  return state;
}

Status VerifyMember(const MemberState& state, bool exact) {
  const auto index = "backend.ConsistentIndex (" + Number(state.consistent_index) + ")";
  const auto commit = "WAL.HardState.commit (" + Number(state.hard_state.commit) + ")";
  const uint64_t last = state.snapshot.index + state.entries.size();
  if (exact && state.consistent_index != state.hard_state.commit) {
    return FailedPrecondition(index + " expected == " + commit);
  }
  if (state.consistent_index > state.hard_state.commit && state.consistent_index > last) {
    return FailedPrecondition(
        index + " must be <= " + commit +
        "; the log is older than the database: put both back from one and the same copy, or "
        "restore the member");
  }
  if (state.db_term > state.hard_state.term) {
    return FailedPrecondition("backend.Term (" + Number(state.db_term) +
                              ") must be <= WAL.HardState.term, (" + Number(state.hard_state.term) +
                              "); the log is older than the database");
  }
  if (state.consistent_index < state.snapshot.index) {
    return FailedPrecondition(
        index + " must be >= last snapshot index (" + Number(state.snapshot.index) +
        "); the database is older than the log: put both back from one and the same copy, or "
        "restore the member");
  }
  if (state.hard_state.commit > last) {
    return FailedPrecondition(commit + " lies beyond the last entry (" + Number(last) +
                              "): the log has lost its end; restore the member");
  }
  return absl::OkStatus();
}

std::optional<std::string> TrailingCommit(const MemberState& state) {
  if (state.consistent_index <= state.hard_state.commit) return std::nullopt;
  return "backend.ConsistentIndex (" + Number(state.consistent_index) +
         ") is ahead of WAL.HardState.commit (" + Number(state.hard_state.commit) +
         "), as a process that was killed may leave them: the log has all of these entries, and a start "
         "takes "
         "them as committed";
}

Status CheckV2Store(FileSystem* files, const DataDirectory& at) {
  bool in_store = false;
  QUORATE_ASSIGN_OR_RETURN(const auto valid, wal::ValidSnapshots(files, at.wal));
  wal::WalSnapshot start;
  for (const wal::WalSnapshot& snapshot : valid) {
    const std::string path = at.snap + "/" + wal::SnapshotName(snapshot.term, snapshot.index);
    if (snapshot.index == 0 || !files->Exists(path)) continue;
    start = snapshot;
  }
  if (start.index > 0) {
    QUORATE_ASSIGN_OR_RETURN(
        const raft::Snapshot snapshot,
        wal::ReadSnapshotFile(files, at.snap + "/" + wal::SnapshotName(start.term, start.index)));
    const Status parsed = cluster::V2Store::Parse(snapshot.data).status();
    in_store = parsed.code() == absl::StatusCode::kFailedPrecondition;
    if (!in_store) QUORATE_RETURN_IF_ERROR(parsed);
  }
  QUORATE_ASSIGN_OR_RETURN(const wal::LogContents log, wal::ReadLog(files, at.wal, start));
  bool in_log = false;
  for (const raft::Entry& entry : log.entries) in_log = in_log || IsV2UserData(entry);
  if (in_store && in_log)
    return FailedPrecondition("detected custom v2 content in both v2store and WAL records");
  if (in_store) return FailedPrecondition("detected custom content in v2store");
  if (in_log) return FailedPrecondition("detected custom v2 content in WAL records");
  return absl::OkStatus();
}

}  // namespace quorate::offline
