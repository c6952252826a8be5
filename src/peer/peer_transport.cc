#include "peer/peer_transport.h"

#include <algorithm>
#include <map>
#include <utility>

#include "base/check.h"
#include "base/logging.h"
#include "cluster/member.h"
#include "peer/context.h"
#include "peer/peer.h"
#include "peer/peer_client.h"
#include "peer/peer_handler.h"
#include "peer/snapshot_sender.h"

namespace quorate::peer {
namespace {

// As many databases go out at once at most (etcd: maxInFlightMsgSnap).
constexpr size_t kSnapshotsMax = 16;
// Unknown members that were heard of; the oldest makes room.
constexpr size_t kRemotesMax = 32;
// Of requests other than POST /raft and /raft/snapshot, whose bodies PeerHandler takes.
constexpr size_t kRequestBytesMax = 1024 * 1024;

}  // namespace

net::ServerOptions PeerServerOptions() {
  net::ServerOptions options;
  options.http_body_bytes_max = kRequestBytesMax;
  // A snapshot's body may pause as long as its sender does: see SnapshotSender::kIdleNanos.
  options.header_timeout = std::chrono::minutes(5);
  // What waits for a member is bounded by StreamWriter, and must not stop the connection's input.
  options.output_bytes_max = 256 * 1024 * 1024;
  return options;
}

class PeerTransport::Impl : public PeerDirectory {
 public:
  Impl(net::Loop* loop, const Env& env, TransportOptions options)
      : context_(std::make_shared<Context>(loop, env)), client_(&context_->http), handler_(context_, this) {
    for (const std::string& url : options.advertise_peer_urls) {
      context_->advertised_urls += (context_->advertised_urls.empty() ? "" : ",") + url;
    }
    context_->election_timeout_nanos = options.election_timeout_nanos;
  }
  ~Impl() override { Stop(); }

  void Start(uint64_t local_id, uint64_t cluster_id, PeerEvents* events) {
    QUORATE_CHECK(context_->events == nullptr && !stopped_);
    context_->local_id = context_->metrics.local_id = local_id;
    context_->cluster_id = cluster_id;
    context_->events = events;
    for (const auto& [id, urls] : std::exchange(early_, {})) AddPeer(id, urls);
    beat_ = context_->loop->Every(net::Loop::Nanos(kHeartbeatNanos), [this] {
      for (const auto& [id, peer] : peers_) peer->Beat();
    });
  }

  void UseTls(std::shared_ptr<net::TlsContext> tls) { context_->http.set_tls(std::move(tls)); }

  void Stop() {
    if (std::exchange(stopped_, true)) return;
    context_->loop->Cancel(std::exchange(beat_, 0));
    for (const auto& [id, peer] : peers_) peer->Stop();
    for (const auto& sender : snapshots_) sender->Cancel();
    handler_.Stop();
    snapshots_.clear();
    peers_.clear();
    remotes_.clear();
    context_->events = nullptr;
    context_->http.Close();
  }

  void AddPeer(uint64_t id, const std::vector<std::string>& urls) {
    if (stopped_ || (id == context_->local_id && context_->events != nullptr)) return;
    if (context_->events == nullptr) {
      early_[id] = urls;
      return;
    }
    ForgetRemote(id);
    std::unique_ptr<Peer>& peer = peers_[id];
    if (peer == nullptr) {
      peer = std::make_unique<Peer>(context_, id, urls);
    } else {
      peer->UpdateUrls(urls);
    }
  }

  void RemovePeer(uint64_t id) {
    early_.erase(id);
    const auto it = peers_.find(id);
    if (it == peers_.end()) return;
    for (const auto& sender : std::vector(snapshots_)) {
      if (sender->to() == id) OnSnapshotSent(sender.get(), absl::CancelledError("the member was removed"));
    }
    peers_.erase(it);
    LOG_INFO("removed remote peer", log::HexId("local-member-id", context_->local_id),
             log::HexId("removed-remote-peer-id", id));
  }

