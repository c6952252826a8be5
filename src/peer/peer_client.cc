#include "peer/peer_client.h"

#include <algorithm>
#include <utility>

namespace quorate::peer {
namespace {

constexpr int64_t kLateNanos = 1'000'000'000;

}  // namespace

class PeerClient::Question : public HttpCall::Handler, public std::enable_shared_from_this<Question> {
 public:
  Question(PeerClient* owner, std::vector<std::string> urls, server::PeerCall call, Options options,
           Done done)
      : owner_(owner),
        loop_(owner->client_->loop()),
        urls_(std::move(urls)),
        asked_(std::move(call)),
        options_(std::move(options)),
        done_(std::move(done)),
        last_(Unavailable("no peer URL to ask")) {}
  ~Question() override { Stop(); }

  void Start() {
    deadline_ = loop_->now() + options_.timeout_nanos;
    timer_ = loop_->After(net::Loop::Nanos(options_.timeout_nanos), [weak = weak_from_this()] {
      const auto self = weak.lock();
      if (self == nullptr) return;
      self->timer_ = 0;
      self->Finish(absl::DeadlineExceededError("no answer in time to " + self->asked_.method + " " +
                                               self->asked_.path));
    });
    // Out of the caller's stack, whatever happens.
    loop_->Post([weak = weak_from_this()] {
      if (const auto self = weak.lock()) self->TryNext();
    });
  }

 private:
  void TryNext() {
    while (next_ < urls_.size()) {
      const std::string& url = urls_[next_++];
      const StatusOr<Endpoint> endpoint = ParseEndpoint(url);
      if (!endpoint.ok()) {
        last_ = endpoint.status();
        continue;
      }
      answer_ = {.head = {}, .body = {}, .url = url};
      const int64_t left = std::max<int64_t>(deadline_ - loop_->now(), 1);
      ClientRequest request;
      request.method = asked_.method;
      request.target = asked_.path;
      request.headers = options_.headers;
      if (!asked_.content_type.empty()) request.headers.emplace_back("Content-Type", asked_.content_type);
      if (!asked_.token.empty()) request.headers.emplace_back("Authorization", asked_.token);
      request.body = asked_.body;
      request.dial_timeout_nanos = std::min(left, options_.dial_timeout_nanos);
      request.idle_timeout_nanos = left + kLateNanos;  // The timer of the whole strikes first.
      call_ = owner_->client_->Start(*endpoint, std::move(request), this);
      return;
    }
    Finish(Unavailable(Message(last_)));
  }

  void OnHead(const HttpHead& head) override { answer_.head = head; }
  void OnBody(std::string_view bytes) override {
    answer_.body.append(bytes);
    if (answer_.body.size() <= kAnswerBytesMax) return;
    call_->Cancel();
    Finish(ResourceExhausted("the answer of " + answer_.url + " is larger than 16 MiB"));
  }
  void OnEnd() override { Finish(std::move(answer_)); }
  void OnFailed(const Status& status) override {
    last_ = MakeStatus(status.code(), answer_.url + ": " + std::string(Message(status)));
    TryNext();
  }

  void Finish(StatusOr<HttpAnswer> result) {
    const auto self = shared_from_this();
    if (done_ == nullptr) return;
    const Done done = std::exchange(done_, nullptr);
    owner_->questions_.erase(this);
    Stop();
    done(std::move(result));
  }
  void Stop() {
    loop_->Cancel(std::exchange(timer_, 0));
    if (call_ != nullptr) call_->Cancel();
  }

  PeerClient* const owner_;
  net::Loop* const loop_;
  const std::vector<std::string> urls_;
  const server::PeerCall asked_;
  const Options options_;
  Done done_;
  Status last_;
  size_t next_ = 0;
  int64_t deadline_ = 0;
  net::Loop::TimerId timer_ = 0;
  std::shared_ptr<HttpCall> call_;
  HttpAnswer answer_;
};

PeerClient::~PeerClient() = default;

void PeerClient::Ask(const std::vector<std::string>& urls, server::PeerCall call, Options options,
                     Done done) {
  auto question =
      std::make_shared<Question>(this, urls, std::move(call), std::move(options), std::move(done));
  questions_.emplace(question.get(), question);
  question->Start();
}

}  // namespace quorate::peer
