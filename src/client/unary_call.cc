#include "client/unary_call.h"

#include <string>
#include <string_view>
#include <utility>

#include "client/core.h"
#include "client/later.h"

namespace quorate::client {
namespace {

constexpr std::string_view kNoConnection = "failed to connect to all addresses";
constexpr std::string_view kNoAddress = "DNS resolution failed";

Status Stopped() { return MakeStatus(absl::StatusCode::kCancelled, "context canceled"); }

}  // namespace

UnaryCall::UnaryCall(Core* core, const Method& method, grpc::ByteBuffer request, CallOptions options,
                     Done done)
    : core_(*core),
      method_(method),
      request_(std::move(request)),
      options_(std::move(options)),
      done_(std::move(done)),
      deadline_(core->Deadline(method, options_)) {}

void UnaryCall::Start() {
  core_.Add(shared_from_this());
  if (core_.closed()) return Cancel(MakeStatus(absl::StatusCode::kCancelled, "the client is closed"));
  if (Clock::now() >= deadline_) return Finish(OutOfTime());
  if (options_.stop.stop_possible()) {
    // Runs on whatever thread asks to stop, or here if that has happened already.
    on_stop_.emplace(options_.stop, [loop = &core_.loop(), weak = weak_from_this()] {
      loop->Post([weak] {
        if (const auto self = weak.lock()) self->Cancel(Stopped());
      });
    });
  }
  // One that was refused when no attempt was left to its call.
  if (method_.with_token && core_.token().refused()) return RenewToken();
  Attempt();
}

void UnaryCall::Attempt() {
  const void* const last = endpoint_.get();
  ticket_ = core_.balancer().Pick({.deadline = deadline_,
                                   .endpoint = options_.endpoint,
                                   .rather_not = last,
                                   .fail_fast = options_.fail_fast},
                                  [self = shared_from_this()](StatusOr<std::shared_ptr<Endpoint>> endpoint) {
                                    self->OnPicked(std::move(endpoint));
                                  });
}

void UnaryCall::OnPicked(StatusOr<std::shared_ptr<Endpoint>> endpoint) {
  ticket_ = 0;
  if (!done_) return;
  if (!endpoint.ok()) {
    return Finish(perhaps_done_ ? MarkPerhapsDone(endpoint.status()) : MarkNeverSent(endpoint.status()));
  }
  endpoint_ = *std::move(endpoint);
  Send();
}

void UnaryCall::Send() {
  // The task that is to cancel it may come a moment later.
  if (options_.stop.stop_requested()) return Cancel(Stopped());
  ++attempt_;
  context_ = std::make_unique<grpc::ClientContext>();
  Clock::time_point deadline = deadline_;
  attempt_bounded_ = false;
  const auto bound = core_.options().read_attempt_timeout;
  const bool repeatable = method_.repeatable || options_.repeatable;
  if (repeatable && bound.count() > 0 && Later(bound) < deadline) {
    deadline = Later(bound);
    attempt_bounded_ = true;
  }
  context_->set_deadline(ToGrpc(deadline));
  core_.AddMetadata(context_.get(), options_.require_leader, method_.with_token);
  token_generation_ = core_.token().generation();
  response_.Clear();
  reader_ = endpoint_->stub().PrepareUnaryCall(context_.get(), method_.path, request_, core_.loop().queue());
  reader_->StartCall();
  reader_->Finish(&response_, &grpc_status_,
                  core_.loop().Tag([self = shared_from_this()](bool) { self->OnAnswer(); }));
}

Status UnaryCall::AttemptStatus() {
  Status status = FromGrpc(grpc_status_);
  // gRPC's words for a call that found no connection. Nothing else is proof: ClientContext::peer(), too, is
  // unknown of a request that was sent and had no answer.
  const bool never_sent = absl::IsUnavailable(status) && (Message(status).starts_with(kNoConnection) ||
                                                          Message(status).starts_with(kNoAddress));
  return never_sent ? MarkNeverSent(std::move(status)) : status;
}

void UnaryCall::OnAnswer() {
  const Status status = AttemptStatus();
  context_.reset();
  reader_.reset();
  if (!done_) return;
  if (status.ok()) {
    endpoint_->Answered();
    return Finish(status);
  }
  Failed(status);
}

void UnaryCall::Failed(const Status& status) {
  if (absl::IsUnavailable(status) || absl::IsDeadlineExceeded(status)) endpoint_->Failed(Clock::now());
  // The server may see the end of a call's time a moment before us.
  const bool late = absl::IsDeadlineExceeded(status) && !attempt_bounded_;
  const FailedAttempt attempt{.repeatable = method_.repeatable || options_.repeatable,
                              .never_sent = OutcomeOf(status) == Outcome::kNotDone,
                              .timed_out = absl::IsDeadlineExceeded(status) && !late,
                              .has_user = core_.token().has_user() && method_.with_token,
                              .endpoints = core_.balancer().size()};
  if (OutcomeOf(status) == Outcome::kUnknown) perhaps_done_ = true;
  if (late) return Finish(OutOfTime());
  last_error_ = Message(status);
  const NextStep step = AfterFailure(status, attempt);
  // Also when this call ends here: the next one is not to go out with the same token.
  if (step == NextStep::kRetryWithNewToken) core_.token().Refused(token_generation_);
  const bool retry = step != NextStep::kGiveUp && attempt_ < core_.options().max_attempts &&
                     !(options_.fail_fast && attempt_ > static_cast<int>(core_.balancer().size()));
  if (!retry) return Finish(perhaps_done_ ? MarkPerhapsDone(status) : status);
  core_.Log(std::string("retrying ") + method_.path + " after attempt " + std::to_string(attempt_) + " at " +
            endpoint_->address().url + ": " + status.ToString());
  if (step == NextStep::kRetry) return Retry();
  RenewToken();
}

void UnaryCall::RenewToken() {
  if (deadline_ != Clock::time_point::max()) {
    core_.loop().Set(&wait_, deadline_, [self = shared_from_this()] {
      self->last_error_ = kLoginTooSlow;
      self->Finish(self->OutOfTime());
    });
  }
  core_.token().Ensure([self = shared_from_this()](const Status& renewed) {
    if (!self->done_) return;
    self->wait_.Cancel();
    if (renewed.ok()) return self->attempt_ == 0 ? self->Attempt() : self->Retry();
    // What became of the login says nothing of this call.
    const Status why = MakeStatus(renewed.code(), Message(renewed));
    self->Finish(self->perhaps_done_ ? MarkPerhapsDone(why) : MarkNeverSent(why));
  });
}

Status UnaryCall::OutOfTime() const {
  Status status = MakeStatus(absl::StatusCode::kDeadlineExceeded,
                             "context deadline exceeded" + (last_error_.empty() ? "" : ": " + last_error_));
  return perhaps_done_ ? status : MarkNeverSent(std::move(status));
}

void UnaryCall::Retry() {
  const Options& options = core_.options();
  const auto wait =
      RetryWait(attempt_, core_.balancer().size(), options.retry_wait, options.retry_jitter, core_.Random());
  if (wait.count() == 0) return Attempt();
  core_.loop().Set(&wait_, wait, [self = shared_from_this()] { self->Attempt(); });
}

void UnaryCall::Cancel(const Status& why) {
  if (!done_) return;
  if (context_) {
    context_->TryCancel();
    perhaps_done_ = true;
  }
  if (ticket_ != 0) core_.balancer().Forget(ticket_);
  Finish(perhaps_done_ ? why : MarkNeverSent(why));
}

void UnaryCall::Finish(Status status) {
  const auto self = shared_from_this();
  wait_.Cancel();
  on_stop_.reset();
  core_.Remove(self);
  const Done done = std::exchange(done_, nullptr);
  done(std::move(status), std::move(response_));
}

}  // namespace quorate::client
