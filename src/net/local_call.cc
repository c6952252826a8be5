#include "net/local_call.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "net/grpc_framing.h"
#include "net/loop_impl.h"
#include "net/server_impl.h"

namespace quorate::net {
namespace {

constexpr std::string_view kUnread =
    "transport: too many bytes of responses wait to be read by this client: read them first";

constexpr std::string_view kHeld =
    "transport: too much is kept for requests of this client: wait for some to be answered";

}  // namespace

std::shared_ptr<LocalCall> LocalCall::Open(Server* server, Request request, Receiver* receiver) {
  const std::shared_ptr<LocalCall> call(new LocalCall(server->impl_.get(), request.peer, receiver));
  call->Start(request);
  return call;
}

LocalCall::LocalCall(ServerImpl* server, std::string peer, Receiver* receiver)
    : server_(server), receiver_(receiver), peer_(std::move(peer)), stream_(server->pool().Acquire()) {}

LocalCall::~LocalCall() {
  Abandon();
  server_->pool().Release(stream_);
}

void LocalCall::Start(const Request& request) {
  H2Stream* s = stream_;
  s->carrier = this;
  s->open = true;
  s->method = server_->FindMethod(request.path);
  for (const auto& [name, value] : request.metadata) {
    s->AddHeader(name, value);
    metadata_bytes_ += name.size() + value.size();
  }
  if (!Hold(s, 0)) return Finish(s, Code::kResourceExhausted, kHeld);
  if (s->method == nullptr) {
    return Finish(s, Code::kUnimplemented, server_->UnknownMethodText(request.path));
  }
  s->kind = s->method->unary ? H2Stream::Kind::kUnary : H2Stream::Kind::kStreaming;
  if (request.timeout && request.timeout->count() <= 0) {
    return Finish(s, Code::kDeadlineExceeded, "context deadline exceeded");
  }
  s->has_timeout = request.timeout.has_value();
  if (s->has_timeout) {
    s->deadline = server_->loop_impl()->now() + request.timeout->count();
    s->timer.context = this;
    s->timer.fire = [](void* self) {
      static_cast<LocalCall*>(self)->Refuse(Code::kDeadlineExceeded, "context deadline exceeded");
    };
    server_->loop_impl()->SetTimer(&s->timer, s->deadline);
  }
  if (s->method->unary) return;
  std::unique_ptr<StreamHandler> handler =
      s->method->streaming(StreamCall(s, s->generation, s->method->index));
  if (s->open) {
    QUORATE_CHECK_MSG(handler != nullptr, "a stream factory gave no handler for a call that is not finished");
    s->handler = std::move(handler);
  } else if (handler != nullptr) {
    server_->Bury(std::move(handler));
  }
}

void LocalCall::Send(std::string_view message) {
  H2Stream* s = stream_;
  if (!s->open || s->dispatched) return;
  const size_t max = server_->options().message_bytes_max;
  if (message.size() > max) {
    return Refuse(Code::kResourceExhausted, "grpc: received message larger than max (" +
                                                std::to_string(message.size()) + " vs. " +
                                                std::to_string(max) + ")");
  }
  server_->stats.grpc_received_bytes += message.size();
  if (s->kind == H2Stream::Kind::kStreaming) return s->handler->OnMessage(message);
  s->dispatched = true;
  s->method->unary(UnaryCall(s, s->generation, s->method->index), message);
}

void LocalCall::HalfClose() {
  if (stream_->open && stream_->kind == H2Stream::Kind::kStreaming) stream_->handler->OnHalfClose();
}

char* LocalCall::Append(size_t size) {
  server_->stats.grpc_sent_bytes += size;
  queued_bytes_ += size;
  if (receiver_ != nullptr) receiver_->OnQueued(queued_bytes_);
  Owe();
  return responses_.emplace_back(size, '\0').data();
}

void LocalCall::Unqueue(size_t bytes) {
  queued_bytes_ -= bytes;
  if (receiver_ != nullptr) receiver_->OnQueued(queued_bytes_);
}

bool LocalCall::MayAppend(size_t size) { return receiver_ == nullptr || receiver_->MayTake(size); }

void LocalCall::Abandon() {
  receiver_ = nullptr;
  end_told_ = true;
  if (stream_->open) Refuse(Code::kCancelled, {});
  responses_.clear();
  Unqueue(queued_bytes_);
}

char* LocalCall::RespondInPlace(H2Stream*, size_t size) {
  if (size > kAnswerBytesMax) {
    EndCall(Code::kResourceExhausted, AnswerTooLarge(size));
    return nullptr;
  }
  if (size > kAnswerAlwaysBytes && !MayAppend(size)) {
    EndCall(Code::kResourceExhausted, kUnread);
    return nullptr;
  }
  char* const out = Append(size);
  EndCall(Code::kOk, {});
  return out;
}

char* LocalCall::SendInPlace(H2Stream* s, size_t size) {
  if (overfull_ || size > kAnswerBytesMax || !MayAppend(size)) {
    // Its handler is in the middle of something; the call ends at the round's end.
    overfull_ = true;
    Owe();
    return nullptr;
  }
  char* const out = Append(size);
  Full(s);
  return out;
}

bool LocalCall::Full(H2Stream* s) {
  if (pending_bytes(s) < kStreamPendingHigh && !overfull_ && (receiver_ == nullptr || !receiver_->full()))
    return false;
  s->wants_writable = true;
  Owe();
  return true;
}

bool LocalCall::Hold(H2Stream*, size_t bytes) {
  return receiver_ == nullptr || receiver_->OnHeld(metadata_bytes_ + bytes);
}

size_t LocalCall::pending_bytes(const H2Stream*) const {
  return queued_bytes_ + (receiver_ == nullptr ? 0 : receiver_->pending_bytes());
}

void LocalCall::Finish(H2Stream*, Code code, std::string_view message) { EndCall(code, message); }

void LocalCall::Refuse(Code code, std::string_view message) {
  const std::function<void(Code)> on_cancel = std::exchange(stream_->on_cancel, nullptr);
  std::unique_ptr<StreamHandler> handler = std::move(stream_->handler);
  EndCall(code, message);
  if (on_cancel) on_cancel(code);
  if (handler != nullptr) {
    handler->OnClosed(code);
    server_->Bury(std::move(handler));
  }
}

void LocalCall::EndCall(Code code, std::string_view message) {
  H2Stream* s = stream_;
  QUORATE_CHECK(s->open);
  s->open = false;
  ++s->generation;
  server_->loop_impl()->CancelTimer(&s->timer);
  s->on_cancel = nullptr;
  s->wants_writable = false;
  if (receiver_ != nullptr) receiver_->OnHeld(0);
  if (s->handler != nullptr) server_->Bury(std::move(s->handler));
  code_ = code;
  message_ = message;
  Owe();
}

void LocalCall::Owe() {
  if (owed_) return;
  const std::shared_ptr<LocalCall> self = weak_from_this().lock();
  if (self == nullptr) return;  // Being destroyed: nobody waits for it.
  owed_ = true;
  server_->AddOwed(self);
}

bool LocalCall::WritableDue() const {
  return stream_->open && stream_->wants_writable && pending_bytes(stream_) <= kStreamPendingLow &&
         (receiver_ == nullptr || !receiver_->full());
}

void LocalCall::Deliver(Round* left) {
  owed_ = false;
  if (end_told_) return;
  if (overfull_ && stream_->open) Refuse(Code::kResourceExhausted, kUnread);
  for (size_t n = kResponsesPerRound; !responses_.empty(); --n, --left->responses) {
    if (n == 0 || left->over()) return Owe();
    left->bytes -= std::min(left->bytes, responses_.front().size());
    const std::string response = std::move(responses_.front());
    responses_.pop_front();
    Unqueue(response.size());
    receiver_->OnResponse(response);
    if (receiver_ == nullptr) return;  // Abandoned by that.
  }
  if (!stream_->open) {
    end_told_ = true;
    return receiver_->OnEnd(code_, message_);
  }
  if (WritableDue()) {
    stream_->wants_writable = false;
    stream_->handler->OnWritable();
    if (stream_->open && !waits() && receiver_ != nullptr) receiver_->OnWaitOver();
  }
  if (stream_->open && stream_->wants_writable) Owe();
}

}  // namespace quorate::net
