#include "cmd/quorate/serve.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/env_posix.h"
#include "base/logging.h"
#include "base/thread_executor.h"
#include "net/loop.h"
#include "net/server.h"
#include "rpc/services.h"
#include "server/member.h"

namespace quorate::cmd {
namespace {

constexpr size_t kReaderThreads = 4;
// Running calls get this long to end at shutdown; streams are told to go elsewhere at once.
constexpr std::chrono::milliseconds kDrainGrace(500);

std::vector<std::string> ToStrings(const std::vector<Url>& urls) {
  std::vector<std::string> out;
  for (const Url& url : urls) out.push_back(url.String());
  return out;
}

server::Config ToServerConfig(const Options& o) {
  server::Config c;
  c.name = o.name;
  c.data_dir = o.data_dir;
  c.wal_dir = o.wal_dir;
  c.advertise_peer_urls = ToStrings(o.initial_advertise_peer_urls);
  c.advertise_client_urls = ToStrings(o.advertise_client_urls);
  c.initial_cluster = o.initial_cluster;
  c.initial_cluster_token = o.initial_cluster_token;
  c.new_cluster = o.initial_cluster_state == "new";
  c.force_new_cluster = o.force_new_cluster;
  c.tick_nanos = o.heartbeat_interval_ms * 1'000'000;
  c.election_ticks = static_cast<int>(o.ElectionTicks());
  c.initial_election_tick_advance = o.initial_election_tick_advance;
  c.pre_vote = o.pre_vote;
  c.strict_reconfig_check = o.strict_reconfig_check;
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
  c.bcrypt_cost = static_cast<int>(o.bcrypt_cost);
  c.auth_token_ttl_nanos = static_cast<int64_t>(o.auth_token_ttl_seconds) * 1'000'000'000;
  c.warning_apply_nanos = o.warning_apply_duration_nanos;
  return c;
}

net::ServerOptions ToNetOptions(const Options& o) {
  net::ServerOptions n;
  n.message_bytes_max = o.max_request_bytes + limits::kGrpcOverheadBytes;
  n.max_concurrent_streams = static_cast<uint32_t>(std::min<uint64_t>(o.max_concurrent_streams, UINT32_MAX));
  n.keepalive_min_time = std::chrono::nanoseconds(o.grpc_keepalive_min_time_nanos);
  n.keepalive_interval = std::chrono::nanoseconds(o.grpc_keepalive_interval_nanos);
  n.keepalive_timeout = std::chrono::nanoseconds(o.grpc_keepalive_timeout_nanos);
  return n;
}

Status ListenOn(net::Server& server, const std::vector<Url>& urls, const Options& options) {
  for (const Url& url : urls) {
    if (url.IsUnix()) {
      QUORATE_RETURN_IF_ERROR(server.ListenUnix(url.path.empty() ? url.HostPort() : url.path));
      continue;
    }
    // Where a socket may be bound is checked by the parser: an address or "localhost".
    const auto port = static_cast<uint16_t>(std::stoul(url.port));
    const auto bound =
        server.Listen(url.host, port, {.reuse_address = true, .reuse_port = options.socket_reuse_port});
    if (!bound.ok()) {
      return MakeStatus(bound.status().code(),
                        "listen on " + url.String() + ": " + std::string(Message(bound.status())));
    }
  }
  return absl::OkStatus();
}

// Settings that are taken and change nothing here; said once, so that nobody waits for them.
void WarnOfSettingsWithoutEffect(const Options& o) {
  const auto warn = [](const char* flag, const char* why) {
    LOG_WARN("a setting has no effect", {"flag", flag}, {"reason", why});
  };
  if (o.enable_pprof) warn("--enable-pprof", "there is no Go runtime to profile; use perf");
  if (o.metrics == "extensive")
    warn("--metrics=extensive", "the handling-time histogram is not kept by this release");
  if (o.bootstrap_defrag_threshold_megabytes > 0) {
    warn("--bootstrap-defrag-threshold-megabytes",
         "free pages are used again; defragment while serving instead");
  }
}

// Keeps the process's memory from being swapped out (--memory-mlock). The database's mapping is left alone:
// it may be larger than memory, and its pages are read anew.
Status LockMemory() {
  if (mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) == 0) return absl::OkStatus();
  return FailedPrecondition(
      "--memory-mlock: mlockall failed; raise the limit (LimitMEMLOCK=infinity) or leave it out");
}

// The largest number of open files that the system allows: one a client, and more.
void RaiseFileLimit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

// Waits for SIGINT or SIGTERM on a thread of its own; the signals are blocked in all others.
class SignalWaiter {
 public:
  SignalWaiter() {
    sigemptyset(&set_);
    for (const int signal : {SIGINT, SIGTERM}) sigaddset(&set_, signal);
    pthread_sigmask(SIG_BLOCK, &set_, nullptr);
    ::signal(SIGPIPE, SIG_IGN);
  }
  void Start(std::function<void(int)> on_signal) {
    thread_ = std::thread([this, on_signal = std::move(on_signal)] {
      int signal = 0;
      if (sigwait(&set_, &signal) == 0) on_signal(signal);
    });
  }
  // Also when no signal has come: wakes the waiting thread by one of our own.
  ~SignalWaiter() {
    if (!thread_.joinable()) return;
    pthread_kill(thread_.native_handle(), SIGTERM);
    thread_.join();
  }
  void Unblock() { pthread_sigmask(SIG_UNBLOCK, &set_, nullptr); }

