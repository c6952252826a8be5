#include "cmd/quorate/serve.h"

#include <signal.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/env_posix.h"
#include "base/logging.h"
#include "base/thread_executor.h"
#include "cluster/urls.h"
#include "cmd/quorate/serve_auth.h"
#include "cmd/quorate/serve_backup.h"
#include "cmd/quorate/serve_cluster_admin.h"
#include "cmd/quorate/serve_discovery.h"
#include "cmd/quorate/serve_lost_log.h"
#include "cmd/quorate/serve_peer_stats.h"
#include "cmd/quorate/serve_process.h"
#include "cmd/quorate/serve_settings.h"
#include "cmd/quorate/serve_signals.h"
#include "cmd/quorate/serve_tls.h"
#include "cmd/quorate/serve_token_discovery.h"
#include "net/loop.h"
#include "net/server.h"
#include "peer/bootstrap.h"
#include "peer/member_events.h"
#include "peer/metrics_text.h"
#include "peer/peer_transport.h"
#include "rpc/services.h"
#include "server/cluster_life.h"
#include "server/errors.h"
#include "server/member.h"
#include "server/sync_failure.h"

namespace quorate::cmd {
namespace {

constexpr size_t kReaderThreads = 4;
// Running calls get this long to end at shutdown; streams are told to go elsewhere at once.
constexpr std::chrono::milliseconds kDrainGrace(500);
// Between two attempts to join after a rejoin has added this member.
constexpr std::chrono::seconds kJoinPause(2);

// `tls` is for the URLs that ask for it, and is there if one does. An address that is named with and without
// TLS serves both, as in etcd.
Status ListenOn(net::Server& server, const std::vector<Url>& urls, const Options& options,
                const std::shared_ptr<const net::TlsListening>& tls) {
  for (auto it = urls.begin(); it != urls.end(); ++it) {
    const Url& url = *it;
    const auto same = [&](const Url& other) {
      return !url.IsUnix() && !other.IsUnix() && other.HostPort() == url.HostPort();
    };
    if (std::any_of(urls.begin(), it, same)) continue;
    const bool both = std::any_of(
        it, urls.end(), [&](const Url& other) { return same(other) && other.IsTls() != url.IsTls(); });
    net::ListenOptions listen{.reuse_port = options.socket_reuse_port,
                              .tls = url.IsTls() || both ? tls : nullptr};
    if (both) {
      auto mixed = std::make_shared<net::TlsListening>(*tls);
      mixed->clear_too = true;
      listen.tls = std::move(mixed);
    }
    if (url.IsUnix()) {
      QUORATE_RETURN_IF_ERROR(server.ListenUnix(url.path.empty() ? url.HostPort() : url.path, listen));
      continue;
    }
    // Where a socket may be bound is checked by the parser: an address or "localhost".
    QUORATE_ASSIGN_OR_RETURN(const uint16_t port, url.PortNumber());
    const auto bound = server.Listen(url.host, port, listen);
    if (!bound.ok()) {
      return MakeStatus(bound.status().code(),
                        "listen on " + url.String() + ": " + std::string(Message(bound.status())));
    }
    if (port == 0) LOG_INFO("listening on a free port", {"url", url.String()}, {"port", *bound});
  }
  return absl::OkStatus();
}

void LogServing(const std::vector<Url>& urls, std::string_view traffic) {
  for (const Url& url : urls) {
    if (url.IsTls()) {
      LOG_INFO("serving client traffic securely", {"traffic", traffic}, {"address", url.HostPort()});
    } else {
      LOG_INFO("serving client traffic insecurely; this is strongly discouraged!", {"traffic", traffic},
               {"address", url.HostPort()});
    }
  }
}

// Everything of the process that has a lifetime, in order of construction.
class Program {
 public:
  explicit Program(const Options& options)
      : options_(options),
        executor_(kReaderThreads, [this] { loop_.Post([this] { executor_.RunCompletions(); }); }),
        env_{&files_, &clock_, &random_, &executor_},
        config_(ToServerConfig(options)),
        sync_failure_(&files_, config_.data_dir, config_.lost_log),
        server_(&loop_, ToNetOptions(options)),
        http_server_(&loop_, ToNetOptions(options)),
        metrics_server_(&loop_, ToMetricsNetOptions(options)),
        transport_(&loop_, env_, {config_.advertise_peer_urls, config_.election_ticks * config_.tick_nanos}),
        peer_server_(&loop_, peer::PeerServerOptions()) {
    files_.set_on_failed_sync([this](const std::string& path) { sync_failure_.Set(path); });
    config_.on_fatal = [](const Status& status) {
      LOG_ERROR("the member can't go on; the process ends now and starts again from what is durable",
                {"error", Message(status)});
      _exit(1);
    };
  }
  // Where the start failed, too: what the threads do refers to the member.
  ~Program() { executor_.Shutdown(); }

