#include "cmd/quorate/validate.h"

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "cmd/cli/go_syntax.h"

namespace quorate::cmd {
namespace {

constexpr int64_t kElectionMsMax = 50'000;
constexpr uint64_t kRequestBytesRecommended = 10 * 1024 * 1024;

std::string JoinUrls(const std::vector<Url>& urls) {
  std::string out;
  for (const Url& url : urls) {
    if (!out.empty()) out += ',';
    out += url.String();
  }
  return out;
}

bool IsIp(const std::string& host) {
  unsigned char bytes[16];
  return inet_pton(AF_INET, host.c_str(), bytes) == 1 || inet_pton(AF_INET6, host.c_str(), bytes) == 1;
}

Status CheckBindUrls(const std::vector<Url>& urls) {
  for (const Url& url : urls) {
    if (url.IsUnix() || url.host == "localhost" || IsIp(url.host)) continue;
    return InvalidArgument("expected IP in URL for binding (" + url.String() + ")");
  }
  return absl::OkStatus();
}

// Whether a port speaks gRPC or other HTTP must be clear.
Status CheckPortsDiffer(const Options& o) {
  const auto address = [](const Url& url) { return url.path.empty() ? url.HostPort() : url.path; };
  for (const Url& http : o.listen_client_http_urls) {
    for (const Url& client : o.listen_client_urls) {
      if (address(http) != address(client)) continue;
      return InvalidArgument(
          "cannot bind both --listen-client-urls and --listen-client-http-urls on the same url " +
          http.String());
    }
  }
  return absl::OkStatus();
}

Status CheckHostUrls(const std::vector<Url>& urls) {
  for (const Url& url : urls) {
    if (!url.IsUnix() && url.host.empty()) {
      return InvalidArgument("unexpected empty host (" + url.String() + ")");
    }
  }
  return absl::OkStatus();
}

Status CheckUrls(const Options& o, std::vector<Notice>* notices) {
  QUORATE_RETURN_IF_ERROR(CheckBindUrls(o.listen_peer_urls));
  QUORATE_RETURN_IF_ERROR(CheckBindUrls(o.listen_client_urls));
  QUORATE_RETURN_IF_ERROR(CheckBindUrls(o.listen_client_http_urls));
  QUORATE_RETURN_IF_ERROR(CheckPortsDiffer(o));
  if (o.listen_client_http_urls.empty()) {
    notices->push_back(
        {log::Level::kWarn,
         "Running http and grpc server on single port. This is not recommended for production.",
         {}});
  }
  QUORATE_RETURN_IF_ERROR(CheckBindUrls(o.listen_metrics_urls));
  if (const Status s = CheckHostUrls(o.initial_advertise_peer_urls); !s.ok()) {
    return InvalidArgument("--initial-advertise-peer-urls " +
                           GoQuote(JoinUrls(o.initial_advertise_peer_urls)) + " must be \"host:port\" (" +
                           std::string(Message(s)) + ")");
  }
  if (const Status s = CheckHostUrls(o.advertise_client_urls); !s.ok()) {
    return InvalidArgument("--advertise-client-urls " + GoQuote(JoinUrls(o.advertise_client_urls)) +
                           " must be in the format \"host:port\", \"unix:/path/to/socket\" or "
                           "\"unixs:/path/to/socket\" (" +
                           std::string(Message(s)) + ")");
  }
  return absl::OkStatus();
}

Status CheckBootstrap(const Options& o) {
  if (o.initial_cluster_state != "new" && o.initial_cluster_state != "existing") {
    return InvalidArgument("unexpected clusterState " + GoQuote(o.initial_cluster_state));
  }
  const int sources = (o.initial_cluster.empty() ? 0 : 1) + (o.discovery.srv.empty() ? 0 : 1) +
                      (o.discovery.endpoints.empty() ? 0 : 1);
  if (sources > 1) {
    return InvalidArgument(
        "multiple discovery or bootstrap flags are set. Choose one of \"initial-cluster\", "
        "\"discovery-endpoints\" or \"discovery-srv\"");
  }
  if (o.discovery.token.empty() != o.discovery.endpoints.empty()) {
    return InvalidArgument("both --discovery-token and --discovery-endpoints must be set");
  }
  for (const std::string& endpoint : o.discovery.endpoints) {
    if (endpoint.find_first_not_of(" \t") == std::string::npos) {
      return InvalidArgument("--discovery-endpoints must not contain empty endpoints");
    }
  }
  return absl::OkStatus();
}

Status CheckTicks(const Options& o) {
  const std::string heartbeat = std::to_string(o.heartbeat_interval_ms);
  const std::string election = std::to_string(o.election_timeout_ms);
  if (o.heartbeat_interval_ms == 0) {
    return InvalidArgument("--heartbeat-interval must be >0 (set to " + heartbeat + "ms)");
  }
  if (o.election_timeout_ms == 0) {
    return InvalidArgument("--election-timeout must be >0 (set to " + election + "ms)");
  }
  if (o.heartbeat_interval_ms > o.election_timeout_ms / 5) {
    return InvalidArgument("--election-timeout[" + election +
                           "ms] should be at least as 5 times as --heartbeat-interval[" + heartbeat + "ms]");
  }
  if (o.election_timeout_ms > kElectionMsMax) {
    return InvalidArgument("--election-timeout[" + election +
                           "ms] is too long, and should be set less than " + std::to_string(kElectionMsMax) +
                           "ms");
  }
  return absl::OkStatus();
}

Status DeriveCompaction(Options* o) {
  if (o->auto_compaction_mode_text == "periodic") {
    o->auto_compaction_mode = CompactionMode::kPeriodic;
  } else if (o->auto_compaction_mode_text == "revision") {
    o->auto_compaction_mode = CompactionMode::kRevision;
  } else if (o->auto_compaction_mode_text.empty()) {
    return InvalidArgument("undefined auto-compaction-mode");
  } else {
    return InvalidArgument("unknown auto-compaction-mode " + GoQuote(o->auto_compaction_mode_text));
  }
  // A bare number counts hours or revisions; anything else is a duration, even in revision mode, as in etcd.
  const std::string text =
      o->auto_compaction_retention_text.empty() ? "0" : o->auto_compaction_retention_text;
  const bool decimal = text.find_first_not_of("0123456789") == std::string::npos;
  if (decimal && text.size() <= 18) {
    const int64_t number = std::stoll(text);
    constexpr int64_t kHourNanos = 3'600'000'000'000;
    int64_t nanos = 0;
    if (o->auto_compaction_mode == CompactionMode::kPeriodic &&
        __builtin_mul_overflow(number, kHourNanos, &nanos)) {
      return InvalidArgument("error parsing CompactionRetention: " + text +
                             " hours are more than a duration holds");
    }
    o->auto_compaction_retention = o->auto_compaction_mode == CompactionMode::kPeriodic ? nanos : number;
    return absl::OkStatus();
  }
  const auto nanos = ParseGoDuration(text);
  if (!nanos.ok()) {
    return InvalidArgument("error parsing CompactionRetention: " + std::string(Message(nanos.status())));
  }
  // etcd takes it, and compacts without end (GHSA-pm3m-32r3-7mfh).
  if (*nanos < 0) {
    return InvalidArgument("auto-compaction-retention " + GoQuote(text) +
                           " is negative; give 0 to turn automatic compaction off");
  }
  o->auto_compaction_retention = *nanos;
  return absl::OkStatus();
}

Status DeriveLogLevel(Options* o) {
  struct Name {
    std::string_view text;
    log::Level level;
  };
  constexpr Name kNames[] = {{"debug", log::Level::kDebug}, {"info", log::Level::kInfo},
                             {"warn", log::Level::kWarn},   {"error", log::Level::kError},
                             {"panic", log::Level::kPanic}, {"fatal", log::Level::kFatal},
                             {"", log::Level::kInfo}};
  for (const Name& name : kNames) {
    if (name.text == o->log_level_text) {
      o->log.level = name.level;
      if (o->legacy.debug) o->log.level = log::Level::kDebug;
      return absl::OkStatus();
    }
  }
  return InvalidArgument("unknown level " + GoQuote(o->log_level_text) +
                         ", supported values debug, info, warn, error, panic, fatal");
}

Status DeriveLogOutputs(Options* o) {
  if (o->log_outputs_text.empty()) o->log_outputs_text = {"default"};
  o->log.outputs.clear();
  size_t files = 0;
  for (const std::string& output : o->log_outputs_text) {
    if (output == "default" && o->log_outputs_text.size() > 1) {
      return InvalidArgument("multi logoutput for \"default\" is not supported yet");
    }
    if (output.empty()) {
      return InvalidArgument("--log-outputs holds an empty name: give stderr, stdout or the path of a file");
    }
    // Under systemd standard error goes to the journal.
    const bool to_stderr = output == "default" || output == "systemd/journal";
    o->log.outputs.push_back(to_stderr ? "stderr" : output);
    if (!to_stderr && output != "stderr" && output != "stdout") ++files;
  }
  if (!o->enable_log_rotation) return absl::OkStatus();
  if (files != 1) {
    return InvalidArgument(
        "--log-outputs requires a single file path when --log-rotate-config-json is defined");
  }
  if (!nlohmann::json::accept(o->log_rotation_config_json)) {
    return InvalidArgument("improperly formatted log rotation config: --log-rotation-config-json is no JSON");
  }
  return absl::OkStatus();
}

Status DeriveLogging(Options* o) {
  if (o->logger_text == "capnslog") return InvalidArgument("--logger=capnslog is removed in v3.5");
  if (o->logger_text != "zap") return InvalidArgument("unknown logger option " + GoQuote(o->logger_text));
  QUORATE_RETURN_IF_ERROR(DeriveLogOutputs(o));
  QUORATE_RETURN_IF_ERROR(DeriveLogLevel(o));
  if (o->log_format_text != "json" && o->log_format_text != "console" && !o->log_format_text.empty()) {
    return InvalidArgument("unknown log format: " + o->log_format_text + ", supported values json, console");
  }
  o->log.console = o->log_format_text == "console";
  return absl::OkStatus();
}

StatusOr<int> TlsVersion(const std::string& text) {
  if (text.empty()) return 0;
  if (text == "TLS1.2") return 12;
  if (text == "TLS1.3") return 13;
  return InvalidArgument("unexpected TLS version " + GoQuote(text) + " (must be one of: TLS1.2, TLS1.3)");
}

Status CheckTls(const Options& o) {
  QUORATE_ASSIGN_OR_RETURN(const int min, TlsVersion(o.tls_min_version));
  QUORATE_ASSIGN_OR_RETURN(const int max, TlsVersion(o.tls_max_version));
  if (max != 0 && min > max) {
    return InvalidArgument("min version (" + o.tls_min_version + ") is greater than max version (" +
                           o.tls_max_version + ")");
  }
  if (min == 13 && !o.cipher_suites.empty()) {
    return InvalidArgument("cipher suites cannot be configured when only TLS1.3 is enabled");
  }
  return absl::OkStatus();
}

Status CheckGates(const Options& o, std::vector<Notice>* notices) {
  if (o.gates.lease_checkpoint && !o.gates.lease_checkpoint_persist) {
    notices->push_back(
        {log::Level::kWarn,
         "Detected that checkpointing is enabled without persistence. Consider enabling feature gate "
         "LeaseCheckpointPersist",
         {}});
  }
  if (o.gates.lease_checkpoint_persist && !o.gates.lease_checkpoint) {
    return InvalidArgument(
        "enabling feature gate LeaseCheckpointPersist requires enabling feature gate "
        "LeaseCheckpoint");
  }
  return absl::OkStatus();
}

Status CheckOurs(const Options& o) {
  constexpr std::array<std::string_view, 4> kVersions = {"3.4", "3.5", "3.6", "3.7"};
  if (std::find(kVersions.begin(), kVersions.end(), o.new_cluster_version) == kVersions.end()) {
    return InvalidArgument("--new-cluster-version " + GoQuote(o.new_cluster_version) +
                           " is not one of 3.4, 3.5, 3.6, 3.7");
  }
  constexpr int64_t kBackupIntervalNanosMin = 1'000'000'000;
  constexpr int64_t kBackupIntervalNanosMax = int64_t{10} * 365 * 24 * 3'600 * 1'000'000'000;
  if (o.backup_interval_nanos < kBackupIntervalNanosMin ||
      o.backup_interval_nanos > kBackupIntervalNanosMax) {
    return InvalidArgument("--backup-interval must be at least 1s and at most ten years (set to " +
                           std::to_string(o.backup_interval_nanos) + " nanoseconds)");
  }
  if (o.auto_defrag_threshold_percent > 100) {
    return InvalidArgument("--auto-defrag-threshold is a percentage, from 0 to 100 (set to " +
                           std::to_string(o.auto_defrag_threshold_percent) + ")");
  }
  if (o.auto_defrag_interval_nanos <= 0) {
    return InvalidArgument("--auto-defrag-interval must be above zero");
  }
  if (o.backup_log && o.backup_dir.empty()) {
    return InvalidArgument("--backup-log needs --backup-dir: the directory that the log is archived in");
  }
  constexpr uint64_t kIoThreadsMax = 64;
  if (o.io_threads > kIoThreadsMax) {
    return InvalidArgument("--io-threads must be at most " + std::to_string(kIoThreadsMax) + " (set to " +
                           std::to_string(o.io_threads) + ")");
  }
  return absl::OkStatus();
}

}  // namespace

Status Validate(Options* o, std::vector<Notice>* notices) {
  QUORATE_RETURN_IF_ERROR(DeriveLogging(o));
  QUORATE_RETURN_IF_ERROR(CheckUrls(*o, notices));
  QUORATE_RETURN_IF_ERROR(CheckBootstrap(*o));
  QUORATE_RETURN_IF_ERROR(CheckTicks(*o));
  if (o->advertise_client_urls.empty()) return InvalidArgument(kAdvertiseMissing);
  QUORATE_RETURN_IF_ERROR(DeriveCompaction(o));
  if (o->tracing.enabled &&
      (o->tracing.sampling_rate_per_million < 0 || o->tracing.sampling_rate_per_million > 1'000'000)) {
    return InvalidArgument(
        "distributed tracing configurition is not valid: (distributed tracing sampling rate must be between "
        "0 and "
        "1000000)");
  }
  QUORATE_RETURN_IF_ERROR(CheckGates(*o, notices));
  if (o->compact_hash_check_time_nanos <= 0) {
    return InvalidArgument("--compact-hash-check-time must be >0 (set to " +
                           std::to_string(o->compact_hash_check_time_nanos) + ")");
  }
  if (o->name == "default") {
    notices->push_back(
        {log::Level::kWarn,
         "it isn't recommended to use default name, please set a value for --name. Note that etcd "
         "might run into issue when multiple members have the same default name",
         {{"name", o->name}}});
  }
  QUORATE_RETURN_IF_ERROR(CheckTls(*o));
  if (o->max_request_bytes > kRequestBytesRecommended) {
    notices->push_back({log::Level::kWarn,
                        "exceeded recommended request limit",
                        {{"max-request-bytes", std::to_string(o->max_request_bytes)},
                         {"recommended-request-bytes", std::to_string(kRequestBytesRecommended)}}});
  }
  return CheckOurs(*o);
}

}  // namespace quorate::cmd
