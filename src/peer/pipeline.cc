#include "peer/pipeline.h"

#include <algorithm>
#include <utility>

#include "peer/compatibility.h"
#include "peer/message_codec.h"

namespace quorate::peer {
namespace {

constexpr size_t kAnswerBytesMax = 1024;

}  // namespace

Status CheckPostAnswer(const HttpHead& head, std::string_view body, std::string_view url) {
  while (body.ends_with('\n')) body.remove_suffix(1);
  switch (head.status) {
    case 204:
      return absl::OkStatus();
    case 403:
      return PermissionDenied("the member has been permanently removed from the cluster");
    case 412:
      if (body == kIncompatibleVersion || body == kClusterIdMismatch) return FailedPrecondition(body);
      return FailedPrecondition("unhandled error \"" + std::string(body) + "\" when precondition failed");
    default:
      return Unavailable("unexpected http status " + std::string(net::HttpReason(head.status)) +
                         " while posting to \"" + std::string(url) + "\"");
  }
}

// One POST. Tells its pipeline, which then drops it.
class Pipeline::Request : public HttpCall::Handler, public std::enable_shared_from_this<Request> {
 public:
  Request(Pipeline* pipeline, size_t bytes) : pipeline_(pipeline), bytes_(bytes) {}
  ~Request() override {
    if (call_ != nullptr) call_->Cancel();
  }

  void Start(const Endpoint& endpoint, ClientRequest request) {
    authority_ = endpoint.authority;
    call_ = pipeline_->context_->http.Start(endpoint, std::move(request), this);
  }
  const std::string& authority() const { return authority_; }

 private:
  void OnHead(const HttpHead& head) override { head_ = head; }
  void OnBody(std::string_view bytes) override {
    body_.append(bytes.substr(0, kAnswerBytesMax - std::min(kAnswerBytesMax, body_.size())));
  }
  void OnEnd() override { Done(CheckPostAnswer(head_, body_, "http://" + authority_ + "/raft")); }
  void OnFailed(const Status& status) override { Done(status); }
  void Done(const Status& status) {
    const auto self = shared_from_this();
    pipeline_->OnDone(this, status, bytes_);
  }

  Pipeline* const pipeline_;
  const size_t bytes_;
  std::string authority_;
  std::shared_ptr<HttpCall> call_;
  HttpHead head_;
  std::string body_;
};

Pipeline::Pipeline(std::shared_ptr<Context> context, std::shared_ptr<PeerStatus> status,
                   std::shared_ptr<UrlPicker> picker, uint64_t peer_id)
    : context_(std::move(context)),
      status_(std::move(status)),
      picker_(std::move(picker)),
      peer_id_(peer_id) {}

Pipeline::~Pipeline() = default;

bool Pipeline::Send(raft::Message&& message) {
  if (queue_.size() >= kQueueMax || picker_->empty()) return false;
  queue_.push_back(std::move(message));
  StartNext();
  return true;
}

void Pipeline::StartNext() {
  while (!queue_.empty() && requests_.size() < kRequestsMax && context_->events != nullptr) {
    const raft::Message message = std::move(queue_.front());
    queue_.pop_front();
    ClientRequest request;
    request.method = "POST";
    request.target = "/raft";
    request.headers = context_->RequestHeaders();
    request.headers.emplace_back("Content-Type", "application/protobuf");
    AppendMessage(request.body, message);
    request.dial_timeout_nanos = context_->dial_timeout_nanos();
    request.idle_timeout_nanos = kIdleNanos;
    requests_.push_back(std::make_shared<Request>(this, request.body.size()));
    requests_.back()->Start(picker_->picked(), std::move(request));
  }
}

void Pipeline::OnDone(Request* request, const Status& status, size_t bytes) {
  const std::string authority = request->authority();
  std::erase_if(requests_, [&](const auto& r) { return r.get() == request; });
  if (status.ok()) {
    status_->Activate();
    context_->metrics.Of(peer_id_).sent_bytes += bytes;
  } else {
    picker_->Unreachable(authority);
    status_->Deactivate("write", "pipeline", quorate::Message(status));
    context_->ReportUnreachable(peer_id_);
    ++context_->metrics.Of(peer_id_).sent_failures;
    if (absl::IsPermissionDenied(status)) context_->ReportRemoved();
  }
  StartNext();
}

}  // namespace quorate::peer
