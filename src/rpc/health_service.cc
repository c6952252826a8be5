#include "rpc/health_service.h"

#include <memory>
#include <string>
#include <utility>

#include "health.pb.h"
#include "rpc/parse.h"

namespace quorate::rpc {

namespace health = grpc::health::v1;

class HealthService::WatchCall : public net::StreamHandler {
 public:
  WatchCall(HealthService* service, Stream stream) : service_(*service), stream_(stream) {}
  ~WatchCall() override { service_.watchers_.erase(this); }

  void OnMessage(std::string_view bytes) override {
    stream_.Received();
    if (std::exchange(asked_, true)) return;  // One request is all that the method takes.
    health::HealthCheckRequest request;
    if (!Parse(bytes, &request)) return stream_.Finish(MalformedRequest("HealthCheckRequest"));
    // No more of the name: it may be as long as a request, and the stream stays for ever.
    whole_server_ = request.service().empty();
    service_.watchers_.insert(this);
    Tell();
  }
  void OnHalfClose() override {}
  void OnClosed(net::Code reason) override {
    service_.watchers_.erase(this);
    stream_.Closed(reason);
  }
  void Tell() {
    health::HealthCheckResponse response;
    response.set_status(
        static_cast<health::HealthCheckResponse::ServingStatus>(service_.StatusOf(whole_server_)));
    stream_.Send(response.SerializeAsString());
  }

 private:
  HealthService& service_;
  Stream stream_;
  bool whole_server_ = false;
  bool asked_ = false;
};

void HealthService::Register(std::span<net::Server* const> servers) {
  constexpr std::string_view kService = "grpc.health.v1.Health";
  context_.AddUnary(servers, kService, "Check",
                    [this](Call call, std::string_view bytes) { Check(call, bytes); });
  context_.AddStreaming(servers, kService, "Watch", CallType::kServerStream,
                        [this](Stream stream) { return std::make_unique<WatchCall>(this, stream); });
}

void HealthService::SetServing(bool serving) {
  serving_ = serving;
  for (WatchCall* watcher : watchers_) watcher->Tell();
}

int HealthService::StatusOf(bool whole_server) const {
  if (!whole_server) return health::HealthCheckResponse::SERVICE_UNKNOWN;
  return serving_ ? health::HealthCheckResponse::SERVING : health::HealthCheckResponse::NOT_SERVING;
}

void HealthService::Check(Call call, std::string_view bytes) {
  health::HealthCheckRequest request;
  if (!Parse(bytes, &request)) return call.Fail(MalformedRequest("HealthCheckRequest"));
  if (!request.service().empty()) return call.Fail(NotFound("unknown service"));
  health::HealthCheckResponse response;
  response.set_status(static_cast<health::HealthCheckResponse::ServingStatus>(StatusOf(true)));
  call.Respond(response.SerializeAsString());
}

}  // namespace quorate::rpc