  void Send(std::vector<raft::Message> messages) {
    if (context_->events == nullptr) return;
    for (raft::Message& message : messages) {
      if (message.type == raft::MessageType::kApp) ++context_->metrics.appends_sent;
      if (Peer* const peer = Find(message.to)) {
        peer->Send(std::move(message));
      } else if (const auto it = remotes_.find(message.to); it != remotes_.end()) {
        it->second.remote->Send(std::move(message));
      }
    }
    for (const auto& [id, peer] : peers_) peer->Pump();
  }

  void SendSnapshot(raft::Message message, std::shared_ptr<mvcc::Backend::Snapshot> database) {
    if (context_->events == nullptr) return;
    const uint64_t to = message.to;
    Peer* const peer = Find(to);
    if (peer == nullptr || peer->picker().empty() || snapshots_.size() >= kSnapshotsMax) {
      LOG_WARN("failed to send database snapshot", log::HexId("remote-peer-id", to),
               {"error", peer == nullptr ? "member not found" : "no URL, or too many snapshots under way"});
      return context_->ReportSnapshot(to, false);
    }
    auto sender = std::make_shared<SnapshotSender>(context_, std::move(message), std::move(database));
    LOG_INFO("sending database snapshot", {"snapshot-index", sender->index()},
             log::HexId("remote-peer-id", to), {"bytes", sender->total_bytes()});
    ++context_->metrics.Of(to).snapshot_send.inflights;
    snapshots_.push_back(sender);
    sender->Start(
        peer->picker().picked(), [this, raw = sender.get(), started = context_->now()](const Status& s) {
          context_->metrics.Of(raw->to()).snapshot_send.duration.ObserveNanos(context_->now() - started);
          OnSnapshotSent(raw, s);
        });
  }

  int64_t ActiveSince(uint64_t id) const {
    const auto it = peers_.find(id);
    return it == peers_.end() ? 0 : it->second->status().since();
  }

  void Call(uint64_t to, server::PeerCall call, int64_t timeout_nanos, CallDone done) {
    const auto it = peers_.find(to);
    PeerClient::Options options;
    options.timeout_nanos = timeout_nanos;
    options.dial_timeout_nanos = context_->dial_timeout_nanos();
    options.headers.emplace_back("X-Etcd-Cluster-Id", cluster::IdText(context_->cluster_id));
    client_.Ask(it == peers_.end() ? std::vector<std::string>() : it->second->urls(), std::move(call),
                std::move(options), [done = std::move(done)](StatusOr<HttpAnswer> answer) {
                  if (!answer.ok()) return done(answer.status());
                  done(server::PeerAnswer{.status = answer->head.status,
                                          .body = std::move(answer->body),
                                          .content_type = std::string(answer->head.header("Content-Type"))});
                });
  }

  Peer* Find(uint64_t id) override {
    const auto it = peers_.find(id);
    return it == peers_.end() ? nullptr : it->second.get();
  }

  void AddRemote(uint64_t id, const std::vector<std::string>& urls) override {
    if (context_->events == nullptr || id == context_->local_id || peers_.contains(id) ||
        remotes_.contains(id)) {
      return;
    }
    if (remotes_.size() >= kRemotesMax) {
      const auto oldest =
          std::min_element(remotes_.begin(), remotes_.end(),
                           [](const auto& a, const auto& b) { return a.second.number < b.second.number; });
      remotes_.erase(oldest);
    }
    remotes_.emplace(id, KnownRemote{next_remote_++, std::make_unique<Remote>(context_, id, urls)});
  }

  PeerHandler& handler() { return handler_; }
  const Metrics& metrics() const { return context_->metrics; }

 private:
  struct KnownRemote {
    uint64_t number = 0;  // Ascending.
    std::unique_ptr<Remote> remote;
  };

  void ForgetRemote(uint64_t id) { remotes_.erase(id); }

