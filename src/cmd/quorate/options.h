// Every setting of the server, typed, and how it is read: flags in Go's syntax, ETCD_* environment variables,
// or one YAML file, with etcd's precedence, defaults, checks and texts (etcd: server/etcdmain/config.go,
// server/embed/config.go).
//
// Invariants of an Options that ParseOptions returned:
//  1. Listen URLs hold an IP address or "localhost" (or are unix sockets); advertised URLs hold a host.
//  2. 0 < heartbeat_interval_ms, 5 * heartbeat_interval_ms <= election_timeout_ms <= 50000.
//  3. At most one of initial_cluster, discovery_srv, discovery_endpoints is set.
//  4. data_dir is never empty.
// Parsing touches no global state, writes nothing and starts nothing; it reads the YAML file when one is
// named.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/logging.h"
#include "base/status.h"
#include "cmd/cli/go_syntax.h"
#include "cmd/cli/program_version.h"

namespace quorate::cmd {

// scheme://host:port of a listener or an advertised address. For unix and unixs, `host` and `port` are as
// written after the scheme (etcd names sockets host:port) and `path` holds a path when there is one.
struct Url {
  std::string scheme;  // http, https, unix or unixs
  std::string host;    // Without brackets for IPv6.
  std::string port;
  std::string path;

  std::string HostPort() const;
  std::string String() const;
  // Of one that is not a unix socket. 0, any free one, when none is given. InvalidArgument with Go's text.
  StatusOr<uint16_t> PortNumber() const;
  bool IsTls() const { return scheme == "https" || scheme == "unixs"; }
  bool IsUnix() const { return scheme == "unix" || scheme == "unixs"; }
  friend bool operator==(const Url&, const Url&) = default;
};

// Go's url.Parse and etcd's types.NewURLs, with the texts of their errors; a list comes back sorted.
StatusOr<Url> ParseUrl(std::string_view text);
StatusOr<std::vector<Url>> ParseUrls(const std::vector<std::string>& texts);

struct TlsOptions {
  std::string cert_file;
  std::string key_file;
  std::string client_cert_file;
  std::string client_key_file;
  std::string trusted_ca_file;
  std::string crl_file;
  bool client_cert_auth = false;
  bool auto_tls = false;
  bool skip_client_san_verification = false;
  std::vector<std::string> allowed_cns;
  std::vector<std::string> allowed_hostnames;

  bool Empty() const { return cert_file.empty() && key_file.empty(); }
};

struct DiscoveryOptions {
  std::string srv;
  std::string srv_name;
  std::vector<std::string> endpoints;
  std::string token;
  int64_t dial_timeout_nanos = 2'000'000'000;
  int64_t request_timeout_nanos = 5'000'000'000;
  int64_t keepalive_time_nanos = 2'000'000'000;
  int64_t keepalive_timeout_nanos = 6'000'000'000;
  bool insecure_transport = true;
  bool insecure_skip_tls_verify = false;
  std::string cert;
  std::string key;
  std::string cacert;
  std::string user;
  std::string password;
  std::string fallback = "exit";
};

struct TracingOptions {
  bool enabled = false;
  std::string address = "localhost:4317";
  std::string service_name = "etcd";
  std::string instance_id;
  int64_t sampling_rate_per_million = 0;
};

// --feature-gates, and the experimental flags that were turned into gates.
struct FeatureGates {
  bool all_alpha = false;
  bool all_beta = false;
  bool compact_hash_check = false;
  bool initial_corrupt_check = false;
  bool stop_grpc_service_on_defrag = false;
  bool lease_checkpoint = false;
  bool lease_checkpoint_persist = false;
  bool set_member_local_addr = false;
  bool txn_mode_write_with_shared_buffer = true;
  bool fast_lease_keep_alive = true;
  bool priority_request = false;
};

// Settings that only older releases of etcd had and that mean something else than "ignored" or a new name.
struct LegacyOptions {
  bool debug = false;      // 3.4: --log-level=debug
  bool enable_v2 = false;  // Until 3.5.
  std::string enable_v2v3;
  std::string proxy = "off";
  std::string discovery;
  std::string discovery_proxy;
  std::string v2_deprecation;  // Accepted and ignored since 3.6's late patches.
};

enum class CompactionMode { kPeriodic, kRevision };

struct Options {
  // Member
  std::string name = "default";
  std::string data_dir;  // "<name>.etcd" when not given.
  std::string wal_dir;   // Empty: <data_dir>/member/wal.
  uint64_t snapshot_count = 10'000;
  uint64_t snapshot_catchup_entries = 5'000;
  int64_t heartbeat_interval_ms = 100;
  int64_t election_timeout_ms = 1'000;
  bool initial_election_tick_advance = true;
  std::vector<Url> listen_peer_urls = {{"http", "localhost", "2380", ""}};
  std::vector<Url> listen_client_urls = {{"http", "localhost", "2379", ""}};
  std::vector<Url> listen_client_http_urls;
  std::vector<Url> listen_metrics_urls;
  uint64_t max_snapshots = 5;  // 0: keep all.
  uint64_t max_wals = 5;       // 0: keep all.
  bool memory_mlock = false;
  int64_t quota_backend_bytes = 0;           // 0: 2 GiB; negative: no limit.
  int64_t backend_batch_interval_nanos = 0;  // 0: 100 ms
  int64_t backend_batch_limit = 0;           // 0: 10,000 operations
  std::string backend_freelist_type = "map";
  uint64_t max_txn_ops = 128;
  uint64_t max_request_bytes = 1'572'864;
  uint64_t max_concurrent_streams = 4'294'967'295;
  int64_t grpc_keepalive_min_time_nanos = 5'000'000'000;
  int64_t grpc_keepalive_interval_nanos = 7'200'000'000'000;
  int64_t grpc_keepalive_timeout_nanos = 20'000'000'000;
  bool socket_reuse_port = false;
  bool socket_reuse_address = false;
  bool enable_grpc_gateway = true;
  int64_t raft_read_timeout_nanos = 5'000'000'000;
  int64_t raft_write_timeout_nanos = 5'000'000'000;
  uint64_t max_learners = 1;
  FeatureGates gates;
  std::string feature_gates_text;  // As given.

