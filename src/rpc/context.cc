#include "rpc/context.h"

#include <memory>
#include <string>
#include <utility>

#include "base/wipe.h"
#include "cluster/version.h"
#include "server/errors.h"
#include "server/requests.h"

namespace quorate::rpc {
namespace {

// absl's status codes are gRPC's numbers.
net::Code ToCode(const Status& status) { return static_cast<net::Code>(status.code()); }

std::string Path(std::string_view service, std::string_view method) {
  std::string path = "/";
  path.append(service).append("/").append(method);
  return path;
}

// Of the others nobody asks whose token it is. A client that logs in may send the one that it had before.
bool IsForUsers(std::string_view service, std::string_view method) {
  return method != "Authenticate" && service != "grpc.health.v1.Health";
}

// Clients of etcd up to 3.5 take only Unavailable as a reason to ask another endpoint; newer ones know the
// text.
Status LearnerRefusal(server::Member& member) {
  const auto& version = member.membership().version();
  const Status refused = server::ErrNotSupportedForLearner();
  return version && *version >= cluster::kVersion36 ? refused : Unavailable(Message(refused));
}

}  // namespace

Status MalformedRequest(std::string_view method) {
  return Internal("grpc: failed to unmarshal the received message: malformed " + std::string(method));
}

Status TooMuchKept() {
  return ResourceExhausted(
      "etcdserver: too many bytes of keys and names are kept for this connection's requests: end some of "
      "them");
}

void Call::Finish(const Status& status, std::string_view response) {
  if (call_.closed()) {
    ++stats_->handled[static_cast<size_t>(net::Code::kCancelled)];
    return;
  }
  ++stats_->handled[static_cast<size_t>(ToCode(status))];
  if (status.ok()) {
    ++stats_->sent;
    call_.Respond(response);
  } else {
    call_.Fail(ToCode(status), Message(status));
  }
}

void Stream::Send(std::string_view message) {
  ++stats_->sent;
  call_.Send(message);
}

void Stream::Send(std::span<const std::string_view> pieces) {
  ++stats_->sent;
  call_.Send(pieces);
}

void Stream::Finish(const Status& status) {
  CountEnd(ToCode(status));
  call_.Finish(ToCode(status), Message(status));
}

void Stream::Closed(net::Code reason) { CountEnd(reason); }

void Stream::CountEnd(net::Code code) {
  if (ended_) return;
  ended_ = true;
  ++stats_->handled[static_cast<size_t>(code)];
}

void Context::AddUnary(std::span<net::Server* const> servers, std::string_view service,
                       std::string_view method, Unary handler) {
  const uint32_t index = metrics_.Add(service, method, CallType::kUnary);
  const auto shared = std::make_shared<const Unary>(std::move(handler));
  for (net::Server* server : servers) {
    server->RegisterUnary(
        Path(service, method),
        [this, index, method, shared, for_users = IsForUsers(service, method)](net::UnaryCall raw,
                                                                               std::string_view request) {
          MethodStats& stats = metrics_.at(index);
          ++stats.started;
          ++stats.received;
          Call call(raw, &stats);
          metrics_.CountClient(false, call.metadata("client-api-version").value_or("unknown"));
          if (const Status refused = member_.QuarantineRefusal(); !refused.ok()) return call.Fail(refused);
          if (RefusedByLearner(method, request)) return call.Fail(LearnerRefusal(member_));
          if (RefusedWithoutLeader(call)) return call.Fail(server::ErrNoLeader());
          auto place = for_users ? EarlierThanLogin(call, request.size()) : std::nullopt;
          if (!place) return (*shared)(call, request);
          // It may hold a password.
          const auto kept = std::make_shared<const Secret>(request);
          early_calls_.Wait(*std::move(place), [call, shared, kept]() mutable {
            call.closed() ? call.Fail(absl::CancelledError()) : (*shared)(call, kept->view());
          });
        },
        index);
  }
}

void Context::AddStreaming(std::span<net::Server* const> servers, std::string_view service,
                           std::string_view method, CallType type, Streaming handler) {
  const uint32_t index = metrics_.Add(service, method, type);
  const auto shared = std::make_shared<const Streaming>(std::move(handler));
  for (net::Server* server : servers) {
    server->RegisterStreaming(
        Path(service, method),
        [this, index, method, shared, for_users = IsForUsers(service, method)](
            net::StreamCall raw) -> std::unique_ptr<net::StreamHandler> {
          MethodStats& stats = metrics_.at(index);
          ++stats.started;
          Stream stream(raw, &stats);
          metrics_.CountClient(true, stream.metadata("client-api-version").value_or("unknown"));
          if (const Status refused = member_.QuarantineRefusal(); !refused.ok()) {
            stream.Finish(refused);
            return nullptr;
          }
          if (member_.is_learner() && method != "Snapshot") {
            stream.Finish(LearnerRefusal(member_));
            return nullptr;
          }
          if (RefusedWithoutLeader(stream)) {
            stream.Finish(server::ErrNoLeader());
            return nullptr;
          }
          if (WantsLeader(stream)) want_leader_.push_back(stream);
          auto place = for_users ? EarlierThanLogin(stream, 0) : std::nullopt;
          if (!place) return (*shared)(stream);
          auto early = std::make_unique<EarlyStream>(
              raw, [shared, stream] { return (*shared)(stream); },
              [stream](net::Code reason) mutable { stream.Closed(reason); });
          early_calls_.Wait(*std::move(place), early->Serve());
          return early;
        },
        index);
  }
}

bool Context::RefusedByLearner(std::string_view method, std::string_view request) const {
  if (!member_.is_learner() || method == "Status") return false;
  server::RangeRequest range;
  return method != "Range" || !server::Decode(request, &range) || !range.serializable;
}

// To end a stream costs its client more than to refuse a call, so it is done late. (etcd: maxNoLeaderCnt)
void Context::CheckLeader() {
  constexpr int kChecksMax = 3;
  std::erase_if(want_leader_, [](const Stream& stream) { return stream.closed(); });
  checks_without_leader_ = member_.leader() == 0 ? checks_without_leader_ + 1 : 0;
  if (checks_without_leader_ < kChecksMax) return;
  for (Stream& stream : want_leader_) stream.Finish(server::ErrNoLeader());
  want_leader_.clear();
}

}  // namespace quorate::rpc
