#include "client/endpoint.h"

#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>
#include <grpcpp/support/channel_arguments.h>

#include <algorithm>
#include <string_view>
#include <utility>

#include "client/credentials.h"

namespace quorate::client {
namespace {

constexpr std::chrono::seconds kAvoidAfterFailure(3);
constexpr int kReconnectFirstMs = 100;
constexpr int kReconnectMaxMs = 2000;
constexpr int kKeepAliveMinMs = 10'000;  // Servers answer more frequent pings with GOAWAY.

int Ms(std::chrono::milliseconds time) {
  return static_cast<int>(std::min<int64_t>(time.count(), INT32_MAX));
}

void SetKeepAlive(const Options& options, grpc::ChannelArguments* arguments) {
  if (options.keepalive_time.count() <= 0) return;
  const int time = std::max(kKeepAliveMinMs, Ms(options.keepalive_time));
  arguments->SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, time);
  if (options.keepalive_timeout.count() > 0) {
    arguments->SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, Ms(options.keepalive_timeout));
  }
  arguments->SetInt(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, options.keepalive_without_calls ? 1 : 0);
  // gRPC would stop after two pings of a quiet watch.
  arguments->SetInt(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  arguments->SetInt(GRPC_ARG_HTTP2_MIN_SENT_PING_INTERVAL_WITHOUT_DATA_MS, time);
}

grpc::ChannelArguments Arguments(const Options& options) {
  grpc::ChannelArguments arguments;
  arguments.SetMaxSendMessageSize(options.max_send_bytes);
  arguments.SetMaxReceiveMessageSize(options.max_receive_bytes);
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, options.use_http_proxy ? 1 : 0);
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, kReconnectFirstMs);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, kReconnectMaxMs);
  // Despite its name the bound of one attempt.
  if (options.dial_timeout.count() > 0) {
    arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, Ms(options.dial_timeout));
  }
  SetKeepAlive(options, &arguments);
  return arguments;
}

// What a person wants to know of gRPC's "failed to connect to all addresses; last error: UNKNOWN: ipv4:...:
// why".
std::string Shortened(const std::string& text) {
  constexpr std::string_view kLast = "last error: ";
  const size_t at = text.find(kLast);
  if (at == std::string::npos) return text;
  std::string last = text.substr(at + kLast.size());
  constexpr std::string_view kCode = "UNKNOWN: ";
  constexpr std::string_view kUnavailable = "UNAVAILABLE: ";
  if (last.starts_with(kCode)) last.erase(0, kCode.size());
  if (last.starts_with(kUnavailable)) last.erase(0, kUnavailable.size());
  return last;
}

}  // namespace

Endpoint::Endpoint(EndpointAddress address, std::shared_ptr<grpc::Channel> channel)
    : address_(std::move(address)), channel_(std::move(channel)), stub_(channel_) {}

void Endpoint::Failed(Clock::time_point now) { avoided_until_ = now + kAvoidAfterFailure; }

void Endpoint::LearnConnectError(const std::shared_ptr<Endpoint>& self, Loop* loop) {
  if (self->learning_) return;
  struct Probe {
    grpc::ClientContext context;
    grpc::ByteBuffer answer;
    grpc::Status status;
    std::unique_ptr<grpc::GenericClientAsyncResponseReader> reader;
  };
  auto probe = std::make_shared<Probe>();
  self->learning_ = true;
  probe->context.set_deadline(ToGrpc(Clock::now() + std::chrono::milliseconds(100)));
  const grpc::ByteBuffer empty(nullptr, 0);
  probe->reader =
      self->stub_.PrepareUnaryCall(&probe->context, "/grpc.health.v1.Health/Check", empty, loop->queue());
  probe->reader->StartCall();
  grpc::ByteBuffer* const answer = &probe->answer;
  grpc::Status* const status = &probe->status;
  auto& reader = *probe->reader;
  reader.Finish(answer, status, loop->Tag([self, probe = std::move(probe)](bool) {
    self->learning_ = false;
    self->Learned(probe->status);
  }));
}

void Endpoint::Learned(const grpc::Status& result) {
  // The connection was being made again all the while; the reason of the last time stands.
  if (result.error_code() == grpc::DEADLINE_EXCEEDED) return;
  connect_error_ = result.error_code() == grpc::UNAVAILABLE ? Shortened(result.error_message()) : "";
}

EndpointFactory::EndpointFactory(const Options& options, std::shared_ptr<grpc::ChannelCredentials> tls)
    : options_(options), tls_(std::move(tls)), plain_(grpc::InsecureChannelCredentials()) {}

StatusOr<std::shared_ptr<Endpoint>> EndpointFactory::Make(const std::string& url) const {
  QUORATE_ASSIGN_OR_RETURN(EndpointAddress address, ParseEndpoint(url));
  using Security = EndpointAddress::Security;
  const bool tls = address.security == Security::kTls ||
                   (address.security == Security::kTlsIfConfigured && tls_ && options_.tls_without_scheme);
  grpc::ChannelArguments arguments = Arguments(options_);
  std::shared_ptr<grpc::ChannelCredentials> credentials = tls ? tls_ : plain_;
  if (tls) {
    const std::string& name =
        options_.tls && !options_.tls->server_name.empty() ? options_.tls->server_name : address.server_name;
    if (!name.empty()) arguments.SetSslTargetNameOverride(name);
    if (!credentials) {
      QUORATE_ASSIGN_OR_RETURN(credentials, TlsCredentials({}));
    }
  }
  auto channel = grpc::CreateCustomChannel(address.target, credentials, arguments);
  return std::make_shared<Endpoint>(std::move(address), std::move(channel));
}

}  // namespace quorate::client
