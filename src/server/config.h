// What a member is told at its start. Filled by the program from flags; checked there.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "auth/auth_store.h"
#include "base/limits.h"
#include "base/status.h"
#include "cluster/remote_cluster.h"
#include "cluster/version.h"
#include "raft/types.h"
#include "server/auto_defrag.h"
#include "server/lost_log.h"

namespace quorate::server {

enum class AutoCompactionMode : uint8_t { kPeriodic, kRevision };

struct Config {
  std::string name = "default";
  std::string data_dir;
  std::string wal_dir;  // Empty: <data_dir>/member/wal.
  std::vector<std::string> advertise_peer_urls;
  std::vector<std::string> advertise_client_urls;
  std::string initial_cluster;  // "name=url,name=url".
  std::string initial_cluster_token = "etcd-cluster";
  bool new_cluster = true;  // --initial-cluster-state.
  // What the cluster that is joined has said of itself; needed when new_cluster is false and there is no log
  // yet.
  std::optional<cluster::RemoteCluster> remote_cluster;
  // With new_cluster and no log: another member has answered that it knows this one as started, so its data
  // directory was lost.
  bool known_as_started = false;
  bool force_new_cluster = false;
  LostLogOptions lost_log;

  int64_t tick_nanos = 100'000'000;  // --heartbeat-interval.
  int election_ticks = 10;           // --election-timeout in ticks.
  bool initial_election_tick_advance = true;
  bool pre_vote = true;
  bool strict_reconfig_check = true;
  int learners_max = 1;
  // What a new cluster starts at (--new-cluster-version).
  cluster::Version initial_cluster_version = cluster::kInitialClusterVersion;
  int64_t corrupt_check_interval_nanos = 0;  // --corrupt-check-time; 0: never.
  // --compact-hash-check-time, with the gate CompactHashCheck; 0: never, and compactions are not hashed.
  int64_t compact_hash_check_interval_nanos = 0;

  uint64_t snapshot_count = 10'000;
  uint64_t snapshot_catchup_entries = 5'000;
  size_t snapshot_files_max = 5;
  size_t wal_files_max = 5;
  uint64_t wal_segment_bytes = limits::kWalSegmentBytes;  // etcd's, but in tests.

  int64_t quota_backend_bytes = 0;  // 0: the default of 2 GiB; negative: none.
  int64_t backend_batch_interval_nanos = limits::kDbBatchIntervalNanos;
  size_t backend_batch_operations = limits::kDbBatchOperations;
  size_t request_bytes_max = limits::kRequestBytesMaxDefault;
  size_t txn_ops_max = 128;
  bool sync = true;  // false: --unsafe-no-fsync.

  AutoCompactionMode auto_compaction_mode = AutoCompactionMode::kPeriodic;
  // Periodic: nanoseconds; by revision: how many to keep. 0: off.
  int64_t auto_compaction_retention = 0;
  size_t compaction_batch_limit = 1000;
  int64_t compaction_sleep_nanos = 10'000'000;

  AutoDefragOptions auto_defrag;

  int64_t watch_progress_interval_nanos = 600'000'000'000;
  bool lease_checkpoint = false;
  bool lease_checkpoint_persist = false;
  auth::AuthOptions auth;
  // --client-cert-auth: a call without a token is made by the user whose name is the common name of the
  // client's certificate.
  bool common_name_auth = false;
  int64_t warning_apply_nanos = 100'000'000;

  // A proposal or a linearizable read waits at most this long: 5 s and two election timeouts (etcd:
  // ReqTimeout).
  int64_t request_timeout_nanos() const { return 5'000'000'000 + 2 * election_ticks * tick_nanos; }

  // Sees each entry after it was applied, replayed ones too; may be empty. For --backup-log and tests.
  std::function<void(const raft::Entry&)> on_applied;

  // The environment failed beyond repair (a failed sync, a damaged page under the open database), or the log
  // holds what this member can't apply. Never returns in the program: it logs and ends the process.
  std::function<void(const Status&)> on_fatal;
};

constexpr int64_t kQuotaDefaultBytes = int64_t{2} * 1024 * 1024 * 1024;

}  // namespace quorate::server
