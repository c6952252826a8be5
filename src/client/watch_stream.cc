#include "client/watch_stream.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "client/core.h"
#include "client/rpc.h"
#include "quorate/client/txn.h"

namespace quorate::client {
namespace {

constexpr std::chrono::milliseconds kReopenSecond(5);  // The first time at once.
constexpr std::chrono::milliseconds kReopenMax(500);
constexpr int64_t kAllWatches = -1;  // The ID of an answer that is for all, and of a watch that was refused.

}  // namespace

WatchStream::WatchStream(Core* core, bool require_leader)
    : core_(*core),
      require_leader_(require_leader),
      pause_(std::chrono::milliseconds(0), kReopenSecond, kReopenMax) {}

void WatchStream::Add(State watch) {
  watches_.insert(watch);
  if (stream_) {
    Create(watch);
  } else if (!opening_ && !pause_timer_.running()) {
    Open();
  }
}

void WatchStream::Remove(const State& watch) {
  if (watches_.erase(watch) == 0) return;
  if (watch->phase == Phase::kActive) {
    by_id_.erase(watch->id);
    CancelId(watch->id);
  } else if (watch->phase == Phase::kCreating) {
    *std::find(creating_.begin(), creating_.end(), watch) = nullptr;
  }
  watch->phase = Phase::kEnded;
  StopIfIdle();
}

void WatchStream::Resume(const State& watch) {
  if (watch->phase != Phase::kSuspended) return;
  watch->phase = Phase::kWaiting;
  if (stream_) Create(watch);
}

void WatchStream::RequestProgress() {
  if (!stream_) {
    progress_wanted_ = true;
    return;
  }
  etcdserverpb::WatchRequest request;
  request.mutable_progress_request();
  stream_->Write(ToBytes(request));
}

void WatchStream::Close(const Status& why) {
  Interrupt();
  for (const State& watch : std::exchange(watches_, {})) watch->End(why);
}

// The stream

void WatchStream::Open() {
  opening_ = std::make_shared<StreamOpening>(
      &core_, [this](StatusOr<std::shared_ptr<Endpoint>> endpoint) { Opened(std::move(endpoint)); });
  opening_->Start({}, Clock::time_point::max());
}

void WatchStream::Opened(StatusOr<std::shared_ptr<Endpoint>> endpoint) {
  opening_.reset();
  if (!endpoint.ok())
    return absl::IsResourceExhausted(endpoint.status()) ? Reopen() : OnEnded(endpoint.status());
  token_generation_ = core_.token().generation();
  stream_ = std::make_shared<Stream>(
      &core_, kWatch, *std::move(endpoint),
      Stream::Events{.message = [this](const grpc::ByteBuffer& bytes) { OnMessage(bytes); },
                     .ended = [this](const Status& status) { OnEnded(status); }});
  stream_->Start(require_leader_, Clock::time_point::max());
  stream_->Read();
  for (const State& watch : watches_) {
    if (watch->phase == Phase::kWaiting) Create(watch);
  }
  if (std::exchange(progress_wanted_, false)) RequestProgress();
}

void WatchStream::Interrupt() {
  if (opening_) std::exchange(opening_, nullptr)->Cancel();
  pause_timer_.Cancel();
  if (stream_) std::exchange(stream_, nullptr)->Cancel();
  by_id_.clear();
  creating_.clear();
  for (const State& watch : watches_) {
    watch->cursor.Interrupted();
    watch->id = -1;
    if (watch->phase == Phase::kActive || watch->phase == Phase::kCreating) watch->phase = Phase::kWaiting;
  }
}

void WatchStream::OnEnded(const Status& status) {
  if (stream_) {
    core_.Log("the watch stream to " + stream_->endpoint().address().url +
              " has ended: " + status.ToString());
    stream_->endpoint().Failed(Clock::now());
  }
  Interrupt();
  if (watches_.empty()) return;
  // Before the code, which may look like a passing trouble: etcd up to 3.4 has kUnknown for its inner errors.
  // Who is known by a certificate has no token to renew, but another try is right.
  if (IsBadToken(status) || (WantsNewToken(status) && core_.token().has_user())) return TokenRefused(status);
  if (MayReopen(status)) return Reopen();
  for (const State& watch : std::exchange(watches_, {})) watch->End(status);
}

void WatchStream::Reopen() {
  core_.loop().Set(&pause_timer_, pause_.Next(core_.options().retry_jitter, core_.Random()),
                   [this] { Open(); });
}

void WatchStream::StopIfIdle() {
  if (watches_.empty()) Interrupt();
}

// The watches

void WatchStream::Create(const State& watch) {
  watch->phase = Phase::kCreating;
  creating_.push_back(watch);
  stream_->Write(ToBytes(watch->CreateRequest()));
}

void WatchStream::CancelId(int64_t id) {
  etcdserverpb::WatchRequest request;
  request.mutable_cancel_request()->set_watch_id(id);
  stream_->Write(ToBytes(request));
}

void WatchStream::OnMessage(const grpc::ByteBuffer& bytes) {
  etcdserverpb::WatchResponse response;
  if (const Status status = FromBytes(bytes, &response); !status.ok()) return OnEnded(status);
  if (!response.canceled()) {
    pause_.Reset();
    tokens_refused_ = 0;
  }
  stream_->endpoint().Answered();
  // Whatever is done with the message may end the stream, and this one with it.
  stream_->Read();
  if (response.created()) return OnCreated(std::move(response));
  if (response.watch_id() == kAllWatches) {
    if (!response.canceled() && response.events().empty()) OnProgressOfAll(response);
    return;
  }
  const auto found = by_id_.find(response.watch_id());
  if (found == by_id_.end()) return;  // Cancelled; the server does not know yet.
  const State watch = found->second;
  if (response.canceled()) return OnCanceled(watch, response);
  if (auto whole = watch->cursor.Take(std::move(response))) Deliver(watch, *std::move(whole));
}

void WatchStream::OnCreated(etcdserverpb::WatchResponse response) {
  if (creating_.empty()) return OnEnded(Internal("the server has confirmed a watch that was not asked for"));
  const State watch = std::move(creating_.front());
  creating_.pop_front();
  const bool refused = response.canceled() || response.watch_id() == kAllWatches;
  if (!watch) {
    if (!refused) CancelId(response.watch_id());
    return;
  }
  if (refused) return OnCanceled(watch, response);
  watch->id = response.watch_id();
  watch->phase = Phase::kActive;
  by_id_[watch->id] = watch;
  watch->cursor.Created(response.header().revision());
  if (!std::exchange(watch->created_before, true) && watch->options.created_notify)
    Deliver(watch, std::move(response));
}

void WatchStream::OnCanceled(const State& watch, const etcdserverpb::WatchResponse& response) {
  by_id_.erase(watch->id);
  watch->id = -1;
  if (response.compact_revision() != 0) {
    return End(
        watch,
        MakeStatus(absl::StatusCode::kOutOfRange, "etcdserver: mvcc: required revision has been compacted"),
        response);
  }
  const Status why = FromCancelReason(response.cancel_reason());
  if (WantsNewToken(why) && core_.token().has_user()) {
    watch->phase = Phase::kWaiting;
    return TokenRefused(why);
  }
  if (absl::IsPermissionDenied(why) && core_.token().has_user()) return Denied(watch, why);
  // A member may also cancel its watches one by one when it loses its leader or stops.
  if (MayReopen(why)) return OnEnded(why);
  End(watch, why);
}

void WatchStream::OnProgressOfAll(const etcdserverpb::WatchResponse& response) {
  // Not a promise at older servers, so it moves no cursor.
  for (const auto& [id, watch] : std::map<int64_t, State>(by_id_)) {
    if (watch->phase == Phase::kActive) Deliver(watch, response);
  }
}

void WatchStream::Deliver(const State& watch, etcdserverpb::WatchResponse response) {
  if (watch->Deliver(std::move(response)) || watch->phase != Phase::kActive) return;
  // The others on this stream are not to wait for its reader.
  watch->phase = Phase::kSuspended;
  by_id_.erase(watch->id);
  CancelId(watch->id);
  watch->cursor.Interrupted();
  watch->id = -1;
}

// The stream's token is of no use any more: all its watches go on with a new one; and if this was one refusal
// too many, those that are started later.
void WatchStream::TokenRefused(const Status& why) {
  core_.token().Refused(token_generation_);
  Interrupt();
  if (++tokens_refused_ < core_.options().max_attempts) return Reopen();
  tokens_refused_ = 0;
  for (const State& watch : std::exchange(watches_, {})) watch->End(why);
}

// An older server refuses a watch on a stream whose token has run out with the words for missing rights. A
// read of the same keys there tells the two apart: it has the token renewed if that was it.
void WatchStream::Denied(const State& watch, const Status& why) {
  watch->phase = Phase::kDenied;
  GetOptions one;
  one.limit = 1;
  one.keys_only = true;
  one.serializable = true;
  CallOptions there;
  there.endpoint = stream_->endpoint().address().url;
  StartCall<etcdserverpb::RangeResponse>(
      &core_, kRange, MakeRange(watch->keys, one), there,
      [this, watch, why, refused = token_generation_](const StatusOr<etcdserverpb::RangeResponse>& read) {
        FoundOut(watch, why, refused, read.status());
      });
}

void WatchStream::FoundOut(const State& watch, const Status& why, uint64_t refused, const Status& read) {
  if (watch->phase != Phase::kDenied) return;
  const bool renewed = core_.token().generation() > refused;
  const bool unknown = absl::IsUnavailable(read) || absl::IsDeadlineExceeded(read);
  if (!renewed && !unknown) return End(watch, why);
  watch->phase = Phase::kWaiting;
  if (!stream_) return;  // The next one takes it.
  // Another of the stream's watches may have had it opened again already.
  if (!renewed || token_generation_ > refused) return Create(watch);
  TokenRefused(why);
}

void WatchStream::End(const State& watch, const Status& why, etcdserverpb::WatchResponse last) {
  watches_.erase(watch);
  watch->End(why, std::move(last));
  StopIfIdle();
}

}  // namespace quorate::client
