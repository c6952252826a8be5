#include "client/pulled_stream.h"

#include <utility>

#include "client/core.h"
#include "client/rpc.h"

namespace quorate::client {
namespace {

constexpr size_t kAhead = 4;  // Messages read before they are asked for.

Status OutOfTime() { return MakeStatus(absl::StatusCode::kDeadlineExceeded, "context deadline exceeded"); }
Status Canceled() { return MakeStatus(absl::StatusCode::kCancelled, "context canceled"); }

}  // namespace

PulledStream::PulledStream(Core* core, const Method& method, const grpc::ByteBuffer& request,
                           CallOptions options)
    : core_(*core),
      loop_(core->shared_loop()),
      method_(method),
      request_(request),
      options_(std::move(options)),
      deadline_(core->Deadline(method, options_)) {}

void PulledStream::Start() {
  loop_->Post([self = shared_from_this()] {
    if (self->options_.stop.stop_possible()) {
      self->on_stop_.emplace(self->options_.stop, [weak = std::weak_ptr(self)] {
        if (const auto stopped = weak.lock()) stopped->Cancel();
      });
    }
    self->Open();
  });
}

StatusOr<bool> PulledStream::Next(grpc::ByteBuffer* message) {
  if (loop_->InLoop()) return WouldWaitForItself();
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return !messages_.empty() || end_; });
  if (messages_.empty()) {
    if (!end_->ok()) return *end_;
    return false;
  }
  message->Swap(&messages_.front());
  messages_.pop_front();
  if (!reading_ && !end_) {
    reading_ = true;
    loop_->Post([self = shared_from_this()] { self->ReadMore(); });
  }
  return true;
}

void PulledStream::Cancel() {
  loop_->Post([self = shared_from_this()] {
    if (self->stream_) self->stream_->Cancel();
    self->End(Canceled());
  });
}

void PulledStream::Open() {
  if (ended_) return;
  ++attempt_;
  opening_ = std::make_shared<StreamOpening>(
      &core_, [self = shared_from_this()](StatusOr<std::shared_ptr<Endpoint>> endpoint) {
        self->Opened(std::move(endpoint));
      });
  opening_->Start(options_, deadline_);
}

void PulledStream::Opened(StatusOr<std::shared_ptr<Endpoint>> endpoint) {
  opening_.reset();
  if (!endpoint.ok()) return End(endpoint.status());
  // The task that is to cancel it may come a moment later.
  if (options_.stop.stop_requested()) return End(Canceled());
  token_generation_ = core_.token().generation();
  const auto self = shared_from_this();
  stream_ = std::make_shared<Stream>(
      &core_, method_, *std::move(endpoint),
      Stream::Events{.message = [self](const grpc::ByteBuffer& bytes) { self->OnMessage(bytes); },
                     .ended = [self](const Status& status) { self->OnEnded(status); }});
  stream_->Start(options_.require_leader, deadline_);
  stream_->Write(request_);
  stream_->CloseWrites();
  stream_->Read();
}

void PulledStream::ReadMore() {
  if (stream_ && !ended_) stream_->Read();
}

void PulledStream::OnMessage(const grpc::ByteBuffer& bytes) {
  received_ = true;
  bool more = false;
  {
    const std::lock_guard lock(mutex_);
    messages_.push_back(bytes);
    more = messages_.size() < kAhead;
    reading_ = more;
    changed_.notify_all();
  }
  if (more) stream_->Read();
}

void PulledStream::OnEnded(const Status& status) {
  const auto endpoint = stream_ ? &stream_->endpoint() : nullptr;
  // Also when this stream ends here: the next one is not to go out with the same token.
  if (WantsNewToken(status)) core_.token().Refused(token_generation_);
  // In the same words whoever notices it first: gRPC has its own.
  if (absl::IsDeadlineExceeded(status)) return End(OutOfTime());
  if (status.ok() || received_ || Clock::now() >= deadline_) return End(status);
  if (endpoint != nullptr && absl::IsUnavailable(status)) endpoint->Failed(Clock::now());
  const FailedAttempt attempt{
      .repeatable = true, .has_user = core_.token().has_user(), .endpoints = core_.balancer().size()};
  const NextStep step = AfterFailure(status, attempt);
  if (step == NextStep::kGiveUp || attempt_ >= core_.options().max_attempts) return End(status);
  core_.Log(std::string("retrying ") + method_.path + ": " + status.ToString());
  stream_.reset();
  const Options& options = core_.options();
  const auto wait =
      RetryWait(attempt_, core_.balancer().size(), options.retry_wait, options.retry_jitter, core_.Random());
  core_.loop().Set(&wait_, wait, [self = shared_from_this()] { self->Open(); });
}

void PulledStream::End(const Status& status) {
  if (std::exchange(ended_, true)) return;
  wait_.Cancel();
  if (opening_) std::exchange(opening_, nullptr)->Cancel();
  stream_.reset();
  on_stop_.reset();
  const std::lock_guard lock(mutex_);
  end_ = status;
  changed_.notify_all();
}

}  // namespace quorate::client