  void OnSnapshotSent(SnapshotSender* sender, const Status& status) {
    const auto it =
        std::find_if(snapshots_.begin(), snapshots_.end(), [&](const auto& s) { return s.get() == sender; });
    if (it == snapshots_.end()) return;
    const std::shared_ptr<SnapshotSender> held = *it;
    snapshots_.erase(it);
    held->Cancel();
    const uint64_t to = held->to();
    PeerMetrics& metrics = context_->metrics.Of(to);
    --metrics.snapshot_send.inflights;
    Peer* const peer = Find(to);
    context_->ReportSnapshot(to, status.ok());
    if (status.ok()) {
      LOG_INFO("sent database snapshot", {"snapshot-index", held->index()}, log::HexId("remote-peer-id", to),
               {"bytes", held->total_bytes()});
      ++metrics.snapshot_send.success;
      metrics.sent_bytes += held->total_bytes();
      if (peer != nullptr) peer->status().Activate();
      return;
    }
    LOG_WARN("failed to send database snapshot", {"snapshot-index", held->index()},
             log::HexId("remote-peer-id", to), {"bytes", held->total_bytes()},
             {"error", quorate::Message(status)});
    ++metrics.snapshot_send.failures;
    ++metrics.sent_failures;
    context_->ReportUnreachable(to);
    if (absl::IsPermissionDenied(status)) context_->ReportRemoved();
    if (peer == nullptr) return;
    peer->picker().Unreachable(held->authority());
    peer->status().Deactivate("post", "sendMsgSnap", quorate::Message(status));
  }

  const std::shared_ptr<Context> context_;
  PeerClient client_;
  PeerHandler handler_;
  std::map<uint64_t, std::vector<std::string>> early_;  // Added before Start.
  std::map<uint64_t, std::unique_ptr<Peer>> peers_;
  std::map<uint64_t, KnownRemote> remotes_;
  uint64_t next_remote_ = 0;
  std::vector<std::shared_ptr<SnapshotSender>> snapshots_;
  net::Loop::TimerId beat_ = 0;
  bool stopped_ = false;
};

PeerTransport::PeerTransport(net::Loop* loop, const Env& env, TransportOptions options)
    : impl_(std::make_unique<Impl>(loop, env, std::move(options))) {}
PeerTransport::~PeerTransport() = default;

void PeerTransport::UseTls(std::shared_ptr<net::TlsContext> tls) { impl_->UseTls(std::move(tls)); }
void PeerTransport::Start(uint64_t local_id, uint64_t cluster_id, PeerEvents* events) {
  impl_->Start(local_id, cluster_id, events);
}
void PeerTransport::ServeOn(net::Server* server) {
  server->SetHttpHandler([impl = impl_.get()](net::HttpRequest request, net::HttpReply reply) {
    impl->handler().Handle(std::move(request), std::move(reply));
  });
  server->SetHttpBodyHandler(
      [impl = impl_.get()](const net::HttpRequest& request) { return impl->handler().TakeBody(request); });
}
void PeerTransport::Stop() { impl_->Stop(); }
void PeerTransport::AddPeer(uint64_t id, const std::vector<std::string>& urls) { impl_->AddPeer(id, urls); }
void PeerTransport::RemovePeer(uint64_t id) { impl_->RemovePeer(id); }
void PeerTransport::Send(std::vector<raft::Message> messages) { impl_->Send(std::move(messages)); }
void PeerTransport::SendSnapshot(raft::Message message, std::shared_ptr<mvcc::Backend::Snapshot> database) {
  impl_->SendSnapshot(std::move(message), std::move(database));
}
int64_t PeerTransport::ActiveSince(uint64_t id) const { return impl_->ActiveSince(id); }
void PeerTransport::Call(uint64_t to, server::PeerCall call, int64_t timeout_nanos, CallDone done) {
  impl_->Call(to, std::move(call), timeout_nanos, std::move(done));
}
int PeerTransport::open_streams(uint64_t id) const {
  const Peer* const peer = impl_->Find(id);
  return peer == nullptr ? 0 : peer->open_streams();
}
const Metrics& PeerTransport::metrics() const { return impl_->metrics(); }

}  // namespace quorate::peer