  int Run() {
    signals_.Start([this](int signal) { loop_.Post([this, signal] { OnSignal(signal); }); });
    if (const Status status = Start(); !status.ok()) {
      if (signal_ != 0) return 0;
      LOG_ERROR("discovery or start of the member failed", {"error", Message(status)});
      return 1;
    }
    loop_.Run();
    transport_.Stop();
    // What it has just said to the others still leaves.
    for (int round = 0; round < 2; ++round) loop_.RunRound(false);
    executor_.Shutdown();
    executor_.RunCompletions();
    if (const Status status = member_->Close(); !status.ok()) {
      LOG_ERROR("failed to close the member", {"error", Message(status)});
      return 1;
    }
    LOG_INFO("closed etcd server", {"name", options_.name}, {"data-dir", options_.data_dir});
    return exit_status_;
  }
  // The same program is to run once more, from the directory as it is now.
  bool wants_restart() const { return restart_; }

  // After Run(): the signal that came, perhaps too late for it; 0: none.
  int StopSignals() { return signals_.Stop(); }
  void UnblockSignals() { signals_.Unblock(); }

 private:
  Status Start() {
    WarnOfSettingsWithoutEffect(options_);
    QUORATE_ASSIGN_OR_RETURN(tls_, MakeServerTls(options_));
    QUORATE_ASSIGN_OR_RETURN(config_.auth, ReadAuthOptions(options_, &files_));
    QUORATE_ASSIGN_OR_RETURN(backups_, ServeBackups::Make(options_, &loop_));
    if (backups_ != nullptr && backups_->archives_log()) {
      config_.on_applied = [this](const raft::Entry& entry) { backups_->OnApplied(entry); };
    }
    QUORATE_RETURN_IF_ERROR(CheckAddressesFree());
    if (options_.memory_mlock) QUORATE_RETURN_IF_ERROR(LockMemory());
    QUORATE_ASSIGN_OR_RETURN(rejoining_, server::PrepareRejoin(&files_, config_.data_dir, config_.wal_dir));
    QUORATE_RETURN_IF_ERROR(AskOthers());
    QUORATE_ASSIGN_OR_RETURN(member_, server::Member::Open(config_, env_, &transport_));
    life_ = std::make_unique<server::ClusterLife>(member_.get());
    if (backups_ != nullptr) backups_->Start(member_.get(), life_.get());
    events_ = std::make_unique<peer::MemberEvents>(
        member_.get(), [this](server::PeerCall call, peer::PeerEvents::Answer answer) {
          life_->peer_service().Handle(std::move(call), std::move(answer));
        });
    transport_.ServeOn(&peer_server_);
    QUORATE_RETURN_IF_ERROR(ListenOn(peer_server_, options_.listen_peer_urls, options_, tls_.peers));
    transport_.UseTls(tls_.to_peers);
    transport_.Start(member_->id(), member_->cluster_id(), events_.get());
    services_ = std::make_unique<rpc::Services>(
        member_.get(), life_.get(), &loop_,
        rpc::HttpOptions{{options_.cors.begin(), options_.cors.end()},
                         {options_.host_whitelist.begin(), options_.host_whitelist.end()},
                         [this] { return FurtherMetrics(); },
                         [this] { return ToPeerStats(transport_.metrics()); },
                         options_.enable_grpc_gateway,
                         options_.client_tls.client_cert_auth,
                         [this] { return backups_ == nullptr ? std::string() : backups_->CheckLine(); }});
    const bool split = !options_.listen_client_http_urls.empty();
    services_->RegisterGrpc({&server_});
    if (!split) services_->RegisterHttp(&server_);
    services_->RegisterHttp(&http_server_);
    services_->RegisterMetricsHttp(&metrics_server_);
    QUORATE_RETURN_IF_ERROR(ListenOn(metrics_server_, options_.listen_metrics_urls, options_, tls_.metrics));
    QUORATE_RETURN_IF_ERROR(CheckHashes());

    loop_.Every(std::chrono::nanoseconds(config_.tick_nanos), [this] {
      member_->Tick();
      life_->Tick();
      if (backups_ != nullptr) backups_->Tick();
      if (rejoin_ != nullptr) rejoin_->Tick();
    });
    AddRounds();
    member_->OnReady([this] { OnReady(); });
    member_->OnRemoved([this] { loop_.Stop(); });
    return StartRejoin();
  }