  // Ours, unknown to etcd
  std::string new_cluster_version = "3.4";     // The version a new cluster begins at.
  std::string lost_log_action = "stay";        // What a member does whose log went back in time.
  uint64_t auto_defrag_threshold_percent = 0;  // Of the db file, free; 0: never.
  int64_t auto_defrag_interval_nanos = 600'000'000'000;
  bool strict_probation = false;
  std::string recover_user_file;  // "user:password" for --lost-log-action=rejoin.
  std::string run_dir;            // Empty: chosen at start.
  std::string backup_dir;         // Empty: the server takes no backups.
  int64_t backup_interval_nanos = 3'600'000'000'000;
  std::string backup_retention_text = "24h,7d,4w";
  bool backup_log = false;
  uint64_t io_threads = 0;  // 0: the core and the sockets share one loop.

  // Clustering
  std::vector<Url> initial_advertise_peer_urls = {{"http", "localhost", "2380", ""}};
  std::vector<Url> advertise_client_urls = {{"http", "localhost", "2379", ""}};
  std::string initial_cluster;  // "name=url,name=url"; filled from name and advertised URLs when not given.
  std::string initial_cluster_state = "new";
  std::string initial_cluster_token = "etcd-cluster";
  bool strict_reconfig_check = true;
  bool pre_vote = true;
  bool force_new_cluster = false;
  DiscoveryOptions discovery;

  // Compaction and background work
  CompactionMode auto_compaction_mode = CompactionMode::kPeriodic;
  std::string auto_compaction_mode_text = "periodic";  // As given, like every *_text below.
  std::string auto_compaction_retention_text = "0";
  int64_t auto_compaction_retention = 0;  // Nanoseconds (periodic) or revisions (revision); 0: off.
  int64_t compaction_batch_limit = 1'000;
  int64_t compaction_sleep_interval_nanos = 10'000'000;
  int64_t watch_progress_notify_interval_nanos = 600'000'000'000;
  int64_t corrupt_check_time_nanos = 0;  // 0: off.
  int64_t compact_hash_check_time_nanos = 60'000'000'000;
  int64_t downgrade_check_time_nanos = 5'000'000'000;
  uint64_t bootstrap_defrag_threshold_megabytes = 0;
  int64_t warning_apply_duration_nanos = 100'000'000;
  int64_t warning_unary_request_duration_nanos = 300'000'000;

  // Security
  TlsOptions client_tls;
  TlsOptions peer_tls;
  uint64_t self_signed_cert_validity_years = 1;
  std::vector<std::string> cipher_suites;
  std::string tls_min_version = "TLS1.2";
  std::string tls_max_version;
  std::vector<std::string> cors = {"*"};            // Sorted, no duplicates.
  std::vector<std::string> host_whitelist = {"*"};  // Sorted, no duplicates.
  std::string auth_token = "simple";
  uint64_t bcrypt_cost = 10;
  uint64_t auth_token_ttl_seconds = 300;

  // Watching it
  bool enable_pprof = false;
  std::string metrics = "basic";
  log::Config log;  // From the four below.
  std::string logger_text = "zap";
  std::string log_level_text = "info";
  std::string log_format_text = "json";
  std::vector<std::string> log_outputs_text = {"default"};
  bool enable_log_rotation = false;
  std::string log_rotation_config_json =
      R"({"maxsize": 100, "maxage": 0, "maxbackups": 0, "localtime": false, "compress": false})";
  TracingOptions tracing;

  bool unsafe_no_fsync = false;

  LegacyOptions legacy;

  std::string config_file;  // Where the settings came from, when from a file.
  // One "name", "value" pair per flag or file key that was given, secrets left out; for the start-up log.
  std::vector<std::pair<std::string, std::string>> given;

  int64_t ElectionTicks() const { return election_timeout_ms / heartbeat_interval_ms; }
};

// A line for the log that is to be set up from the Options themselves.
struct Notice {
  log::Level level;
  std::string message;
  std::vector<std::pair<std::string, std::string>> fields;
};

// Exactly one of two outcomes: `options` is set and the server is to start, or it is empty and the program
// writes `out` to stdout, `err` to stderr and ends with `exit_code`. `notices` are to be logged in either
// case.
struct ParseResult {
  std::optional<Options> options;
  std::vector<Notice> notices;
  int exit_code = 0;
  std::string out;
  std::string err;
};

// `args` without the program's name; `program` is argv[0] (its last path component decides whose --version is
// printed first); `environment` holds "NAME=value" strings.
ParseResult ParseOptions(std::string_view program, const std::vector<std::string>& args,
                         const std::vector<std::string>& environment);

// What the given settings ask for that this release doesn't have: the first such setting is named with its
// reason. OK when the server can run as asked.
Status CheckAvailable(const Options& options);

// The text of --help, built from the table of flags.
std::string HelpText(std::string_view program);

}  // namespace quorate::cmd