 private:
  sigset_t set_;
  std::thread thread_;
};

// Everything of the process that has a lifetime, in order of construction.
class Program {
 public:
  explicit Program(const Options& options)
      : options_(options),
        executor_(kReaderThreads, [this] { loop_.Post([this] { executor_.RunCompletions(); }); }),
        server_(&loop_, ToNetOptions(options)),
        http_server_(&loop_, ToNetOptions(options)) {}

  int Run() {
    if (const Status status = Start(); !status.ok()) {
      LOG_ERROR("discovery or start of the member failed", {"error", Message(status)});
      return 1;
    }
    signals_.Start([this](int signal) { loop_.Post([this, signal] { OnSignal(signal); }); });
    loop_.Run();
    executor_.Shutdown();
    executor_.RunCompletions();
    if (const Status status = member_->Close(); !status.ok()) {
      LOG_ERROR("failed to close the member", {"error", Message(status)});
      return 1;
    }
    LOG_INFO("closed etcd server", {"name", options_.name}, {"data-dir", options_.data_dir});
    return failed_ ? 1 : 0;
  }

  int signal() const { return signal_; }
  void UnblockSignals() { signals_.Unblock(); }

 private:
  Status Start() {
    WarnOfSettingsWithoutEffect(options_);
    QUORATE_RETURN_IF_ERROR(CheckAddressesFree());
    if (options_.memory_mlock) QUORATE_RETURN_IF_ERROR(LockMemory());
    server::Config config = ToServerConfig(options_);
    config.on_fatal = [](const Status& status) {
      LOG_ERROR(
          "the disk can't be trusted any more; the process ends now and starts again from what is durable",
          {"error", Message(status)});
      _exit(1);
    };
    const Env env{&files_, &clock_, &random_, &executor_};
    QUORATE_ASSIGN_OR_RETURN(member_, server::Member::Open(config, env));
    services_ = std::make_unique<rpc::Services>(
        member_.get(), &loop_,
        rpc::HttpOptions{{options_.cors.begin(), options_.cors.end()},
                         {options_.host_whitelist.begin(), options_.host_whitelist.end()}});
    const bool split = !options_.listen_client_http_urls.empty();
    services_->RegisterGrpc({&server_});
    if (!split) services_->RegisterHttp(&server_);
    services_->RegisterHttp(&http_server_);
    QUORATE_RETURN_IF_ERROR(ListenOn(http_server_, options_.listen_metrics_urls, options_));

    loop_.Every(std::chrono::nanoseconds(config.tick_nanos), [this] { member_->Tick(); });
    loop_.AddEndOfRound(net::Loop::Stage::kServer, [this] {
      member_->EndOfRound();
      if (member_->WantsRound()) loop_.Post([] {});
    });
    member_->OnReady([this] { OnReady(); });
    return absl::OkStatus();
  }

  // An address that is taken is an error before anything is written; the sockets are opened for good when the
  // member can serve.
  Status CheckAddressesFree() {
    net::Server probe(&loop_, ToNetOptions(options_));
    QUORATE_RETURN_IF_ERROR(ListenOn(probe, options_.listen_client_urls, options_));
    QUORATE_RETURN_IF_ERROR(ListenOn(probe, options_.listen_client_http_urls, options_));
    probe.StopListening();
    return absl::OkStatus();
  }

  // Clients come in only now: what they would see before is a state that still replays its log.
  void OnReady() {
    Status listening = ListenOn(server_, options_.listen_client_urls, options_);
    if (listening.ok()) listening = ListenOn(http_server_, options_.listen_client_http_urls, options_);
    if (!listening.ok()) {
      LOG_ERROR("can't serve clients", {"error", Message(listening)});
      failed_ = true;
      loop_.Stop();
      return;
    }
    LOG_INFO("ready to serve client requests");
    services_->SetServing(true);
    for (const Url& url : options_.listen_client_urls) {
      LOG_INFO("serving client traffic insecurely; this is strongly discouraged!", {"traffic", "grpc+http"},
               {"address", url.HostPort()});
    }
    sd_notify(0, "READY=1");
  }

  void OnSignal(int signal) {
    if (signal_ != 0) return;
    signal_ = signal;
    LOG_INFO("received signal; shutting down", {"signal", signal == SIGINT ? "interrupt" : "terminated"});
    sd_notify(0, "STOPPING=1");
    LOG_INFO("closing etcd server", {"name", options_.name}, {"data-dir", options_.data_dir});
    services_->SetServing(false);
    server_.Drain(kDrainGrace, [this] { http_server_.Drain(kDrainGrace, [this] { loop_.Stop(); }); });
  }

  const Options& options_;
  SignalWaiter signals_;
  net::Loop loop_;
  PosixFileSystem files_;
  SystemClock clock_;
  SystemRandom random_;
  ThreadExecutor executor_;
  std::unique_ptr<server::Member> member_;
  std::unique_ptr<rpc::Services> services_;
  net::Server server_;
  net::Server http_server_;
  int signal_ = 0;
  bool failed_ = false;
};

}  // namespace

int Serve(const Options& options) {
  RaiseFileLimit();
  int status = 0;
  int signal = 0;
  {
    Program program(options);
    status = program.Run();
    signal = program.signal();
    if (signal != 0) program.UnblockSignals();
  }
  if (status == 0 && signal != 0 && getpid() != 1) {
    ::signal(signal, SIG_DFL);
    raise(signal);
  }
  return status;
}

}  // namespace quorate::cmd
