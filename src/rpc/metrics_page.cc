#include "rpc/metrics_page.h"

#include <prometheus/text_serializer.h>

#include <array>
#include <cstdio>
#include <string>

#include "cluster/version.h"
#include "rpc/metric_families.h"
#include "rpc/process_figures.h"

namespace quorate::rpc {
namespace {

constexpr std::array<std::string_view, kCodeCount> kCodeNames = {
    "OK",       "Canceled",       "Unknown",          "InvalidArgument",   "DeadlineExceeded",
    "NotFound", "AlreadyExists",  "PermissionDenied", "ResourceExhausted", "FailedPrecondition",
    "Aborted",  "OutOfRange",     "Unimplemented",    "Internal",          "Unavailable",
    "DataLoss", "Unauthenticated"};

std::string Hex(uint64_t id) {
  char text[17];
  std::snprintf(text, sizeof text, "%llx", static_cast<unsigned long long>(id));
  return text;
}

MetricLabels MethodLabels(const MethodStats& m) {
  return {{"grpc_method", std::string(m.method)},
          {"grpc_service", std::string(m.service)},
          {"grpc_type", std::string(CallTypeName(m.type))}};
}

double D(uint64_t v) { return static_cast<double>(v); }

void AddServer(MetricFamilies& out, server::Member& member) {
  const server::Metrics& m = member.metrics();
  const auto& version = member.membership().version();
  out.Gauge("etcd_server_has_leader", "Whether or not a leader exists. 1 is existence, 0 is not.",
            member.leader() != 0);
  out.Gauge("etcd_server_is_leader", "Whether or not this member is a leader. 1 if is, 0 otherwise.",
            member.is_leader());
  out.Gauge("etcd_server_is_learner", "Whether or not this member is a learner. 1 if is, 0 otherwise.",
            member.is_learner());
  out.Counter("etcd_server_learner_promote_successes",
              "The total number of successful learner promotions while this member is leader.",
              D(m.learners_promoted));
  out.Gauge("etcd_server_id",
            "Server or member ID in hexadecimal format. 1 for 'server_id' label with current ID.", 1,
            {{"server_id", Hex(member.id())}});
  out.Gauge("etcd_server_version",
            "Which version is running. 1 for 'server_version' label with current version.", 1,
            {{"server_version", cluster::VersionText(cluster::ReportedVersion(version))}});
  out.Gauge("etcd_cluster_version",
            "Which version is running. 1 for 'cluster_version' label with current cluster version", 1,
            {{"cluster_version", (version ? cluster::VersionText(*version) : std::string("not_decided"))}});
  out.Counter("etcd_server_leader_changes_seen_total", "The number of leader changes seen.",
              D(m.leader_changes_seen));
  out.Counter("etcd_server_heartbeat_send_failures_total",
              "The total number of leader heartbeat send failures.", 0);
  out.Gauge("etcd_server_snapshot_apply_in_progress_total",
            "1 if the server is applying the incoming snapshot.", 0);
  out.Gauge("etcd_server_proposals_committed_total", "The total number of consensus proposals committed.",
            D(member.committed_index()));
  out.Gauge("etcd_server_proposals_applied_total", "The total number of consensus proposals applied.",
            D(member.applied_index()));
  out.Gauge("etcd_server_proposals_pending", "The current number of pending proposals to commit.",
            D(member.pending_proposals()));
  out.Counter("etcd_server_proposals_failed_total", "The total number of failed proposals seen.",
              D(m.proposals_failed));
  out.Counter("etcd_server_slow_apply_total", "The total number of slow apply requests.", D(m.slow_apply));
  out.Counter("etcd_server_slow_read_indexes_total",
              "The total number of pending read indexes not in sync with leader's or timed out.",
              D(m.slow_read_indexes));
  out.Counter("etcd_server_read_indexes_failed_total", "The total number of failed read indexes seen.",
              D(m.read_indexes_failed));
  out.Gauge("etcd_server_quota_backend_bytes", "Current backend storage quota size in bytes.",
            static_cast<double>(member.quota_bytes()));
  out.Counter("etcd_debugging_server_lease_expired_total", "The total number of expired leases.",
              D(m.leases_expired));
}

// Phases of the original's work that ours does not have: their rows are there, and stay empty.
void AddPhasesWeLack(MetricFamilies& out) {
  const server::Histogram<14> commit_phase{0.001, 2};
  for (const char* phase : {"rebalance", "spill", "write"}) {
    out.Histogram(std::string("etcd_debugging_disk_backend_commit_") + phase + "_duration_seconds",
                  "The latency distributions of this phase of a backend commit.", commit_phase);
  }
  out.Histogram("etcd_snap_db_fsync_duration_seconds", "The latency distributions of fsyncing .snap.db file",
                commit_phase);
  out.Histogram("etcd_snap_db_save_total_duration_seconds",
                "The total latency distributions of v3 snapshot save", server::Histogram<10>{0.1, 2});
  out.Histogram("etcd_debugging_mvcc_db_compaction_pause_duration_milliseconds",
                "Bucketed histogram of db compaction pause duration.", server::Histogram<13>{1, 2});
  out.Histogram("etcd_debugging_mvcc_db_compaction_total_duration_milliseconds",
                "Bucketed histogram of db compaction total duration.", server::Histogram<14>{100, 2});
  out.Histogram("etcd_debugging_mvcc_index_compaction_pause_duration_milliseconds",
                "Bucketed histogram of index compaction pause duration.", server::Histogram<14>{0.5, 2});
  out.Gauge("etcd_debugging_mvcc_pending_events_total", "Total number of pending events to be sent.", 0);
}

void AddClients(MetricFamilies& out, const CallMetrics& calls) {
  const auto add = [&](const char* type, const CallMetrics::ClientCounts& counts) {
    for (const auto& [version, count] : counts) {
      out.Counter("etcd_server_client_requests_total",
                  "The total number of client requests per client version.", D(count),
                  {{"type", type}, {"client_api_version", version}});
    }
  };
  add("unary", calls.unary_clients());
  add("stream", calls.stream_clients());
}

void AddHealth(MetricFamilies& out, const HealthChecks& health) {
  out.Counter("etcd_server_health_success", "The total number of successful health checks",
              D(health.health_successes()));
  out.Counter("etcd_server_health_failures", "The total number of failed health checks",
              D(health.health_failures()));
  for (const auto& [key, counts] : health.counts()) {
    out.Gauge("etcd_server_healthcheck", "The result of each kind of healthcheck.", counts.healthy,
              {{"type", key.first}, {"name", key.second}});
  }
  for (const auto& [key, counts] : health.counts()) {
    for (const bool ok : {true, false}) {
      out.Counter("etcd_server_healthchecks_total", "The total number of each kind of healthcheck.",
                  D(ok ? counts.successes : counts.errors),
                  {{"type", key.first}, {"name", key.second}, {"status", ok ? "success" : "error"}});
    }
  }
}

void AddDisk(MetricFamilies& out, server::Member& member) {
  const server::Metrics& m = member.metrics();
  out.Histogram("etcd_disk_wal_fsync_duration_seconds", "The latency distributions of fsync called by WAL.",
                m.wal_fsync);
  out.Gauge("etcd_disk_wal_write_bytes_total", "Total number of bytes written in WAL.", D(m.wal_write_bytes));
  out.Histogram("etcd_disk_backend_commit_duration_seconds",
                "The latency distributions of commit called by backend.", m.backend_commit);
  out.Histogram("etcd_disk_backend_defrag_duration_seconds",
                "The latency distribution of backend defragmentation.", m.backend_defrag);
  out.Histogram("etcd_disk_backend_snapshot_duration_seconds",
                "The latency distribution of backend snapshots.", m.backend_snapshot);
  out.Gauge("etcd_disk_defrag_inflight",
            "Whether or not defrag is active on the member. 1 means active, 0 means not.",
            member.backend().defragmenting());
  out.Histogram("etcd_snap_fsync_duration_seconds", "The latency distributions of fsync called by snap.",
                m.snapshot_file_fsync);
  out.Histogram("etcd_debugging_lease_ttl_total", "Bucketed histogram of lease TTLs.", m.lease_ttl_seconds);
  out.Histogram("etcd_mvcc_hash_duration_seconds", "The latency distribution of storage hash operation.",
                m.hash);
  out.Histogram("etcd_mvcc_hash_rev_duration_seconds",
                "The latency distribution of storage hash by revision operation.", m.hash_rev);
}

void AddStore(MetricFamilies& out, server::Member& member) {
  const auto backend = member.backend().stats();
  const auto store = member.store().stats();
  const auto& watch = member.watch_hub().stats();
  out.Gauge("etcd_mvcc_db_total_size_in_bytes",
            "Total size of the underlying database physically allocated in bytes.", D(backend.size_bytes));
  out.Gauge("etcd_mvcc_db_total_size_in_use_in_bytes",
            "Total size of the underlying database logically in use in bytes.", D(backend.size_in_use_bytes));
  out.Gauge("etcd_mvcc_db_open_read_transactions", "The number of currently open read transactions",
            backend.open_reads);
  out.Counter("etcd_mvcc_put_total", "Total number of puts seen by this member.", D(store.puts));
  out.Counter("etcd_mvcc_delete_total", "Total number of deletes seen by this member.", D(store.deletes));
  out.Counter("etcd_mvcc_txn_total", "Total number of txns seen by this member.", D(store.txns));
  out.Counter("etcd_mvcc_range_total", "Total number of ranges seen by this member.", D(store.ranges));
  out.Gauge("etcd_debugging_mvcc_keys_total", "Total number of keys.", static_cast<double>(store.keys));
  out.Gauge("etcd_debugging_mvcc_current_revision", "The current revision of store.",
            static_cast<double>(member.store().current_revision()));
  out.Gauge("etcd_debugging_mvcc_compact_revision", "The revision of the last compaction in store.",
            static_cast<double>(member.store().compacted_revision()));
  out.Gauge("etcd_debugging_mvcc_total_put_size_in_bytes",
            "The total size of put kv pairs seen by this member.", D(store.total_put_bytes));
  out.Counter("etcd_debugging_mvcc_db_compaction_keys_total", "Total number of db keys compacted.",
              D(store.compaction_keys_deleted));
  out.Counter("etcd_debugging_mvcc_events_total", "Total number of events sent by this member.",
              D(watch.events_sent));
  out.Gauge("etcd_debugging_mvcc_watch_stream_total", "Total number of watch streams.", D(watch.streams));
  out.Gauge("etcd_debugging_mvcc_watcher_total", "Total number of watchers.", D(watch.watchers));
  out.Gauge("etcd_debugging_mvcc_slow_watcher_total", "Total number of unsynced slow watchers.",
            D(watch.slow_watchers));
  const auto& lease = member.lessor().stats();
  out.Counter("etcd_debugging_lease_granted_total", "The total number of granted leases.", D(lease.granted));
  out.Counter("etcd_debugging_lease_renewed_total", "The number of renewed leases seen by the leader.",
              D(lease.renewed));
  out.Counter("etcd_debugging_lease_revoked_total", "The total number of revoked leases.", D(lease.revoked));
  out.Gauge("etcd_debugging_auth_revision", "The current revision of auth store.",
            D(member.auth().revision()));
}

void AddNetwork(MetricFamilies& out, const std::vector<const net::Server*>& servers) {
  net::ServerStats sum;
  for (const net::Server* server : servers) {
    const net::ServerStats& stats = server->stats();
    sum.grpc_received_bytes += stats.grpc_received_bytes;
    sum.grpc_sent_bytes += stats.grpc_sent_bytes;
    sum.connections_open += stats.connections_open;
    sum.streams_open += stats.streams_open;
    sum.request_bytes_held += stats.request_bytes_held;
    sum.output_bytes_held += stats.output_bytes_held;
  }
  out.Counter("etcd_network_client_grpc_received_bytes_total",
              "The total number of bytes received from grpc clients.", D(sum.grpc_received_bytes));
  out.Counter("etcd_network_client_grpc_sent_bytes_total", "The total number of bytes sent to grpc clients.",
              D(sum.grpc_sent_bytes));
  out.Gauge("quorate_client_connections", "Connections of clients that are open.", D(sum.connections_open));
  out.Gauge("quorate_client_streams", "Requests and streams of clients over HTTP/2 that are open.",
            D(sum.streams_open));
  out.Gauge("quorate_client_request_bytes_held",
            "Bytes of requests that are kept for clients now; the bounds are in docs/security.md.",
            D(sum.request_bytes_held));
  out.Gauge("quorate_client_answer_bytes_held",
            "Bytes of answers that clients have not read yet; the bounds are in docs/security.md.",
            D(sum.output_bytes_held));
}

void AddCalls(MetricFamilies& out, const CallMetrics& calls) {
  for (const MethodStats& m : calls.methods()) {
    out.Counter("grpc_server_started_total", "Total number of RPCs started on the server.", D(m.started),
                MethodLabels(m));
  }
  for (const MethodStats& m : calls.methods()) {
    for (size_t code = 0; code < kCodeCount; ++code) {
      MetricLabels labels = MethodLabels(m);
      labels.insert(labels.begin(), {"grpc_code", std::string(kCodeNames[code])});
      out.Counter("grpc_server_handled_total",
                  "Total number of RPCs completed on the server, regardless of success or failure.",
                  D(m.handled[code]), labels);
    }
  }
  for (const MethodStats& m : calls.methods()) {
    out.Counter("grpc_server_msg_received_total",
                "Total number of RPC stream messages received on the server.", D(m.received),
                MethodLabels(m));
  }
  for (const MethodStats& m : calls.methods()) {
    out.Counter("grpc_server_msg_sent_total", "Total number of gRPC stream messages sent by the server.",
                D(m.sent), MethodLabels(m));
  }
}

void AddProcess(MetricFamilies& out) {
  const ProcessFigures p = ReadProcessFigures();
  out.Counter("process_cpu_seconds_total", "Total user and system CPU time spent in seconds.", p.cpu_seconds);
  out.Gauge("process_open_fds", "Number of open file descriptors.", D(p.open_files));
  out.Gauge("process_max_fds", "Maximum number of open file descriptors.", D(p.open_files_max));
  out.Gauge("process_resident_memory_bytes", "Resident memory size in bytes.", D(p.resident_bytes));
  out.Gauge("process_virtual_memory_bytes", "Virtual memory size in bytes.", D(p.virtual_bytes));
  out.Gauge("process_start_time_seconds", "Start time of the process since unix epoch in seconds.",
            p.start_time_seconds);
  out.Gauge("os_fd_used", "The number of used file descriptors.", D(p.open_files));
  out.Gauge("os_fd_limit", "The file descriptor limit.", D(p.open_files_max));
}

}  // namespace

std::string MetricsPage::Render() const {
  MetricFamilies out;
  AddServer(out, member_);
  AddHealth(out, health_);
  AddPhasesWeLack(out);
  AddClients(out, calls_);
  AddDisk(out, member_);
  AddStore(out, member_);
  AddNetwork(out, servers_);
  AddCalls(out, calls_);
  AddProcess(out);
  return prometheus::TextSerializer().Serialize(out.Take());
}

}  // namespace quorate::rpc
