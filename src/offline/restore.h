// From a snapshot file to the data directory of one member of a new cluster, as etcd's `snapshot restore`
// does it: the keys, leases, users, alarms and the cluster's version are kept; the members are those of the
// new cluster; the log begins anew with them. Source of the rules: etcdutl/snapshot/v3_snapshot.go.
//
// Invariants
//   1. Nothing that is there is changed: the data directory must be missing or empty, the WAL directory
//   missing.
//   2. Everything is built in <data-dir>/restore.part (and <wal-dir>.restore.part), synced, and renamed into
//      place last. After a crash at any point a server finds no member there, or the whole of it.
//   3. After an error nothing of it is left.
//   4. What an interrupted restore left behind is removed by the next one.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/env.h"
#include "base/status.h"
#include "offline/report.h"

namespace quorate::offline {

struct RestoreOptions {
  std::string snapshot_path;
  std::string name = "default";
  std::string data_dir;
  std::string wal_dir;  // Empty: <data_dir>/member/wal.
  std::vector<std::string> peer_urls;
  std::string initial_cluster;
  std::string initial_cluster_token = "etcd-cluster";
  bool skip_hash_check = false;
  // Runs on the copy of the snapshot, whose path it gets, before it becomes the new cluster's; an error ends
  // the restore. May be empty. What it gives goes to the end of the token: members of one cluster must get
  // the same, or their IDs differ and they refuse each other.
  std::function<StatusOr<std::string>(const std::string& db_path)> prepare_db;
  uint64_t map_bytes = 0;  // 0: the default.
  // Both or neither: the revision of the store becomes this much higher and all before counts as compacted,
  // so that clients that saw revisions after the snapshot notice.
  uint64_t revision_bump = 0;
  bool mark_compacted = false;
};

struct Restored {
  uint64_t cluster_id = 0;
  uint64_t member_id = 0;
  int64_t revision = 0;
};

Status CheckRestoreOptions(const RestoreOptions& options);

StatusOr<Restored> Restore(FileSystem* files, const RestoreOptions& options, const ReportFn& report);

}  // namespace quorate::offline