  // What a quarantined member, or one on its way back from there, does beside staying what it is.
  Status StartRejoin() {
    const bool quarantined = member_->lost_log().quarantined();
    const server::LostLogAction action = config_.lost_log.action;
    if (quarantined && action == server::LostLogAction::kExit) {
      loop_.Post([this] { End(server::kLostLogExitCode); });
      return absl::OkStatus();
    }
    // Later: the streams of clients end with this run of the program, the next one begins quarantined.
    if (!quarantined) member_->OnQuarantined([this] { loop_.Post([this] { Restart(); }); });
    if (!rejoining_ && !(quarantined && action == server::LostLogAction::kRejoin)) return absl::OkStatus();
    QUORATE_RETURN_IF_ERROR(MakeAdmin());
    server::Rejoin::Hooks hooks;
    hooks.discover = [this](auto done) { FindEndpoints(member_.get(), std::move(done)); };
    hooks.restart = [this] { Restart(); };
    rejoin_ = std::make_unique<server::Rejoin>(
        &files_, admin_.get(),
        server::Rejoin::Self{member_->id(), config_.name, config_.advertise_peer_urls, config_.data_dir},
        quarantined, std::move(hooks));
    return rejoin_->Open();
  }

  std::string FurtherMetrics() const {
    std::string text = BuildInfoMetric() + peer::MetricsText(transport_.metrics());
    if (backups_ != nullptr) text += backups_->MetricsText();
    return text;
  }

  Status MakeAdmin() {
    if (admin_ != nullptr) return absl::OkStatus();
    QUORATE_ASSIGN_OR_RETURN(RecoverUser user, ReadRecoverUser(options_));
    admin_ = MakeClusterAdmin(&loop_, std::move(user), tls_.client_settings);
    return absl::OkStatus();
  }

  void Restart() {
    if (restart_) return;
    restart_ = true;
    End(0);
  }

  void AddRounds() {
    rounds_ = loop_.AddEndOfRound(net::Loop::Stage::kServer, [this] {
      member_->EndOfRound();
      if (member_->WantsRound()) loop_.Post([] {});
    });
  }

  // Runs the loop until `done` was called with the outcome of what `begin` began.
  Status WaitFor(const std::function<void(std::function<void(const Status&)> done)>& begin) {
    Status outcome = Unavailable("stopped by a signal");
    begin([this, &outcome](const Status& status) {
      outcome = status;
      loop_.Stop();
    });
    loop_.Run();
    return outcome;
  }

