#include "cmd/quorate/flag_table.h"

#include <unordered_map>

namespace quorate::cmd {
namespace {

#define AT(type, member) Field(+[](Options& o) -> type& { return o.member; })
#define AT_STRING(member) AT(std::string, member)
#define AT_BOOL(member) AT(bool, member)
#define AT_INT(member) AT(int64_t, member)
#define AT_UINT(member) AT(uint64_t, member)
#define AT_STRINGS(member) AT(std::vector<std::string>, member)
#define AT_URLS(member) AT(std::vector<Url>, member)

using enum Kind;
using enum Section;

void AddMember(std::vector<Flag>* t) {
  const std::vector<Flag> rows = {
      {"name", kString, kMember, AT_STRING(name), "default", "Human-readable name for this member."},
      {"data-dir", kString, kMember, AT_STRING(data_dir), "${name}.etcd", "Path to the data directory."},
      {"wal-dir", kString, kMember, AT_STRING(wal_dir), "", "Path to the dedicated wal directory."},
      {"snapshot-count", kUint, kMember, AT_UINT(snapshot_count), "10000",
       "Number of committed transactions to trigger a snapshot."},
      {"heartbeat-interval", kUint, kMember, AT_INT(heartbeat_interval_ms), "100",
       "Time (in milliseconds) of a heartbeat interval."},
      {"election-timeout", kUint, kMember, AT_INT(election_timeout_ms), "1000",
       "Time (in milliseconds) for an election to timeout. See tuning documentation for details."},
      {"initial-election-tick-advance", kBool, kMember, AT_BOOL(initial_election_tick_advance), "true",
       "Whether to fast-forward initial election ticks on boot for faster election."},
      {"listen-peer-urls", kUrls, kMember, AT_URLS(listen_peer_urls), "http://localhost:2380",
       "List of URLs to listen on for peer traffic."},
      {"listen-client-urls", kUrls, kMember, AT_URLS(listen_client_urls), "http://localhost:2379",
       "List of URLs to listen on for client grpc traffic and http as long as --listen-client-http-urls is "
       "not "
       "specified."},
      {"listen-client-http-urls", kUrls, kMember, AT_URLS(listen_client_http_urls), "",
       "List of URLs to listen on for http only client traffic. Enabling this flag removes http services "
       "from "
       "--listen-client-urls."},
      {"max-snapshots", kUint, kMember, AT_UINT(max_snapshots), "5",
       "Maximum number of snapshot files to retain (0 is unlimited). Deprecated in v3.6 and will be "
       "decommissioned "
       "in v3.8.",
       Later::kNow, "", "", "", "--max-snapshots is deprecated in 3.6 and will be decommissioned in 3.8."},
      {"max-wals", kUint, kMember, AT_UINT(max_wals), "5",
       "Maximum number of wal files to retain (0 is unlimited)."},
      {"memory-mlock", kBool, kMember, AT_BOOL(memory_mlock), "false",
       "Keep the pages of the server and its database in memory."},
      {"quota-backend-bytes", kInt, kMember, AT_INT(quota_backend_bytes), "0",
       "Sets the maximum size (in bytes) that the etcd backend database may consume. Exceeding this triggers "
       "an "
       "alarm and puts etcd in read-only mode. Set to 0 to use the default 2GiB limit."},
      {"backend-bbolt-freelist-type", kString, kMember, AT_STRING(backend_freelist_type), "map",
       "Type of the free list of the database file (array and map); both mean the same here."},
      {"backend-batch-interval", kDuration, kMember, AT_INT(backend_batch_interval_nanos), "",
       "Maximum time before the backend transaction is committed (0: 100ms)."},
      {"backend-batch-limit", kInt, kMember, AT_INT(backend_batch_limit), "0",
       "Maximum operations before the backend transaction is committed (0: 10000)."},
      {"max-txn-ops", kUint, kMember, AT_UINT(max_txn_ops), "128",
       "Maximum number of operations permitted in a transaction."},
      {"max-request-bytes", kUint, kMember, AT_UINT(max_request_bytes), "1572864",
       "Maximum client request size in bytes the server will accept."},
      {"max-concurrent-streams", kUint32, kMember, AT_UINT(max_concurrent_streams), "4294967295",
       "Maximum concurrent streams that each client can open at a time."},
      {"grpc-keepalive-min-time", kDuration, kMember, AT_INT(grpc_keepalive_min_time_nanos), "5s",
       "Minimum duration interval that a client should wait before pinging server."},
      {"grpc-keepalive-interval", kDuration, kMember, AT_INT(grpc_keepalive_interval_nanos), "2h",
       "Frequency duration of server-to-client ping to check if a connection is alive (0 to disable)."},
      {"grpc-keepalive-timeout", kDuration, kMember, AT_INT(grpc_keepalive_timeout_nanos), "20s",
       "Additional duration of wait before closing a non-responsive connection (0 to disable)."},
      {"socket-reuse-port", kBool, kMember, AT_BOOL(socket_reuse_port), "false",
       "Enable to set socket option SO_REUSEPORT on listeners allowing rebinding of a port already in use.",
       Later::kNow, "", "-"},
      {"socket-reuse-address", kBool, kMember, AT_BOOL(socket_reuse_address), "false",
       "Enable to set socket option SO_REUSEADDR on listeners allowing binding to an address in TIME_WAIT "
       "state.",
       Later::kNow, "", "-"},
      {"enable-grpc-gateway", kBool, kMember, AT_BOOL(enable_grpc_gateway), "true", "Enable GRPC gateway."},
      {"raft-read-timeout", kDuration, kMember, AT_INT(raft_read_timeout_nanos), "5s",
       "Read timeout set on each rafthttp connection", Later::kNow, "", "-"},
      {"raft-write-timeout", kDuration, kMember, AT_INT(raft_write_timeout_nanos), "5s",
       "Write timeout set on each rafthttp connection", Later::kNow, "", "-"},
      {"feature-gates", kGates, kMember, AT_STRING(feature_gates_text), "",
       "A set of key=value pairs that describe server level feature gates for alpha/experimental features."},
      {"io-threads", kUint, kMember, AT_UINT(io_threads), "0",
       "Quorate only: threads that own client connections (0: they share the core's loop)."},
      {"new-cluster-version", kString, kMember, AT_STRING(new_cluster_version), "3.4",
       "Quorate only: the cluster version that a new cluster begins at."},
      {"lost-log-action", kChoice, kMember, AT_STRING(lost_log_action), "stay",
       "Quorate only: what a member does whose log went back in time: stay quarantined and say so, exit with "
       "status 79, or rejoin: remove itself, come back as a learner under a new ID, and be promoted.",
       Later::kNow, "stay,exit,rejoin"},
      {"auto-defrag-threshold", kUint, kMember, AT_UINT(auto_defrag_threshold_percent), "0",
       "Quorate only: give the db file's free space back, while serving, when more than this percentage of "
       "the file is free (and more than 16 MiB). 0 to disable."},
      {"auto-defrag-interval", kDuration, kMember, AT_INT(auto_defrag_interval_nanos), "10m",
       "Quorate only: how often --auto-defrag-threshold is looked at, on average; each member chooses its "
       "own moments."},
      {"strict-probation", kBool, kMember, AT_BOOL(strict_probation), "false",
       "Quorate only: after a start that can't show that the disk is the one the member stopped with, wait "
       "for "
       "a leader however long it takes, instead of trusting the disk after five election timeouts."},
      {"recover-user-file", kString, kMember, AT_STRING(recover_user_file), "",
       "Quorate only: path to a file with \"user:password\" of a user with the root role, for "
       "--lost-log-action=rejoin while authentication is on."},
      {"run-dir", kString, kMember, AT_STRING(run_dir), "",
       "Quorate only: a directory that does not survive a boot of the machine, for the proof that a restart "
       "is continuous (default: /run/quorate, $XDG_RUNTIME_DIR/quorate or /dev/shm/quorate-UID, the first "
       "that can be written)."},
      {"backup-dir", kString, kMember, AT_STRING(backup_dir), "",
       "Quorate only: the server takes backups by itself into this directory, which must exist, outside of "
       "the data directory; members may share it or have one each (empty: no backups)."},
      {"backup-interval", kDuration, kMember, AT_INT(backup_interval_nanos), "1h",
       "Quorate only: time between two backups."},
      {"backup-retention", kString, kMember, AT_STRING(backup_retention_text), "24h,7d,4w",
       "Quorate only: which backups are kept: the newest of each of so many hours (h), days (d) and weeks "
       "(w)."},
      {"backup-log", kBool, kMember, AT_BOOL(backup_log), "false",
       "Quorate only: the committed log is archived beside the backups, for a restore to any moment "
       "(quorateutl restore --at)."},
      {"config-file", kString, kMember, AT_STRING(config_file), "",
       "Path to the server configuration file. Note that if a configuration file is provided, other command "
       "line "
       "flags and environment variables will be ignored.",
       Later::kNow, "", "-"},
  };
  t->insert(t->end(), rows.begin(), rows.end());
}

void AddClustering(std::vector<Flag>* t) {
  const std::vector<Flag> rows = {
      {"initial-advertise-peer-urls", kUrls, kClustering, AT_URLS(initial_advertise_peer_urls),
       "http://localhost:2380", "List of this member's peer URLs to advertise to the rest of the cluster."},
      {"initial-cluster", kString, kClustering, AT_STRING(initial_cluster), "default=http://localhost:2380",
       "Initial cluster configuration for bootstrapping."},
      {"initial-cluster-state", kChoice, kClustering, AT_STRING(initial_cluster_state), "new",
       "Initial cluster state ('new' when bootstrapping a new cluster or 'existing' when adding new members "
       "to an "
       "existing cluster).",
       Later::kNow, "new,existing"},
      {"initial-cluster-token", kString, kClustering, AT_STRING(initial_cluster_token), "etcd-cluster",
       "Initial cluster token for the etcd cluster during bootstrap."},
      {"advertise-client-urls", kUrls, kClustering, AT_URLS(advertise_client_urls), "http://localhost:2379",
       "List of this member's client URLs to advertise to the public."},
      {"discovery-token", kString, kClustering, AT_STRING(discovery.token), "",
       "V3 discovery: discovery token for the etcd cluster to be bootstrapped.", Later::kNow, "", "-"},
      {"discovery-endpoints", kStringSet, kClustering, AT_STRINGS(discovery.endpoints), "",
       "V3 discovery: List of gRPC endpoints of the discovery service.", Later::kNow, "", "-"},
      {"discovery-dial-timeout", kDuration, kClustering, AT_INT(discovery.dial_timeout_nanos), "2s",
       "V3 discovery: dial timeout for client connections.", Later::kNow, "", "-"},
      {"discovery-request-timeout", kDuration, kClustering, AT_INT(discovery.request_timeout_nanos), "5s",
       "V3 discovery: timeout for discovery requests (excluding dial timeout).", Later::kNow, "", "-"},
      {"discovery-keepalive-time", kDuration, kClustering, AT_INT(discovery.keepalive_time_nanos), "2s",
       "V3 discovery: keepalive time for client connections.", Later::kNow, "", "-"},
      {"discovery-keepalive-timeout", kDuration, kClustering, AT_INT(discovery.keepalive_timeout_nanos), "6s",
       "V3 discovery: keepalive timeout for client connections.", Later::kNow, "", "-"},
      {"discovery-insecure-transport", kBool, kClustering, AT_BOOL(discovery.insecure_transport), "true",
       "V3 discovery: disable transport security for client connections.", Later::kNow, "", "-"},
      {"discovery-insecure-skip-tls-verify", kBool, kClustering, AT_BOOL(discovery.insecure_skip_tls_verify),
       "false", "V3 discovery: skip server certificate verification.", Later::kNow, "", "-"},
      {"discovery-cert", kString, kClustering, AT_STRING(discovery.cert), "",
       "V3 discovery: identify secure client using this TLS certificate file.", Later::kNow, "", "-"},
      {"discovery-key", kString, kClustering, AT_STRING(discovery.key), "",
       "V3 discovery: identify secure client using this TLS key file.", Later::kNow, "", "-"},
      {"discovery-cacert", kString, kClustering, AT_STRING(discovery.cacert), "",
       "V3 discovery: verify certificates of TLS-enabled secure servers using this CA bundle.", Later::kNow,
       "", "-"},
      {"discovery-user", kString, kClustering, AT_STRING(discovery.user), "",
       "V3 discovery: username[:password] for authentication.", Later::kNow, "", "-"},
      {"discovery-password", kString, kClustering, AT_STRING(discovery.password), "",
       "V3 discovery: password for authentication.", Later::kNow, "", "-"},
      {"discovery-fallback", kChoice, kClustering, AT_STRING(discovery.fallback), "exit",
       "Expected behavior ('exit') when discovery services fails. Note that v2 proxy is removed.",
       Later::kNow, "exit,proxy", "-"},
      {"discovery-srv", kString, kClustering, AT_STRING(discovery.srv), "",
       "DNS srv domain used to bootstrap the cluster."},
      {"discovery-srv-name", kString, kClustering, AT_STRING(discovery.srv_name), "",
       "Suffix to the dns srv name queried when bootstrapping."},
      {"strict-reconfig-check", kBool, kClustering, AT_BOOL(strict_reconfig_check), "true",
       "Reject reconfiguration requests that would cause quorum loss."},
      {"pre-vote", kBool, kClustering, AT_BOOL(pre_vote), "true",
       "Enable the raft Pre-Vote algorithm to prevent disruption when a node that has been partitioned away "
       "rejoins "
       "the cluster."},
      {"auto-compaction-retention", kString, kClustering, AT_STRING(auto_compaction_retention_text), "0",
       "Auto compaction retention length. 0 means disable auto compaction."},
      {"auto-compaction-mode", kString, kClustering, AT_STRING(auto_compaction_mode_text), "periodic",
       "Interpret 'auto-compaction-retention' one of: periodic|revision. 'periodic' for duration based "
       "retention, "
       "defaulting to hours if no time unit is provided (e.g. '5m'). 'revision' for revision number based "
       "retention."},
      {"v2-deprecation", kString, kClustering, AT_STRING(legacy.v2_deprecation), "write-only",
       "Phase of v2store deprecation; accepted and without effect.", Later::kNow, "", "", "",
       "--v2-deprecation is deprecated and scheduled for removal in v3.8. The default value is enforced, "
       "ignoring "
       "user input."},
  };
  t->insert(t->end(), rows.begin(), rows.end());
}

void AddSecurity(std::vector<Flag>* t) {
  const Later later = Later::kNow;  // All of these; the file has other keys for them.
  const std::vector<Flag> rows = {
      {"cert-file", kString, kSecurity, AT_STRING(client_tls.cert_file), "",
       "Path to the client server TLS cert file.", later, "", "-"},
      {"key-file", kString, kSecurity, AT_STRING(client_tls.key_file), "",
       "Path to the client server TLS key file.", later, "", "-"},
      {"client-cert-auth", kBool, kSecurity, AT_BOOL(client_tls.client_cert_auth), "false",
       "Enable client cert authentication.", later, "", "-"},
      {"client-cert-file", kString, kSecurity, AT_STRING(client_tls.client_cert_file), "",
       "Path to an explicit peer client TLS cert file otherwise cert file will be used when client auth is "
       "required.",
       later, "", "-"},
      {"client-key-file", kString, kSecurity, AT_STRING(client_tls.client_key_file), "",
       "Path to an explicit peer client TLS key file otherwise key file will be used when client auth is "
       "required.",
       later, "", "-"},
      {"client-crl-file", kString, kSecurity, AT_STRING(client_tls.crl_file), "",
       "Path to the client certificate revocation list file.", later, "", "-"},
      {"client-cert-allowed-hostname", kStringList, kSecurity, AT_STRINGS(client_tls.allowed_hostnames), "",
       "Comma-separated list of SAN hostnames for client cert authentication.", later, "", "-"},
      {"trusted-ca-file", kString, kSecurity, AT_STRING(client_tls.trusted_ca_file), "",
       "Path to the client server TLS trusted CA cert file.", later, "", "-"},
      {"auto-tls", kBool, kSecurity, AT_BOOL(client_tls.auto_tls), "false",
       "Client TLS using generated certificates.", later, "", "-"},
      {"peer-cert-file", kString, kSecurity, AT_STRING(peer_tls.cert_file), "",
       "Path to the peer server TLS cert file.", later, "", "-"},
      {"peer-key-file", kString, kSecurity, AT_STRING(peer_tls.key_file), "",
       "Path to the peer server TLS key file.", later, "", "-"},
      {"peer-client-cert-auth", kBool, kSecurity, AT_BOOL(peer_tls.client_cert_auth), "false",
       "Enable peer client cert authentication.", later, "", "-"},
      {"peer-client-cert-file", kString, kSecurity, AT_STRING(peer_tls.client_cert_file), "",
       "Path to an explicit peer client TLS cert file otherwise peer cert file will be used when client auth "
       "is "
       "required.",
       later, "", "-"},
      {"peer-client-key-file", kString, kSecurity, AT_STRING(peer_tls.client_key_file), "",
       "Path to an explicit peer client TLS key file otherwise peer key file will be used when client auth "
       "is "
       "required.",
       later, "", "-"},
      {"peer-trusted-ca-file", kString, kSecurity, AT_STRING(peer_tls.trusted_ca_file), "",
       "Path to the peer server TLS trusted CA file.", later, "", "-"},
      {"peer-cert-allowed-cn", kStringList, kSecurity, AT_STRINGS(peer_tls.allowed_cns), "",
       "Comma-separated list of allowed CNs for inter-peer TLS authentication.", later, "", "-"},
      {"peer-cert-allowed-hostname", kStringList, kSecurity, AT_STRINGS(peer_tls.allowed_hostnames), "",
       "Comma-separated list of allowed SAN hostnames for inter-peer TLS authentication.", later, "", "-"},
      {"peer-auto-tls", kBool, kSecurity, AT_BOOL(peer_tls.auto_tls), "false",
       "Peer TLS using self-generated certificates if --peer-key-file and --peer-cert-file are not provided.",
       later, "", "-"},
      {"self-signed-cert-validity", kUint, kSecurity, AT_UINT(self_signed_cert_validity_years), "1",
       "The validity period of the client and peer certificates that are automatically generated, the unit "
       "is year."},
      {"peer-crl-file", kString, kSecurity, AT_STRING(peer_tls.crl_file), "",
       "Path to the peer certificate revocation list file.", later, "", "-"},
      {"peer-skip-client-san-verification", kBool, kSecurity, AT_BOOL(peer_tls.skip_client_san_verification),
       "false", "Skip verification of SAN field in client certificate for peer connections.", later, "", "-"},
      {"cipher-suites", kStringList, kSecurity, AT_STRINGS(cipher_suites), "",
       "Comma-separated list of supported TLS cipher suites between client/server and peers."},
      {"cors", kOrigins, kSecurity, AT_STRINGS(cors), "*",
       "Comma-separated whitelist of origins for CORS, or cross-origin resource sharing, (empty or * means "
       "allow "
       "all)."},
      {"host-whitelist", kStringSet, kSecurity, AT_STRINGS(host_whitelist), "*",
       "Acceptable hostnames from HTTP client requests, if server is not secure (empty or * means allow "
       "all)."},
      {"tls-min-version", kString, kSecurity, AT_STRING(tls_min_version), "TLS1.2",
       "Minimum TLS version supported by etcd. Possible values: TLS1.2, TLS1.3."},
      {"tls-max-version", kString, kSecurity, AT_STRING(tls_max_version), "",
       "Maximum TLS version supported by etcd. Possible values: TLS1.2, TLS1.3 (empty: the highest)."},
      {"auth-token", kString, kAuth, AT_STRING(auth_token), "simple",
       "Specify a v3 authentication token type and its options ('simple' or 'jwt')."},
      {"bcrypt-cost", kUint, kAuth, AT_UINT(bcrypt_cost), "10",
       "Specify the cost / strength of the bcrypt algorithm for hashing auth passwords. Valid values are "
       "between 4 "
       "and 31."},
      {"auth-token-ttl", kUint, kAuth, AT_UINT(auth_token_ttl_seconds), "300",
       "Time (in seconds) of the auth-token-ttl."},
  };
  t->insert(t->end(), rows.begin(), rows.end());
}

void AddObservability(std::vector<Flag>* t) {
  const Later tracing = Later::kTracing;
  const std::vector<Flag> rows = {
      {"enable-pprof", kBool, kProfiling, AT_BOOL(enable_pprof), "false",
       "Accepted; the profiles that etcd serves under /debug/pprof/ are of Go's runtime, which is not here."},
      {"metrics", kString, kProfiling, AT_STRING(metrics), "basic",
       "Set level of detail for exported metrics, specify 'extensive' to include server side grpc histogram "
       "metrics."},
      {"listen-metrics-urls", kUrls, kProfiling, AT_URLS(listen_metrics_urls), "",
       "List of URLs to listen on for the /metrics and /health endpoints."},
      {"logger", kString, kLogging, AT_STRING(logger_text), "zap",
       "Currently only supports 'zap' for structured logging."},
      {"log-outputs", kStringSet, kLogging, AT_STRINGS(log_outputs_text), "default",
       "Specify 'stdout' or 'stderr' to skip journald logging even when running under systemd, or list of "
       "comma "
       "separated output targets."},
      {"log-level", kString, kLogging, AT_STRING(log_level_text), "info",
       "Configures log level. Only supports debug, info, warn, error, panic, or fatal."},
      {"log-format", kString, kLogging, AT_STRING(log_format_text), "json",
       "Configures log format. Only supports json, console."},
      {"enable-log-rotation", kBool, kLogging, AT_BOOL(enable_log_rotation), "false",
       "Enable log rotation of a single log-outputs file target.", Later::kLogRotation},
      {"log-rotation-config-json", kString, kLogging, AT_STRING(log_rotation_config_json),
       R"({"maxsize": 100, "maxage": 0, "maxbackups": 0, "localtime": false, "compress": false})",
       "Configures log rotation if enabled with a JSON logger config."},
      {"warning-unary-request-duration", kDuration, kLogging, AT_INT(warning_unary_request_duration_nanos),
       "300ms",
       "Set time duration after which a warning is logged if a unary request takes more than this duration."},
      {"enable-distributed-tracing", kBool, kTracing, AT_BOOL(tracing.enabled), "false",
       "Enable distributed tracing.", tracing},
      {"distributed-tracing-address", kString, kTracing, AT_STRING(tracing.address), "localhost:4317",
       "Distributed tracing collector address."},
      {"distributed-tracing-service-name", kString, kTracing, AT_STRING(tracing.service_name), "etcd",
       "Distributed tracing service name, must be same across all etcd instances."},
      {"distributed-tracing-instance-id", kString, kTracing, AT_STRING(tracing.instance_id), "",
       "Distributed tracing instance ID, must be unique per each etcd instance."},
      {"distributed-tracing-sampling-rate", kInt, kTracing, AT_INT(tracing.sampling_rate_per_million), "0",
       "Number of samples to collect per million spans for distributed tracing."},
  };
  t->insert(t->end(), rows.begin(), rows.end());
}

void AddFeatures(std::vector<Flag>* t) {
  const std::vector<Flag> rows = {
      {"corrupt-check-time", kDuration, kFeatures, AT_INT(corrupt_check_time_nanos), "0s",
       "Duration of time between cluster corruption check passes."},
      {"compact-hash-check-time", kDuration, kFeatures, AT_INT(compact_hash_check_time_nanos), "1m",
       "Duration of time between leader checks followers compaction hashes."},
      {"compaction-batch-limit", kInt, kFeatures, AT_INT(compaction_batch_limit), "1000",
       "Sets the maximum revisions deleted in each compaction batch."},
      {"watch-progress-notify-interval", kDuration, kFeatures, AT_INT(watch_progress_notify_interval_nanos),
       "10m", "Duration of periodical watch progress notification."},
      {"warning-apply-duration", kDuration, kFeatures, AT_INT(warning_apply_duration_nanos), "100ms",
       "Warning is generated if requests take more than this duration."},
      {"bootstrap-defrag-threshold-megabytes", kUint, kFeatures,
       AT_UINT(bootstrap_defrag_threshold_megabytes), "0",
       "Enable the defrag during etcd server bootstrap on condition that it will free at least the provided "
       "threshold of disk space. Needs to be set to non-zero value to take effect."},
      {"max-learners", kUint, kFeatures, AT_UINT(max_learners), "1",
       "Set the max number of learner members allowed in the cluster membership."},
      {"compaction-sleep-interval", kDuration, kFeatures, AT_INT(compaction_sleep_interval_nanos), "10ms",
       "Sets the sleep interval between each compaction batch."},
      {"downgrade-check-time", kDuration, kFeatures, AT_INT(downgrade_check_time_nanos), "5s",
       "Duration of time between two downgrade status checks."},
      {"snapshot-catchup-entries", kUint, kFeatures, AT_UINT(snapshot_catchup_entries), "5000",
       "Number of entries for a slow follower to catch up after compacting the raft storage entries."},
      {"force-new-cluster", kBool, kUnsafe, AT_BOOL(force_new_cluster), "false",
       "Force to create a new one-member cluster."},
      {"unsafe-no-fsync", kBool, kUnsafe, AT_BOOL(unsafe_no_fsync), "false",
       "Disables fsync, unsafe, will cause data loss."},
  };
  t->insert(t->end(), rows.begin(), rows.end());
}

// Older spellings. Each shares the field of the setting that replaced it.
void AddRenamed(std::vector<Flag>* t) {
  struct Renamed {
    std::string_view old_name;
    std::string_view new_name;
    std::string_view yaml_key;
  };
  const Renamed renamed[] = {
      {"experimental-compact-hash-check-time", "compact-hash-check-time", ""},
      {"experimental-corrupt-check-time", "corrupt-check-time", ""},
      {"experimental-compaction-batch-limit", "compaction-batch-limit", ""},
      {"experimental-compaction-sleep-interval", "compaction-sleep-interval", ""},
      {"experimental-watch-progress-notify-interval", "watch-progress-notify-interval", ""},
      {"experimental-warning-apply-duration", "warning-apply-duration", ""},
      {"experimental-warning-unary-request-duration", "warning-unary-request-duration", ""},
      {"experimental-bootstrap-defrag-threshold-megabytes", "bootstrap-defrag-threshold-megabytes", ""},
      {"experimental-memory-mlock", "memory-mlock", ""},
      {"experimental-snapshot-catchup-entries", "snapshot-catchup-entries",
       "experimental-snapshot-catch-up-entries"},
      {"experimental-max-learners", "max-learners", ""},
      {"experimental-downgrade-check-time", "downgrade-check-time", ""},
      {"experimental-peer-skip-client-san-verification", "peer-skip-client-san-verification", ""},
      {"experimental-enable-distributed-tracing", "enable-distributed-tracing", ""},
      {"experimental-distributed-tracing-address", "distributed-tracing-address", ""},
      {"experimental-distributed-tracing-service-name", "distributed-tracing-service-name", ""},
      {"experimental-distributed-tracing-instance-id", "distributed-tracing-instance-id", ""},
      {"experimental-distributed-tracing-sampling-rate", "distributed-tracing-sampling-rate", ""},
      {"experimental-backend-bbolt-freelist-type", "backend-bbolt-freelist-type", ""},
      {"log-output", "log-outputs", ""},
  };
  for (const Renamed& r : renamed) {
    for (size_t i = 0; i < t->size(); ++i) {
      if ((*t)[i].name != r.new_name) continue;
      Flag old = (*t)[i];
      old.name = r.old_name;
      old.section = kHidden;
      old.replaced_by = r.new_name;
      old.yaml_key = r.yaml_key;
      t->push_back(old);
      break;
    }
  }
}

void AddGateFlags(std::vector<Flag>* t) {
  const auto add = [t](std::string_view name, Field field, std::string_view gate) {
    t->push_back({name, kBool, kHidden, field, "", "", Later::kNow, "", "", gate});
  };
  add("experimental-initial-corrupt-check", AT_BOOL(gates.initial_corrupt_check),
      "feature-gates=InitialCorruptCheck=true");
  add("experimental-compact-hash-check-enabled", AT_BOOL(gates.compact_hash_check),
      "feature-gates=CompactHashCheck=true");
  add("experimental-enable-lease-checkpoint", AT_BOOL(gates.lease_checkpoint),
      "feature-gates=LeaseCheckpoint=true");
  add("experimental-enable-lease-checkpoint-persist", AT_BOOL(gates.lease_checkpoint_persist),
      "feature-gates=LeaseCheckpointPersist=true");
  add("experimental-stop-grpc-service-on-defrag", AT_BOOL(gates.stop_grpc_service_on_defrag),
      "feature-gates=StopGRPCServiceOnDefrag=true");
  add("experimental-txn-mode-write-with-shared-buffer", AT_BOOL(gates.txn_mode_write_with_shared_buffer),
      "feature-gates=TxnModeWriteWithSharedBuffer=true");
}

void AddLegacy(std::vector<Flag>* t) {
  const std::vector<Flag> rows = {
      {"debug", kBool, kHidden, AT_BOOL(legacy.debug), "", "", Later::kNow, "", "", "log-level=debug"},
      {"enable-v2", kBool, kHidden, AT_BOOL(legacy.enable_v2), "", "", Later::kNow, "", "", "",
       "--enable-v2 has no effect: the keys of the v2 API are not served, as in etcd 3.6 and later"},
      {"experimental-enable-v2v3", kString, kHidden, AT_STRING(legacy.enable_v2v3), "", "",
       Later::kV2Emulation},
      {"proxy", kChoice, kHidden, AT_STRING(legacy.proxy), "", "", Later::kV2Proxy, "off,readonly,on"},
      {"discovery", kString, kHidden, AT_STRING(legacy.discovery), "", "", Later::kV2Discovery},
      {"discovery-proxy", kString, kHidden, AT_STRING(legacy.discovery_proxy), "", "", Later::kV2Discovery},
  };
  t->insert(t->end(), rows.begin(), rows.end());
  for (std::string_view name : {"proxy-failure-wait", "proxy-refresh-interval", "proxy-dial-timeout",
                                "proxy-write-timeout", "proxy-read-timeout", "log-package-levels"}) {
    t->push_back({name, kString, kHidden, Field(), "", "", Later::kNow, "", "", "",
                  "flag is no longer supported - ignoring"});
  }
  t->push_back({"next-cluster-version-compatible", kIgnored, kHidden, Field(), "", ""});
  for (std::string_view name :
       {"cluster-active-size", "cluster-remove-delay", "cluster-sync-interval", "config", "force",
        "max-result-buffer", "max-retry-attempts", "peer-heartbeat-interval", "peer-election-timeout",
        "retry-interval", "snapshot", "v", "vv", "test.coverprofile", "test.outputdir"}) {
    t->push_back({name, kIgnored, kHidden, Field(), "", "", Later::kNow, "", "-"});
  }
}

std::vector<Flag> BuildTable() {
  std::vector<Flag> table;
  AddMember(&table);
  AddClustering(&table);
  AddSecurity(&table);
  AddObservability(&table);
  AddFeatures(&table);
  AddRenamed(&table);
  AddGateFlags(&table);
  AddLegacy(&table);
  return table;
}

}  // namespace

const std::vector<Flag>& FlagTable() {
  static const std::vector<Flag> table = BuildTable();
  return table;
}

const Flag* FindFlag(std::string_view name) {
  static const auto by_name = [] {
    std::unordered_map<std::string_view, const Flag*> map;
    for (const Flag& flag : FlagTable()) map.emplace(flag.name, &flag);
    return map;
  }();
  const auto it = by_name.find(name);
  return it == by_name.end() ? nullptr : it->second;
}

std::string EnvironmentName(const Flag& flag) {
  std::string name = "ETCD_";
  for (char c : flag.name) {
    if (c == '-') {
      name += '_';
    } else {
      name += c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c;
    }
  }
  return name;
}

bool IsBoolFlag(const Flag& flag) { return flag.kind == kBool || flag.kind == kIgnored; }

}  // namespace quorate::cmd
