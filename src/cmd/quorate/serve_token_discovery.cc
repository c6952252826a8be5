#include "cmd/quorate/serve_token_discovery.h"

#include <chrono>
#include <tuple>
#include <utility>
#include <vector>

#include "base/logging.h"
#include "cluster/discovery.h"
#include "cluster/urls.h"
#include "rpc.pb.h"

namespace quorate::cmd {
namespace {

// "user" or "user:password", and --discovery-password.
std::pair<std::string, std::string> UserAndPassword(const DiscoveryOptions& o) {
  const size_t colon = o.user.find(':');
  if (!o.password.empty() || colon == std::string::npos) return {o.user, o.password};
  return {o.user.substr(0, colon), o.user.substr(colon + 1)};
}

StatusOr<GrpcOptions> ToGrpcOptions(const DiscoveryOptions& o) {
  GrpcOptions grpc;
  const auto tls = ReadGrpcTls(o.cacert, o.cert, o.key);
  if (!tls.ok()) {
    return MakeStatus(tls.status().code(), "--discovery-cacert, --discovery-cert, --discovery-key: " +
                                               std::string(Message(tls.status())));
  }
  grpc.tls = *tls;
  grpc.tls.verify = !o.insecure_skip_tls_verify;
  grpc.tls.by_default =
      !o.insecure_transport || o.insecure_skip_tls_verify || !o.cert.empty() || !o.cacert.empty();
  grpc.connect_timeout = std::chrono::nanoseconds(o.dial_timeout_nanos);
  grpc.call_timeout = std::chrono::nanoseconds(o.request_timeout_nanos);
  grpc.keepalive_time = std::chrono::nanoseconds(o.keepalive_time_nanos);
  grpc.keepalive_timeout = std::chrono::nanoseconds(o.keepalive_timeout_nanos);
  return grpc;
}

}  // namespace

// The endpoints one after the other, each with a token of its own.
class TokenDiscovery::Service final : public cluster::DiscoveryService {
 public:
  static StatusOr<std::unique_ptr<Service>> Make(TokenDiscovery* owner) {
    const DiscoveryOptions& options = owner->options_.discovery;
    QUORATE_ASSIGN_OR_RETURN(const GrpcOptions grpc, ToGrpcOptions(options));
    std::unique_ptr<Service> service(new Service(owner));
    for (const std::string& url : options.endpoints) {
      QUORATE_ASSIGN_OR_RETURN(auto endpoint, GrpcEndpoint::Make(url, grpc, &owner->canceller_));
      service->endpoints_.push_back(std::move(endpoint));
    }
    std::tie(service->user_, service->password_) = UserAndPassword(options);
    return service;
  }

  StatusOr<cluster::DiscoveryRows> Read(const std::string& key, bool prefix) override {
    etcdserverpb::RangeRequest request;
    request.set_key(key);
    // The keys end with a slash where all below them are meant: its successor ends them.
    if (prefix) request.set_range_end(key.substr(0, key.size() - 1) + "0");
    etcdserverpb::RangeResponse response;
    QUORATE_RETURN_IF_ERROR(Ask([&](GrpcEndpoint& endpoint, const std::string& token) {
      return endpoint.Call("KV/Range", request, &response, token);
    }));
    cluster::DiscoveryRows found;
    found.revision = response.header().revision();
    for (const mvccpb::KeyValue& kv : response.kvs()) {
      found.rows.push_back({kv.key(), kv.value(), kv.create_revision()});
    }
    return found;
  }

  Status Create(const std::string& key, const std::string& value) override {
    etcdserverpb::TxnRequest request;
    etcdserverpb::Compare* missing = request.add_compare();
    missing->set_key(key);
    missing->set_target(etcdserverpb::Compare::CREATE);
    missing->set_result(etcdserverpb::Compare::EQUAL);
    missing->set_create_revision(0);
    etcdserverpb::PutRequest* put = request.add_success()->mutable_request_put();
    put->set_key(key);
    put->set_value(value);
    etcdserverpb::TxnResponse response;
    QUORATE_RETURN_IF_ERROR(Ask([&](GrpcEndpoint& endpoint, const std::string& token) {
      return endpoint.Call("KV/Txn", request, &response, token);
    }));
    return response.succeeded() ? absl::OkStatus() : AlreadyExists(key + " is there already");
  }

  Status AwaitChange(const std::string& prefix, int64_t from_revision) override {
    return Ask([&](GrpcEndpoint& endpoint, const std::string& token) {
      return endpoint.AwaitEvent(prefix, from_revision, token);
    });
  }

  bool Pause(int64_t nanos) override { return owner_.Pause(nanos); }

 private:
  explicit Service(TokenDiscovery* owner) : owner_(*owner) {}

  // At the endpoint that answered last; at the others if it can't be reached.
  template <typename Call>
  Status Ask(Call call) {
    Status status;
    for (size_t i = 0; i < endpoints_.size(); ++i) {
      status = AskOne(*endpoints_[current_], call);
      if (!absl::IsUnavailable(status) && !absl::IsDeadlineExceeded(status)) return status;
      current_ = (current_ + 1) % endpoints_.size();
    }
    return status;
  }
  template <typename Call>
  Status AskOne(GrpcEndpoint& endpoint, Call call) {
    std::string token;
    if (!user_.empty()) {
      QUORATE_ASSIGN_OR_RETURN(token, endpoint.Authenticate(user_, password_));
    }
    return call(endpoint, token);
  }

  TokenDiscovery& owner_;
  std::vector<std::unique_ptr<GrpcEndpoint>> endpoints_;
  size_t current_ = 0;
  std::string user_;
  std::string password_;
};

TokenDiscovery::~TokenDiscovery() {
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
  }
  wake_.notify_one();
  canceller_.Cancel();
  if (thread_.joinable()) thread_.join();
}

void TokenDiscovery::Start(Done done) {
  thread_ = std::thread([this, done = std::move(done)] {
    loop_.Post([done, cluster = Join(), alive = std::weak_ptr<char>(alive_)] {
      if (!alive.expired()) done(cluster);
    });
  });
}

StatusOr<std::string> TokenDiscovery::Join() {
  QUORATE_ASSIGN_OR_RETURN(const auto service, Service::Make(this));
  cluster::DiscoveryOptions join;
  std::vector<std::string> urls;
  for (const Url& url : options_.initial_advertise_peer_urls) urls.push_back(url.String());
  join.token = options_.discovery.token;
  join.member_id = cluster::ComputeMemberId(urls, join.token, std::nullopt);
  join.own = cluster::InitialClusterText({{options_.name, urls}});
  return cluster::JoinByDiscovery(join, service.get());
}

bool TokenDiscovery::Pause(int64_t nanos) {
  std::unique_lock lock(mutex_);
  return !wake_.wait_for(lock, std::chrono::nanoseconds(nanos), [this] { return ending_; });
}

}  // namespace quorate::cmd
