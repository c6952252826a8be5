#include "client/lease_keeper.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "client/core.h"
#include "client/later.h"
#include "client/retry.h"
#include "client/rpc.h"

namespace quorate::client {
namespace {

constexpr std::chrono::milliseconds kResendAfter(500);  // Of a renewal without an answer.
constexpr std::chrono::milliseconds kReopenFirst(100);
constexpr std::chrono::milliseconds kReopenMax(2000);
constexpr int kTriesLeft = 4;                              // To reopen the stream, before a lease is lost.
constexpr std::chrono::milliseconds kFirstDeadline(5000);  // While the time to live is not known yet.
// How long a member may say nothing: a third of the shortest time to live, within these.
constexpr std::chrono::milliseconds kSilenceMin(1000);
constexpr std::chrono::milliseconds kSilenceMax(3000);

}  // namespace

Status KeepAliveState::status() const {
  const std::lock_guard lock(mutex_);
  return end_.value_or(absl::OkStatus());
}

Status KeepAliveState::Wait() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return told_; });
  return *end_;
}

void KeepAliveState::End(const Status& why) {
  {
    const std::lock_guard lock(mutex_);
    if (end_) return;
    end_ = why;
  }
  // Who waits comes last: he may ask for the others.
  ended_.request_stop();
  const std::lock_guard lock(mutex_);
  told_ = true;
  changed_.notify_all();
}

LeaseKeeper::LeaseKeeper(Core* core) : core_(*core), pause_(kReopenFirst, 2 * kReopenFirst, kReopenMax) {}

void LeaseKeeper::Add(const State& state) {
  if (closed_) return state->End(closed_why_);
  const auto [it, fresh] = kept_.try_emplace(state->id);
  it->second.states.insert(state);
  if (!fresh) return;
  const auto dial = std::min(core_.options().dial_timeout, kLongest);
  it->second.ttl = dial.count() > 0 ? dial + std::chrono::seconds(1) : kFirstDeadline;
  it->second.next = Clock::now();
  it->second.deadline = Later(it->second.ttl);
  if (stream_) {
    SendDue();
  } else if (!opening_ && !pause_timer_.running()) {
    Open();
  }
  SetTimer();
}

void LeaseKeeper::Remove(const State& state) {
  const auto it = kept_.find(state->id);
  if (it == kept_.end() || it->second.states.erase(state) == 0 || !it->second.states.empty()) return;
  kept_.erase(it);
  if (kept_.empty()) Interrupt();
}

void LeaseKeeper::Close(const Status& why) {
  closed_ = true;
  closed_why_ = why;
  Interrupt();
  for (auto& [id, kept] : std::exchange(kept_, {})) {
    for (const State& state : kept.states) state->End(why);
  }
}

void LeaseKeeper::Open() {
  opening_ = std::make_shared<StreamOpening>(
      &core_, [this](StatusOr<std::shared_ptr<Endpoint>> endpoint) { Opened(std::move(endpoint)); });
  opening_->Start({}, Clock::time_point::max());
}

void LeaseKeeper::Opened(StatusOr<std::shared_ptr<Endpoint>> endpoint) {
  opening_.reset();
  if (!endpoint.ok()) return OnEnded(endpoint.status());
  token_generation_ = core_.token().generation();
  stream_ = std::make_shared<Stream>(
      &core_, kLeaseKeepAlive, *std::move(endpoint),
      Stream::Events{.message = [this](const grpc::ByteBuffer& bytes) { OnMessage(bytes); },
                     .ended = [this](const Status& status) { OnEnded(status); }});
  // A member without a leader can't renew; another one may.
  stream_->Start(/*require_leader=*/true, Clock::time_point::max());
  stream_->Read();
  heard_ = Clock::now();
  // What the last stream left unanswered, too.
  for (auto& [id, kept] : kept_) {
    kept.next = std::min(kept.next, heard_);
    kept.asked.reset();
  }
  SendDue();
  SetTimer();
}

void LeaseKeeper::Interrupt() {
  if (opening_) std::exchange(opening_, nullptr)->Cancel();
  pause_timer_.Cancel();
  timer_.Cancel();
  if (stream_) std::exchange(stream_, nullptr)->Cancel();
}

