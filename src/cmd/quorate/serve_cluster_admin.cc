#include "cmd/quorate/serve_cluster_admin.h"

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "cmd/quorate/serve_grpc_endpoint.h"
#include "rpc.pb.h"

namespace quorate::cmd {
namespace {

// Worth asking another member.
bool MayHelpElsewhere(const Status& status) {
  return absl::IsUnavailable(status) || absl::IsDeadlineExceeded(status);
}

constexpr std::string_view kPlain = "http://";
constexpr std::string_view kSecure = "https://";

// What the server trusts and shows where it is a client itself.
StatusOr<GrpcTls> ToGrpcTls(const net::TlsSettings& tls) {
  const bool own = !tls.client_cert_file.empty();
  QUORATE_ASSIGN_OR_RETURN(GrpcTls grpc,
                           ReadGrpcTls(tls.trusted_ca_file, own ? tls.client_cert_file : tls.cert_file,
                                       own ? tls.client_key_file : tls.key_file));
  grpc.verify = !tls.insecure_skip_verify;
  return grpc;
}

class GrpcClusterAdmin final : public server::ClusterAdmin {
 public:
  GrpcClusterAdmin(net::Loop* loop, RecoverUser user, net::TlsSettings tls)
      : loop_(*loop), user_(std::move(user)), tls_(std::move(tls)), thread_([this] { Work(); }) {}
  ~GrpcClusterAdmin() override {
    {
      const std::lock_guard lock(mutex_);
      ending_ = true;
    }
    wake_.notify_one();
    canceller_.Cancel();
    thread_.join();
  }

  void SetEndpoints(std::vector<std::string> endpoints) override {
    const std::lock_guard lock(mutex_);
    endpoints_ = std::move(endpoints);
  }

  void List(MembersDone done) override {
    Submit([this, done = std::move(done)](const std::vector<std::string>& endpoints) {
      auto response = Ask<etcdserverpb::MemberListResponse>(endpoints, "Cluster/MemberList",
                                                            etcdserverpb::MemberListRequest());
      Answer([done, members = Members(response)] { done(members); });
    });
  }

  void CheckHealth(const std::vector<std::string>& client_urls,
                   std::function<void(const Status&)> done) override {
    Submit([this, client_urls, done = std::move(done)](const std::vector<std::string>&) {
      const auto response =
          Ask<etcdserverpb::StatusResponse>(client_urls, "Maintenance/Status", etcdserverpb::StatusRequest());
      Status status = response.status();
      if (status.ok() && response->leader() == 0) status = Unavailable("it knows no leader");
      Answer([done, status] { done(status); });
    });
  }

  void Remove(uint64_t id, std::function<void(const Status&)> done) override {
    etcdserverpb::MemberRemoveRequest request;
    request.set_id(id);
    Change<etcdserverpb::MemberRemoveResponse>("Cluster/MemberRemove", request, std::move(done));
  }

  void AddLearner(const std::vector<std::string>& peer_urls,
                  std::function<void(const Status&)> done) override {
    etcdserverpb::MemberAddRequest request;
    for (const std::string& url : peer_urls) request.add_peerurls(url);
    request.set_islearner(true);
    Change<etcdserverpb::MemberAddResponse>("Cluster/MemberAdd", request, std::move(done));
  }

  void Promote(uint64_t id, std::function<void(const Status&)> done) override {
    etcdserverpb::MemberPromoteRequest request;
    request.set_id(id);
    Change<etcdserverpb::MemberPromoteResponse>("Cluster/MemberPromote", request, std::move(done));
  }

 private:
  using Job = std::function<void(const std::vector<std::string>& endpoints)>;

  static StatusOr<Members> Members(const StatusOr<etcdserverpb::MemberListResponse>& response) {
    if (!response.ok()) return response.status();
    server::ClusterAdmin::Members members;
    for (const etcdserverpb::Member& from : response->members()) {
      cluster::Member& member = members.emplace_back();
      member.id = from.id();
      member.peer_urls.assign(from.peerurls().begin(), from.peerurls().end());
      member.is_learner = from.islearner();
      member.attributes.name = from.name();
      member.attributes.client_urls.assign(from.clienturls().begin(), from.clienturls().end());
    }
    return members;
  }

  void Submit(Job job) {
    {
      const std::lock_guard lock(mutex_);
      jobs_.push_back(std::move(job));
    }
    wake_.notify_one();
  }
  // Onto the loop, unless this object is gone by then.
  void Answer(std::function<void()> answer) {
    loop_.Post([answer = std::move(answer), alive = std::weak_ptr<char>(alive_)] {
      if (!alive.expired()) answer();
    });
  }
  void Work() {
    std::unique_lock lock(mutex_);
    while (true) {
      wake_.wait(lock, [this] { return ending_ || !jobs_.empty(); });
      if (ending_) return;
      const Job job = std::move(jobs_.front());
      jobs_.pop_front();
      const std::vector<std::string> endpoints = endpoints_;
      lock.unlock();
      job(endpoints);
      lock.lock();
    }
  }

  template <typename Response, typename Request>
  void Change(std::string method, Request request, std::function<void(const Status&)> done) {
    Submit([this, method = std::move(method), request = std::move(request),
            done = std::move(done)](const std::vector<std::string>& endpoints) {
      const Status status = Ask<Response>(endpoints, method, request).status();
      Answer([done, status] { done(status); });
    });
  }

  // The first answer that another member could not better.
  template <typename Response, typename Request>
  StatusOr<Response> Ask(const std::vector<std::string>& endpoints, const std::string& method,
                         const Request& request) {
    StatusOr<Response> answer = Unavailable("no endpoint is known");
    for (const std::string& url : endpoints) {
      answer = AskOne<Response>(url, method, request);
      if (answer.ok() || !MayHelpElsewhere(answer.status())) return answer;
    }
    return answer;
  }
  template <typename Response, typename Request>
  StatusOr<Response> AskOne(const std::string& url, const std::string& method, const Request& request) {
    const bool secure = url.starts_with(kSecure);
    if (!secure && !url.starts_with(kPlain)) {
      return FailedPrecondition("can't talk to " + url +
                                ": only http:// and https:// endpoints can be used for rejoining");
    }
    GrpcOptions options;
    if (secure) {
      QUORATE_ASSIGN_OR_RETURN(options.tls, ToGrpcTls(tls_));
    }
    QUORATE_ASSIGN_OR_RETURN(const auto endpoint, GrpcEndpoint::Make(url, options, &canceller_));
    std::string token;
    if (!user_.name.empty()) {
      QUORATE_ASSIGN_OR_RETURN(token, endpoint->Authenticate(user_.name, user_.password));
    }
    Response response;
    QUORATE_RETURN_IF_ERROR(endpoint->Call(method, request, &response, token));
    return response;
  }

  net::Loop& loop_;
  const RecoverUser user_;
  const net::TlsSettings tls_;
  std::shared_ptr<char> alive_ = std::make_shared<char>();
  GrpcCanceller canceller_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::vector<std::string> endpoints_;  // This and the next two under mutex_.
  std::deque<Job> jobs_;
  bool ending_ = false;
  std::thread thread_;
};

}  // namespace

std::unique_ptr<server::ClusterAdmin> MakeClusterAdmin(net::Loop* loop, RecoverUser user,
                                                       net::TlsSettings tls) {
  return std::make_unique<GrpcClusterAdmin>(loop, std::move(user), std::move(tls));
}

}  // namespace quorate::cmd
