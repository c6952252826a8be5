#include "cmd/quorate/serve_settings.h"

#include <algorithm>
#include <chrono>
#include <string>
#include <vector>

#include "base/limits.h"
#include "base/logging.h"
#include "cluster/version.h"
#include "cmd/quorate/serve_lost_log.h"

namespace quorate::cmd {

namespace {

std::vector<std::string> ToStrings(const std::vector<Url>& urls) {
  std::vector<std::string> out;
  out.reserve(urls.size());
  for (const Url& url : urls) out.push_back(url.String());
  return out;
}

}  // namespace

server::Config ToServerConfig(const Options& o) {
  server::Config c;
  c.name = o.name;
  c.data_dir = o.data_dir;
  c.wal_dir = o.wal_dir;
  c.advertise_peer_urls = ToStrings(o.initial_advertise_peer_urls);
  c.advertise_client_urls = ToStrings(o.advertise_client_urls);
  c.initial_cluster = o.initial_cluster;
  // As etcd has it: the token of the discovery service makes the IDs, too.
  c.initial_cluster_token = o.discovery.token.empty() ? o.initial_cluster_token : o.discovery.token;
  c.new_cluster = o.initial_cluster_state == "new";
  c.force_new_cluster = o.force_new_cluster;
  c.tick_nanos = o.heartbeat_interval_ms * 1'000'000;
  c.election_ticks = static_cast<int>(o.ElectionTicks());
  c.initial_election_tick_advance = o.initial_election_tick_advance;
  c.pre_vote = o.pre_vote;
  c.strict_reconfig_check = o.strict_reconfig_check;
  c.learners_max = static_cast<int>(std::min<uint64_t>(o.max_learners, INT32_MAX));
  c.snapshot_count = o.snapshot_count;
  c.snapshot_catchup_entries = o.snapshot_catchup_entries;
  c.snapshot_files_max = o.max_snapshots;
  c.wal_files_max = o.max_wals;
  c.quota_backend_bytes = o.quota_backend_bytes;
  if (o.backend_batch_interval_nanos > 0) c.backend_batch_interval_nanos = o.backend_batch_interval_nanos;
  if (o.backend_batch_limit > 0) c.backend_batch_operations = static_cast<size_t>(o.backend_batch_limit);
  c.request_bytes_max = o.max_request_bytes;
  c.txn_ops_max = o.max_txn_ops;
  c.sync = !o.unsafe_no_fsync;
  c.auto_compaction_mode = o.auto_compaction_mode == CompactionMode::kRevision
                               ? server::AutoCompactionMode::kRevision
                               : server::AutoCompactionMode::kPeriodic;
  c.auto_compaction_retention = o.auto_compaction_retention;
  c.compaction_batch_limit = static_cast<size_t>(o.compaction_batch_limit);
  c.compaction_sleep_nanos = o.compaction_sleep_interval_nanos;
  c.watch_progress_interval_nanos = o.watch_progress_notify_interval_nanos;
  c.lease_checkpoint = o.gates.lease_checkpoint;
  c.lease_checkpoint_persist = o.gates.lease_checkpoint_persist;
  c.common_name_auth = o.client_tls.client_cert_auth;
  c.warning_apply_nanos = o.warning_apply_duration_nanos;
  c.auto_defrag.percent = static_cast<int>(o.auto_defrag_threshold_percent);
  c.auto_defrag.interval_nanos = o.auto_defrag_interval_nanos;
  c.corrupt_check_interval_nanos = o.corrupt_check_time_nanos;
  if (o.gates.compact_hash_check) c.compact_hash_check_interval_nanos = o.compact_hash_check_time_nanos;
  // Checked by Validate.
  c.lost_log = ToLostLogOptions(o);
  if (const auto version = cluster::ParseVersion(o.new_cluster_version + ".0"); version.ok()) {
    c.initial_cluster_version = *version;
  }
  return c;
}

net::ServerOptions ToNetOptions(const Options& o) {
  net::ServerOptions n;
  n.message_bytes_max = o.max_request_bytes + limits::kGrpcOverheadBytes;
  // The same message as JSON: base64 makes four bytes of three, and there are names around them.
  n.http_body_bytes_max = std::max(n.http_body_bytes_max, n.message_bytes_max / 3 * 4 + 64 * 1024);
  n.max_concurrent_streams = static_cast<uint32_t>(std::min<uint64_t>(o.max_concurrent_streams, UINT32_MAX));
  n.keepalive_min_time = std::chrono::nanoseconds(o.grpc_keepalive_min_time_nanos);
  n.keepalive_interval = std::chrono::nanoseconds(o.grpc_keepalive_interval_nanos);
  n.keepalive_timeout = std::chrono::nanoseconds(o.grpc_keepalive_timeout_nanos);
  return n;
}

net::ServerOptions ToMetricsNetOptions(const Options& o) {
  net::ServerOptions n = ToNetOptions(o);
  n.http_body_bytes_max = 4096;  // Nothing that is served there has one.
  return n;
}

// Settings that are taken and change nothing here; said once, so that nobody waits for them.
std::string BuildInfoMetric() {
  return "# HELP quorate_build_info The version of Quorate. Always 1.\n# TYPE quorate_build_info gauge\n"
         "quorate_build_info{version=\"" +
         std::string(kQuorateVersion) + "\"} 1\n";
}

void WarnOfSettingsWithoutEffect(const Options& o) {
  const auto warn = [](const char* flag, const char* why) {
    LOG_WARN("a setting has no effect", {"flag", flag}, {"reason", why});
  };
  if (o.enable_pprof) warn("--enable-pprof", "there is no Go runtime to profile; use perf");
  if (o.metrics == "extensive")
    warn("--metrics=extensive", "the handling-time histogram is not kept by this release");
  if (o.bootstrap_defrag_threshold_megabytes > 0) {
    warn("--bootstrap-defrag-threshold-megabytes",
         "free pages are used again; --auto-defrag-threshold gives them back while serving");
  }
  if (o.gates.stop_grpc_service_on_defrag) {
    warn("StopGRPCServiceOnDefrag", "requests are served at full speed during a defragmentation");
  }
}

}  // namespace quorate::cmd