void LeaseKeeper::OnEnded(const Status& status) {
  if (stream_) {
    core_.Log("the lease stream to " + stream_->endpoint().address().url +
              " has ended: " + status.ToString());
    stream_->endpoint().Failed(Clock::now());
    if (WantsNewToken(status)) core_.token().Refused(token_generation_);
  }
  Interrupt();
  if (kept_.empty()) return;
  // Whatever the error: each lease has its deadline.
  Reopen();
  SetTimer();
}

void LeaseKeeper::Reopen() {
  auto first_lost = Clock::time_point::max();
  for (const auto& [id, kept] : kept_) first_lost = std::min(first_lost, kept.deadline);
  // Never so long that there is no time for some more tries.
  const auto patience =
      std::chrono::duration_cast<std::chrono::milliseconds>(first_lost - Clock::now()) / kTriesLeft;
  const auto pause = pause_.Next(core_.options().retry_jitter, core_.Random());
  core_.loop().Set(&pause_timer_, std::min(pause, std::max(patience, kReopenFirst)), [this] { Open(); });
}

void LeaseKeeper::OnMessage(const grpc::ByteBuffer& bytes) {
  etcdserverpb::LeaseKeepAliveResponse response;
  if (const Status status = FromBytes(bytes, &response); !status.ok()) return OnEnded(status);
  pause_.Reset();
  heard_ = Clock::now();
  stream_->endpoint().Answered();
  stream_->Read();
  const auto it = kept_.find(response.id());
  if (it == kept_.end()) return;
  if (response.ttl() <= 0) return End(response.id(), NotFound("etcdserver: requested lease not found"));
  Kept& kept = it->second;
  kept.ttl = std::min<std::chrono::seconds>(std::chrono::seconds(response.ttl()),
                                            std::chrono::duration_cast<std::chrono::seconds>(kLongest));
  kept.next = heard_ + kept.ttl / 3;
  // The server counts from some time after that. The answer to a request that was repeated says nothing new.
  if (kept.asked) kept.deadline = *kept.asked + kept.ttl;
  kept.asked.reset();
  for (const State& state : std::set<State>(kept.states)) state->OnRenewed(response);
  SetTimer();
}

void LeaseKeeper::SendDue() {
  const auto now = Clock::now();
  for (auto& [id, kept] : kept_) {
    if (kept.next > now) continue;
    etcdserverpb::LeaseKeepAliveRequest request;
    request.set_id(id);
    stream_->Write(ToBytes(request));
    kept.next = now + kResendAfter;
    if (!kept.asked) kept.asked = now;
  }
}

void LeaseKeeper::DropOverdue() {
  const auto now = Clock::now();
  std::vector<int64_t> overdue;
  for (const auto& [id, kept] : kept_) {
    if (kept.deadline <= now) overdue.push_back(id);
  }
  for (const int64_t id : overdue) {
    End(id, MakeStatus(absl::StatusCode::kDeadlineExceeded,
                       "the lease could not be renewed for its whole time to live: it may have run out"));
  }
}

// A stopped process, a lost host: gRPC's pings take longer to find out than a short lease lives. Without
// another member to go to, waiting is better than asking anew.
bool LeaseKeeper::Silent() const {
  auto patience = kSilenceMax;
  std::optional<Clock::time_point> asked;
  for (const auto& [id, kept] : kept_) {
    patience = std::min(patience, std::max(kept.ttl / 3, kSilenceMin));
    if (kept.asked) asked = std::min(asked.value_or(*kept.asked), *kept.asked);
  }
  return asked && std::max(*asked, heard_) + patience <= Clock::now() &&
         core_.balancer().HasOther(stream_->endpoint());
}

// Looks for silence as often as what is not answered is sent again.
void LeaseKeeper::OnTimer() {
  DropOverdue();
  if (stream_ && Silent()) return OnEnded(Unavailable("the member does not answer"));
  if (stream_) SendDue();
  SetTimer();
}

void LeaseKeeper::SetTimer() {
  if (kept_.empty()) return;
  auto first = Clock::time_point::max();
  for (const auto& [id, kept] : kept_)
    first = std::min({first, kept.deadline, stream_ ? kept.next : kept.deadline});
  core_.loop().Set(&timer_, first, [this] { OnTimer(); });
}

void LeaseKeeper::End(int64_t id, const Status& why) {
  const auto kept = kept_.extract(id);
  for (const State& state : kept.mapped().states) state->End(why);
  if (kept_.empty()) Interrupt();
}

}  // namespace quorate::client
