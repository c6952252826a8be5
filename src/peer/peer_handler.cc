#include "peer/peer_handler.h"

#include <functional>
#include <optional>
#include <utility>

#include "base/log_limit.h"
#include "base/logging.h"
#include "cluster/member.h"
#include "cluster/urls.h"
#include "peer/compatibility.h"
#include "peer/http_answers.h"
#include "peer/message_codec.h"
#include "peer/prober.h"
#include "peer/stream_codec.h"
#include "raft/describe.h"
#include "server/peer_service.h"

namespace quorate::peer {
namespace {

constexpr std::string_view kMessagePath = "/raft";
constexpr std::string_view kStreamPrefix = "/raft/stream/";
constexpr std::string_view kSnapshotPath = "/raft/snapshot";
constexpr std::string_view kProbingPath = "/raft/probing";

uint64_t Sender(const net::HttpRequest& request) {
  const auto id = cluster::ParseId(request.header("X-Server-From").value_or(""));
  return id.ok() ? *id : 0;
}

// A request that is answered without its body.
class RefusedBody : public net::HttpBodySink {
 public:
  explicit RefusedBody(std::function<void(net::HttpReply&)> refuse) : refuse_(std::move(refuse)) {}
  void OnBegin(net::HttpReply reply) override { refuse_(reply); }
  void OnBytes(std::string_view) override {}
  void OnEnd() override {}

 private:
  const std::function<void(net::HttpReply&)> refuse_;
};

// Collects the body of a message.
class MessageBody : public net::HttpBodySink {
 public:
  using Take = std::function<void(const net::HttpRequest& request, net::HttpReply& reply)>;

  MessageBody(net::HttpRequest request, Take take) : request_(std::move(request)), take_(std::move(take)) {}
  void OnBegin(net::HttpReply reply) override { reply_ = std::move(reply); }
  void OnBytes(std::string_view bytes) override {
    if (request_.body.size() + bytes.size() <= PeerHandler::kMessageBytesMax) {
      request_.body.append(bytes);
    } else {
      SendError(reply_, 413, "request body too large", 0);
    }
  }
  void OnEnd() override { take_(request_, reply_); }
  Part part() const override { return {request_.body.capacity(), 1}; }

