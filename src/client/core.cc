#include "client/core.h"

#include <future>
#include <utility>

#include "client/later.h"
#include "client/rpc.h"

namespace quorate::client {
namespace {

constexpr std::string_view kApiVersion = "3.7";  // Servers count their clients by it.
constexpr std::chrono::seconds kSyncTimeout(5);
constexpr std::string_view kTooLate = "context deadline exceeded";

Status Closed() { return MakeStatus(absl::StatusCode::kCancelled, "the client is closed"); }

}  // namespace

Status FromGrpc(const grpc::Status& status) {
  if (status.ok()) return absl::OkStatus();
  if (status.error_code() == grpc::UNKNOWN && status.error_message() == kTooLate) {
    return MakeStatus(absl::StatusCode::kDeadlineExceeded, kTooLate);
  }
  return MakeStatus(static_cast<absl::StatusCode>(status.error_code()), status.error_message());
}

Core::Core(Options options, std::shared_ptr<grpc::ChannelCredentials> tls)
    : options_(std::move(options)),
      loop_(std::make_shared<Loop>()),
      random_(std::random_device()()),
      balancer_(loop_.get(), EndpointFactory(options_, std::move(tls))),
      token_(this, options_.username, options_.password, options_.token),
      watches_(this),
      leases_(this) {}

Core::~Core() {
  loop_->Stop([this] { Close(); });
}

void Core::Close() {
  closed_ = true;
  sync_timer_.Cancel();
  watches_.Close(Closed());
  leases_.Close(Closed());
  balancer_.Close();
  // The end of one may be that of others, too: a login's is that of all who wait for its token.
  const std::vector<std::shared_ptr<UnaryCall>> calls(calls_.begin(), calls_.end());
  for (const auto& call : calls) call->Cancel(Closed());
  for (Stream* stream : std::vector<Stream*>(streams_.begin(), streams_.end())) stream->CancelWith(Closed());
}

void Core::Add(std::shared_ptr<UnaryCall> call) { calls_.insert(std::move(call)); }

void Core::Add(const std::shared_ptr<Stream>& stream) { streams_.insert(stream.get()); }

void Core::Call(const Method& method, grpc::ByteBuffer request, CallOptions options, UnaryCall::Done done) {
  // Else a callback that calls again whatever came would never let the client end.
  if (loop_->InLoop() && closed_) return;
  // Never at once: `done` is not to run within the call that hands it in.
  loop_->Post([call = std::make_shared<UnaryCall>(this, method, std::move(request), std::move(options),
                                                  std::move(done))] { call->Start(); });
}

Clock::time_point Core::Deadline(const Method& method, const CallOptions& call) const {
  const auto timeout =
      call.timeout.value_or(method.bounded ? options_.request_timeout : std::chrono::milliseconds(0));
  return timeout.count() == 0 ? Clock::time_point::max() : Later(timeout);
}

void Core::AddMetadata(grpc::ClientContext* context, bool require_leader, bool with_token) const {
  context->AddMetadata("client-api-version", std::string(kApiVersion));
  if (require_leader) context->AddMetadata("hasleader", "true");
  if (with_token && !token_.value().empty()) context->AddMetadata("token", token_.value());
}

std::vector<std::string> Core::Urls() const {
  const std::lock_guard lock(urls_mutex_);
  return urls_;
}

Status Core::SetUrls(const std::vector<std::string>& urls) {
  QUORATE_RETURN_IF_ERROR(balancer_.SetEndpoints(urls));
  std::vector<std::string> before = urls;
  {
    const std::lock_guard lock(urls_mutex_);
    before.swap(urls_);
  }
  if (before.empty() || before == urls) return absl::OkStatus();
  std::string text = "the endpoints are now";
  for (const std::string& url : urls) text += " " + url;
  Log(text);
  return absl::OkStatus();
}

void Core::Sync(const CallOptions& call, std::function<void(const Status&)> done) {
  etcdserverpb::MemberListRequest request;
  request.set_linearizable(true);
  StartCall<etcdserverpb::MemberListResponse>(
      this, kMemberList, request, call,
      [this, done = std::move(done)](const StatusOr<etcdserverpb::MemberListResponse>& members) {
        if (!members.ok()) return done(members.status());
        std::vector<std::string> urls;
        for (const etcdserverpb::Member& member : members->members()) {
          // Without a name it has not started yet.
          if (member.name().empty() || member.islearner()) continue;
          urls.insert(urls.end(), member.clienturls().begin(), member.clienturls().end());
        }
        done(SetUrls(urls));
      });
}

void Core::StartAutoSync() {
  if (options_.auto_sync_interval.count() <= 0 || closed_) return;
  loop_->Set(&sync_timer_, Later(options_.auto_sync_interval), [this] {
    CallOptions call;
    call.timeout = kSyncTimeout;
    Sync(call, [this](const Status& status) {
      if (!status.ok()) Log("the endpoints could not be brought up to date: " + status.ToString());
      StartAutoSync();
    });
  });
}

}  // namespace quorate::client