  // A member without a log asks the others first: how the cluster is that it joins, or whether the new one
  // has known it before.
  Status AskOthers() {
    QUORATE_ASSIGN_OR_RETURN(had_log_, server::Member::HasLog(config_, &files_));
    const bool discovers = !options_.discovery.endpoints.empty();
    if (had_log_ && discovers) {
      LOG_WARN("discovery token is ignored since cluster already initialized; valid logs are found",
               {"discovery-token", options_.discovery.token});
    }
    if (had_log_) return absl::OkStatus();
    if (rejoining_) return JoinAnew();
    if (discovers) {
      QUORATE_RETURN_IF_ERROR(Discover());
    } else {
      QUORATE_ASSIGN_OR_RETURN(config_.initial_cluster, FindInitialCluster(options_));
    }
    // As the original: without a CA of the cluster's own, the domain vouches for its members.
    if (!options_.discovery.srv.empty() && options_.peer_tls.trusted_ca_file.empty() &&
        config_.initial_cluster.find("https://") != std::string::npos) {
      QUORATE_RETURN_IF_ERROR(tls_.ExpectPeerName(options_.discovery.srv));
    }
    peer::BootstrapOptions options;
    options.tls = tls_.to_peers;
    QUORATE_ASSIGN_OR_RETURN(options.initial_cluster, cluster::ParseInitialCluster(config_.initial_cluster));
    options.name = config_.name;
    options.cluster_token = config_.initial_cluster_token;
    if (config_.new_cluster) {
      if (options.initial_cluster.size() == 1) return absl::OkStatus();
      Status known =
          WaitFor([&](auto done) { peer::CheckNotBootstrapped(&loop_, std::move(options), done); });
      if (!absl::IsFailedPrecondition(known)) return known;
      // Its data directory was lost: it starts, and is quarantined.
      LOG_WARN("this member was started before and has lost its data", {"error", Message(known)});
      config_.known_as_started = true;
      return absl::OkStatus();
    }
    return Join(std::move(options));
  }

  // --discovery-token; as long as it takes until all members are there.
  Status Discover() {
    if (!config_.new_cluster) {
      return InvalidArgument(
          "--initial-cluster-state existing: a discovery token makes new clusters only; to join one that is "
          "there "
          "give --initial-cluster as \"member add\" prints it");
    }
    TokenDiscovery discovery(&loop_, &options_);
    return WaitFor([&](auto done) {
      discovery.Start([this, done](const StatusOr<std::string>& initial_cluster) {
        if (initial_cluster.ok()) config_.initial_cluster = *initial_cluster;
        done(initial_cluster.status());
      });
    });
  }

  Status Join(peer::BootstrapOptions options) {
    return WaitFor([&](auto done) {
      peer::JoinExisting(&loop_, std::move(options), [this, done](StatusOr<cluster::RemoteCluster> remote) {
        const Status status = remote.status();
        if (status.ok()) config_.remote_cluster = *std::move(remote);
        done(status);
      });
    });
  }

  // After the member was removed and added under a new ID (server/rejoin.h): joins with the members as they
  // are now, however long it takes.
  Status JoinAnew() {
    QUORATE_RETURN_IF_ERROR(MakeAdmin());
    admin_->SetEndpoints(rejoining_->endpoints);
    config_.new_cluster = false;
    while (signal_ == 0) {
      config_.initial_cluster = rejoining_->initial_cluster;
      Status status = WaitFor([&](auto done) {
        admin_->List([this, done](const StatusOr<server::ClusterAdmin::Members>& members) {
          if (members.ok()) {
            config_.initial_cluster = server::InitialClusterText(*members, rejoining_->new_id, config_.name);
          }
          done(absl::OkStatus());
        });
      });
      peer::BootstrapOptions options;
      options.tls = tls_.to_peers;
      options.name = config_.name;
      options.cluster_token = config_.initial_cluster_token;
      if (auto initial = cluster::ParseInitialCluster(config_.initial_cluster); status.ok() && initial.ok()) {
        options.initial_cluster = *std::move(initial);
        status = Join(std::move(options));
        if (status.ok()) return status;
      }
      LOG_WARN("joining anew waits for the other members", {"error", Message(status)});
      (void)WaitFor([this](auto done) { loop_.After(kJoinPause, [done] { done(absl::OkStatus()); }); });
    }
    return Unavailable("stopped by a signal");
  }

  // --experimental-initial-corrupt-check, on a directory that has seen other starts.
  Status CheckHashes() {
    if (!options_.gates.initial_corrupt_check || !had_log_) return absl::OkStatus();
    if (member_->lost_log().quarantined()) return absl::OkStatus();
    AddRounds();
    Status status = WaitFor([&](auto done) { life_->corruption().CheckInitially(std::move(done)); });
    loop_.RemoveEndOfRound(rounds_);
    return status;
  }