 private:
  net::HttpRequest request_;
  const Take take_;
  net::HttpReply reply_;
};

std::optional<StreamKind> KindOf(std::string_view directory) {
  for (const StreamKind kind : {StreamKind::kAppend, StreamKind::kMessage}) {
    if (directory == StreamPath(kind)) return kind;
  }
  return std::nullopt;
}

void SendTaken(net::HttpReply& reply, uint64_t cluster_id) {
  reply.Send(204, {{"X-Etcd-Cluster-Id", cluster::IdText(cluster_id)}}, "");
}

}  // namespace

void PeerHandler::Handle(net::HttpRequest request, net::HttpReply reply) {
  if (context_->events == nullptr) return SendError(reply, 503, "etcdserver: not started", 0);
  if (request.path == kMessagePath) return HandleMessage(request, reply);
  if (request.path == kSnapshotPath) return HandleSnapshot(reply, request.method, "");
  if (request.path.starts_with(kStreamPrefix)) return HandleStream(request, reply);
  if (request.path == kProbingPath) return HandleProbe(reply);
  if (request.path.starts_with("/raft/")) return SendError(reply, 404, "404 page not found", 0);
  HandleOther(std::move(request), std::move(reply));
}

std::string_view PeerHandler::Incompatible(const net::HttpRequest& request) const {
  return CheckCompatibility(request, context_->local_id, context_->cluster_id,
                            context_->events->ServerVersion());
}

void PeerHandler::NoteSender(const net::HttpRequest& request) {
  const uint64_t sender = Sender(request);
  const std::string_view urls = request.header("X-PeerURLs").value_or("");
  if (sender == 0 || urls.empty() || directory_->Find(sender) != nullptr) return;
  const auto parsed = cluster::ParseUrlList(urls);
  if (parsed.ok()) directory_->AddRemote(sender, *parsed);
}

void PeerHandler::HandleMessage(const net::HttpRequest& request, net::HttpReply& reply) {
  const uint64_t cluster_id = context_->cluster_id;
  if (request.method != "POST") return SendError(reply, 405, "Method Not Allowed", 0, {{"Allow", "POST"}});
  const std::string_view refusal = Incompatible(request);
  if (!refusal.empty()) return SendError(reply, 412, refusal, cluster_id);
  TakeMessage(request, reply);
}

void PeerHandler::TakeMessage(const net::HttpRequest& request, net::HttpReply& reply) {
  const uint64_t cluster_id = context_->cluster_id;
  if (context_->events == nullptr) return SendError(reply, 503, "server stopped", cluster_id);
  NoteSender(request);
  StatusOr<raft::Message> message = DecodeMessage(request.body);
  Status status = message.status();
  if (status.ok()) status = CheckMessage(*message);
  if (status.ok() && message->type == raft::MessageType::kSnap) {
    status = InvalidArgument("a snapshot without its database");
  }
  if (status.ok() && !MaySend(Sender(request), *message)) {
    status = InvalidArgument("a message in the name of member " + cluster::IdText(message->from));
  }
  if (!status.ok()) {
    LOG_WARN_LIMITED("failed to unmarshal Raft message", log::HexId("local-member-id", context_->local_id),
                     {"remote-address", request.peer}, {"error", quorate::Message(status)});
    context_->metrics.CountReceivedFailure(AddressWithoutPort(request.peer));
    return SendError(reply, 400, "error unmarshalling raft message", cluster_id);
  }
  const uint64_t from = message->from;
  context_->metrics.Of(from).received_bytes += request.body.size();
  if (IsSuperfluous(*message)) return SendTaken(reply, cluster_id);
  status = context_->events->IsRemoved(from)
               ? PermissionDenied("removed")
               : context_->Step(*std::move(message), server::MessagePath::kPost);
  if (absl::IsPermissionDenied(status)) {
    LOG_WARN_LIMITED("rejected Raft message from removed member",
                     log::HexId("local-member-id", context_->local_id),
                     log::HexId("removed-member-id", from));
    return SendRemoved(reply, cluster_id);
  }
  if (!status.ok()) {
    LOG_DEBUG("failed to process Raft message", log::HexId("local-member-id", context_->local_id),
              {"error", quorate::Message(status)});
    return SendError(reply, 500, "error processing raft message", cluster_id);
  }
  SendTaken(reply, cluster_id);
}

// A member whose stream we read posts nothing but snapshots, so this is late at best. Whoever else sends it
// in the member's name would have us answer on that member's stream, where an answer counts as proof.
// Proposals pass: they are looked at before they do anything, and a lost one costs a client its time.
bool PeerHandler::IsSuperfluous(const raft::Message& message) {
  if (message.type == raft::MessageType::kProp || message.type == raft::MessageType::kReadIndex) return false;
  const Peer* const peer = directory_->Find(message.from);
  return peer != nullptr && peer->message_stream_open();
}

std::shared_ptr<net::HttpBodySink> PeerHandler::TakeBody(const net::HttpRequest& request) {
  const bool snapshot = request.path == kSnapshotPath;
  if ((!snapshot && request.path != kMessagePath) || request.method != "POST") return nullptr;
  if (context_->events == nullptr) return nullptr;
  const std::string_view refusal = Incompatible(request);
  if (!refusal.empty()) {
    return std::make_shared<RefusedBody>([this, refusal, snapshot](net::HttpReply& reply) {
      if (snapshot) return HandleSnapshot(reply, "POST", refusal);
      SendError(reply, 412, refusal, context_->cluster_id);
    });
  }
  if (!snapshot) {
    return std::make_shared<MessageBody>(
        request, [this](const net::HttpRequest& r, net::HttpReply& reply) { TakeMessage(r, reply); });
  }
  NoteSender(request);
  const uint64_t sender = Sender(request);
  const bool member = directory_->Find(sender) != nullptr;
  return std::make_shared<SnapshotReceiver>(context_, receiving_, sender, member, request.peer);
}

void PeerHandler::HandleSnapshot(net::HttpReply& reply, std::string_view method, std::string_view refusal) {
  ++context_->metrics.unknown_snapshot_senders;
  if (method != "POST") return SendError(reply, 405, "Method Not Allowed", 0, {{"Allow", "POST"}});
  if (!refusal.empty()) return SendError(reply, 412, refusal, context_->cluster_id);
  SendError(reply, 400, "failed to decode raft message (snapshots come by HTTP/1.1)", context_->cluster_id);
}

void PeerHandler::HandleStream(const net::HttpRequest& request, net::HttpReply& reply) {
  if (request.method != "GET") return SendError(reply, 405, "Method Not Allowed", 0, {{"Allow", "GET"}});
  const net::HttpHeaders version{{"X-Server-Version", context_->events->ServerVersion()}};
  const auto refuse = [&](int status, std::string_view text) {
    SendError(reply, status, text, context_->cluster_id, version);
  };
  const std::string_view incompatible = Incompatible(request);
  if (!incompatible.empty()) return refuse(412, incompatible);
  const size_t slash = request.path.rfind('/');
  const std::optional<StreamKind> kind = KindOf(std::string_view(request.path).substr(0, slash));
  if (!kind) return refuse(404, "invalid path");
  const auto from = cluster::ParseId(std::string_view(request.path).substr(slash + 1));
  if (!from.ok()) return refuse(404, "invalid from");
  if (context_->events->IsRemoved(*from)) {
    LOG_WARN_LIMITED("rejected stream from remote peer because it was removed",
                     log::HexId("local-member-id", context_->local_id),
                     log::HexId("remote-peer-id-from", *from));
    return refuse(410, "removed member");
  }
  Peer* const peer = directory_->Find(*from);
  if (peer == nullptr) {
    const auto urls = cluster::ParseUrlList(request.header("X-PeerURLs").value_or(""));
    if (urls.ok()) directory_->AddRemote(*from, *urls);
    LOG_WARN_LIMITED(
        "failed to find remote peer in cluster", log::HexId("local-member-id", context_->local_id),
        log::HexId("remote-peer-id-from", *from), log::HexId("cluster-id", context_->cluster_id));
    return refuse(404, "error sender not found");
  }
  const std::string_view to = request.header("X-Raft-To").value_or("");
  if (to != cluster::IdText(context_->local_id)) {
    LOG_WARN_LIMITED("ignored streaming request; ID mismatch",
                     log::HexId("local-member-id", context_->local_id), {"remote-peer-id-header", to},
                     log::HexId("remote-peer-id-from", *from),
                     log::HexId("cluster-id", context_->cluster_id));
    return refuse(412, "to field mismatch");
  }
  reply.Begin(200, {{"X-Etcd-Cluster-Id", cluster::IdText(context_->cluster_id)}, version.front()});
  peer->Attach(*kind, std::move(reply));
}

void PeerHandler::HandleProbe(net::HttpReply& reply) {
  reply.Send(200, {{"Content-Type", "text/plain; charset=utf-8"}},
             ProbeAnswer(context_->env.clock->WallNanos()));
}

void PeerHandler::HandleOther(net::HttpRequest request, net::HttpReply reply) {
  const auto cluster_id = request.header("X-Etcd-Cluster-ID");
  if (cluster_id && !cluster_id->empty() && *cluster_id != cluster::IdText(context_->cluster_id)) {
    return SendError(reply, 412, kClusterIdMismatch, context_->cluster_id);
  }
  server::PeerCall call;
  call.method = request.method;
  call.path = request.target;
  call.content_type = request.header("Content-Type").value_or("");
  call.token = request.header("Authorization").value_or("");
  call.body = std::move(request.body);
  const std::string_view allowed = server::PeerService::AllowedMethod(request.path);
  context_->events->Serve(std::move(call), [reply, id = context_->cluster_id,
                                            allow = std::string(allowed)](server::PeerAnswer answer) mutable {
    net::HttpHeaders headers{{"X-Etcd-Cluster-Id", cluster::IdText(id)}};
    if (!answer.content_type.empty()) headers.emplace_back("Content-Type", answer.content_type);
    if (answer.status == 405 && !allow.empty()) headers.emplace_back("Allow", allow);
    if (answer.status != 200) headers.emplace_back("X-Content-Type-Options", "nosniff");
    reply.Send(answer.status, headers, answer.body);
  });
}

}  // namespace quorate::peer
