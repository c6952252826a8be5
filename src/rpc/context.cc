#include "rpc/context.h"

#include <string>
#include <utility>

#include "server/errors.h"

namespace quorate::rpc {
namespace {

// absl's status codes are gRPC's numbers.
net::Code ToCode(const Status& status) { return static_cast<net::Code>(status.code()); }

std::string Path(std::string_view service, std::string_view method) {
  std::string path = "/";
  path.append(service).append("/").append(method);
  return path;
}

}  // namespace

Status MalformedRequest(std::string_view method) {
  return Internal("grpc: failed to unmarshal the received message: malformed " + std::string(method));
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
        [this, index, shared](net::UnaryCall raw, std::string_view request) {
          MethodStats& stats = metrics_.at(index);
          ++stats.started;
          ++stats.received;
          Call call(raw, &stats);
          metrics_.CountClient(false, call.metadata("client-api-version").value_or("unknown"));
          if (RefusedWithoutLeader(call)) {
            call.Fail(server::ErrNoLeader());
          } else {
            (*shared)(call, request);
          }
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
        [this, index, shared](net::StreamCall raw) -> std::unique_ptr<net::StreamHandler> {
          MethodStats& stats = metrics_.at(index);
          ++stats.started;
          Stream stream(raw, &stats);
          metrics_.CountClient(true, stream.metadata("client-api-version").value_or("unknown"));
          if (RefusedWithoutLeader(stream)) {
            stream.Finish(server::ErrNoLeader());
            return nullptr;
          }
          return (*shared)(stream);
        },
        index);
  }
}

}  // namespace quorate::rpc