  // An address that is taken is an error before anything is written; the sockets for clients are opened for
  // good when the member can serve.
  Status CheckAddressesFree() {
    net::Server probe(&loop_, ToNetOptions(options_));
    QUORATE_RETURN_IF_ERROR(ListenOn(probe, options_.listen_peer_urls, options_, tls_.peers));
    QUORATE_RETURN_IF_ERROR(ListenOn(probe, options_.listen_client_urls, options_, tls_.clients));
    QUORATE_RETURN_IF_ERROR(ListenOn(probe, options_.listen_client_http_urls, options_, tls_.clients));
    probe.StopListening();
    return absl::OkStatus();
  }

  // Clients come in only now: what they would see before is a state that still replays its log.
  void OnReady() {
    Status listening = ListenOn(server_, options_.listen_client_urls, options_, tls_.clients);
    if (listening.ok()) {
      listening = ListenOn(http_server_, options_.listen_client_http_urls, options_, tls_.clients);
    }
    if (!listening.ok()) {
      LOG_ERROR("can't serve clients", {"error", Message(listening)});
      exit_status_ = 1;
      loop_.Stop();
      return;
    }
    LOG_INFO("ready to serve client requests");
    services_->SetServing(true);
    const bool split = !options_.listen_client_http_urls.empty();
    LogServing(options_.listen_client_urls, split ? "grpc" : "grpc+http");
    LogServing(options_.listen_client_http_urls, "http");
    sd_notify(0, "READY=1");
  }

  // The leadership goes first, while everything is still being served; then the clients are sent elsewhere.
  void OnSignal(int signal) {
    if (signal_ != 0) return;
    signal_ = signal;
    LOG_INFO("received signal; shutting down", {"signal", signal == SIGINT ? "interrupt" : "terminated"});
    sd_notify(0, "STOPPING=1");
    if (services_ == nullptr) {
      loop_.Stop();
      return;
    }
    LOG_INFO("closing etcd server", {"name", options_.name}, {"data-dir", options_.data_dir});
    services_->SetServing(false);
    member_->HandOver([this] { Drain(); });
  }

  // Clients are sent elsewhere, then the loop ends.
  void End(int exit_status) {
    exit_status_ = exit_status;
    services_->SetServing(false);
    Drain();
  }

  void Drain() {
    member_->backend().RefuseDefragmentation(server::ErrStopped());
    server_.Drain(kDrainGrace, [this] {
      http_server_.Drain(kDrainGrace,
                         [this] { metrics_server_.Drain(kDrainGrace, [this] { loop_.Stop(); }); });
    });
  }

  const Options& options_;
  SignalWaiter signals_;
  net::Loop loop_;
  PosixFileSystem files_;
  SystemClock clock_;
  SystemRandom random_;
  ThreadExecutor executor_;
  const Env env_;
  server::Config config_;
  ServerTls tls_;
  server::SyncFailureMark sync_failure_;
  std::unique_ptr<server::Member> member_;
  std::unique_ptr<server::ClusterLife> life_;
  std::unique_ptr<ServeBackups> backups_;  // Null without --backup-dir.
  std::unique_ptr<peer::MemberEvents> events_;
  std::unique_ptr<rpc::Services> services_;
  std::optional<server::RejoinState> rejoining_;  // The member is on its way back under this new ID.
  std::unique_ptr<server::ClusterAdmin> admin_;
  std::unique_ptr<server::Rejoin> rejoin_;
  net::Server server_;
  net::Server http_server_;  // --listen-client-http-urls; its requests become calls on server_.
  net::Server metrics_server_;
  peer::PeerTransport transport_;
  net::Server peer_server_;
  net::Loop::HookId rounds_ = 0;
  int signal_ = 0;
  int exit_status_ = 0;
  bool restart_ = false;
  bool had_log_ = false;  // There was a member here before this start.
};

}  // namespace

int Serve(const Options& options) {
  ::signal(SIGPIPE, SIG_IGN);
  RaiseFileLimit();
  int status = 0;
  int signal = 0;
  for (bool again = true; again;) {
    Program program(options);
    status = program.Run();
    signal = program.StopSignals();
    again = program.wants_restart() && signal == 0;
    if (signal != 0) program.UnblockSignals();
  }
  if (status == 0 && signal != 0 && getpid() != 1) {
    ::signal(signal, SIG_DFL);
    raise(signal);
  }
  return status;
}

}  // namespace quorate::cmd
