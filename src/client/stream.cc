#include "client/stream.h"

#include <utility>

#include "client/core.h"

namespace quorate::client {

Stream::Stream(Core* core, const Method& method, std::shared_ptr<Endpoint> endpoint, Events events)
    : core_(*core), method_(method), endpoint_(std::move(endpoint)), events_(std::move(events)) {}

void Stream::Start(bool require_leader, Clock::time_point deadline) {
  core_.Add(shared_from_this());
  context_.set_deadline(ToGrpc(deadline));
  core_.AddMetadata(&context_, require_leader, method_.with_token);
  call_ = endpoint_->stub().PrepareCall(&context_, method_.path, core_.loop().queue());
  call_->StartCall(core_.loop().Tag([self = shared_from_this()](bool ok) { self->Opened(ok); }));
}

void Stream::Opened(bool ok) {
  open_ = true;
  if (!ok || cancelled_) return Finish();
  WriteNext();
  if (std::exchange(read_wanted_, false)) Read();
}

void Stream::Write(grpc::ByteBuffer message) {
  writes_.push_back(std::move(message));
  WriteNext();
}

void Stream::CloseWrites() {
  close_writes_ = true;
  WriteNext();
}

void Stream::WriteNext() {
  if (!open_ || writing_ || finishing_) return;
  auto written = [self = shared_from_this()](bool ok) {
    self->writing_ = false;
    // A broken stream fails its read, too; that one ends it.
    if (ok) self->WriteNext();
  };
  if (!writes_.empty()) {
    writing_ = true;
    const grpc::ByteBuffer next = std::move(writes_.front());
    writes_.pop_front();
    call_->Write(next, core_.loop().Tag(std::move(written)));
  } else if (std::exchange(close_writes_, false)) {
    writing_ = true;
    call_->WritesDone(core_.loop().Tag(std::move(written)));
  }
}

void Stream::Read() {
  if (finishing_ || cancelled_) return;
  if (!open_) {
    read_wanted_ = true;
    return;
  }
  message_.Clear();
  reading_ = true;
  call_->Read(&message_, core_.loop().Tag([self = shared_from_this()](bool ok) { self->OnRead(ok); }));
}

void Stream::OnRead(bool ok) {
  reading_ = false;
  if (!ok || cancelled_) return Finish();
  // A copy: the handler may cancel, which drops it.
  if (const auto handler = events_.message) handler(message_);
}

void Stream::Finish() {
  if (std::exchange(finishing_, true)) return;
  call_->Finish(&status_, core_.loop().Tag([self = shared_from_this()](bool) { self->End(); }));
}

void Stream::End() {
  core_.Remove(this);
  const auto handler = std::exchange(events_, {}).ended;
  if (handler) handler(FromGrpc(status_));
}

void Stream::Cancel() {
  events_ = {};
  cancelled_ = true;
  context_.TryCancel();
  // gRPC does not allow it during a read; that one fails soon, and finishes then.
  if (open_ && !reading_) Finish();
}

void Stream::CancelWith(const Status& why) {
  const auto self = shared_from_this();
  const auto handler = events_.ended;
  Cancel();
  if (handler) handler(why);
}

}  // namespace quorate::client
