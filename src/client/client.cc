#include "quorate/client/client.h"

#include <future>
#include <thread>
#include <utility>

#include "client/core.h"
#include "client/credentials.h"
#include "client/later.h"
#include "client/rpc.h"

namespace quorate::client {
namespace {

Status CheckOptions(const Options& options) {
  if (options.endpoints.empty()) return InvalidArgument("at least one endpoint is required");
  if (options.username.empty() != options.password.empty()) {
    return InvalidArgument("a username needs a password, and a password a username");
  }
  if (!options.username.empty() && !options.token.empty()) {
    return InvalidArgument("either a username or a token, not both");
  }
  if (options.max_attempts < 1)
    return InvalidArgument("max_attempts is " + std::to_string(options.max_attempts) +
                           ": at least one attempt is needed");
  if (options.max_send_bytes > options.max_receive_bytes && options.max_receive_bytes >= 0) {
    return InvalidArgument("gRPC message recv limit (" + std::to_string(options.max_receive_bytes) +
                           " bytes) must be greater than send limit (" +
                           std::to_string(options.max_send_bytes) + " bytes)");
  }
  return absl::OkStatus();
}

// Runs it on the loop and waits for what it hands to its argument.
Status OnLoop(Core* core, std::function<void(std::function<void(const Status&)>)> work) {
  if (core->loop().InLoop()) return WouldWaitForItself();
  auto promise = std::make_shared<std::promise<Status>>();
  auto future = promise->get_future();
  core->loop().Post([work = std::move(work), promise] {
    work([promise](const Status& status) { promise->set_value(status); });
  });
  return future.get();
}

Status WaitForConnection(Core* core) {
  return OnLoop(core, [core](const std::function<void(const Status&)>& done) {
    const auto dial = core->options().dial_timeout;
    const auto deadline = dial.count() > 0 ? Later(dial) : Clock::time_point::max();
    core->balancer().Pick(
        {.deadline = deadline},
        [done](const StatusOr<std::shared_ptr<Endpoint>>& endpoint) { done(endpoint.status()); });
  });
}

}  // namespace

StatusOr<std::unique_ptr<Client>> Client::Connect(Options options) {
  QUORATE_RETURN_IF_ERROR(CheckOptions(options));
  std::shared_ptr<grpc::ChannelCredentials> tls;
  if (options.tls) {
    QUORATE_ASSIGN_OR_RETURN(tls, TlsCredentials(*options.tls));
  }
  const std::vector<std::string> endpoints = options.endpoints;
  const bool wait = options.wait_for_connection;
  auto core_owner = std::make_unique<Core>(std::move(options), std::move(tls));
  Core* const core = core_owner.get();
  std::unique_ptr<Client> client(new Client(std::move(core_owner)));
  QUORATE_RETURN_IF_ERROR(client->SetEndpoints(endpoints));
  if (wait) QUORATE_RETURN_IF_ERROR(WaitForConnection(core));
  QUORATE_RETURN_IF_ERROR(OnLoop(
      core, [core](std::function<void(const Status&)> done) { core->token().Ensure(std::move(done)); }));
  core->loop().Post([core] { core->StartAutoSync(); });
  return client;
}

Client::Client(std::unique_ptr<Core> core)
    : core_(std::move(core)),
      kv_(core_.get()),
      leases_(core_.get()),
      watches_(core_.get()),
      cluster_(core_.get()),
      maintenance_(core_.get()),
      auth_(core_.get()) {}

Client::~Client() {
  if (!core_->loop().InLoop()) return;
  // No callback is to find an answer when the client is gone.
  core_->Close();
  // The rest waits for the loop's thread, which can't wait for itself.
  std::thread([core = std::move(core_)]() mutable { core.reset(); }).detach();
}

std::vector<std::string> Client::endpoints() const { return core_->Urls(); }

Status Client::SetEndpoints(const std::vector<std::string>& endpoints) {
  return OnLoop(core_.get(), [core = core_.get(), endpoints](const std::function<void(const Status&)>& done) {
    done(core->SetUrls(endpoints));
  });
}

Status Client::SyncEndpoints(const CallOptions& call) {
  return OnLoop(core_.get(), [core = core_.get(), call](std::function<void(const Status&)> done) {
    core->Sync(call, std::move(done));
  });
}

}  // namespace quorate::client
