#include "rpc/early_calls.h"

#include <utility>

#include "auth/simple_tokens.h"
#include "rpc/peer_host.h"

namespace quorate::rpc {
namespace {

constexpr size_t kWaitingMax = 1000;
constexpr size_t kWaitingBytesMax = size_t{16} << 20;
constexpr size_t kStreamBytesMax = size_t{64} << 10;
// A login is that far ahead at most; an index beyond is made up.
constexpr uint64_t kAheadMax = 10'000;

}  // namespace

EarlyCalls::EarlyCalls(server::Member* member, net::Loop* loop) : member_(*member), loop_(*loop) {
  // After the round's entries were applied.
  hook_ = loop_.AddEndOfRound(net::Loop::Stage::kNet, [this] { EndOfRound(); });
}

EarlyCalls::~EarlyCalls() { loop_.RemoveEndOfRound(hook_); }

std::optional<EarlyCalls::Place> EarlyCalls::PlaceFor(std::string_view token, std::string_view peer,
                                                      size_t bytes) const {
  if (member_.auth().Knows(token)) return std::nullopt;
  const std::optional<uint64_t> index = auth::SimpleTokens::Index(token);
  const uint64_t applied = member_.applied_index();
  if (!index || *index <= applied || *index - applied > kAheadMax) return std::nullopt;
  const std::string_view host = HostOf(peer);
  const auto found = shares_.find(host);
  const Share own = found == shares_.end() ? Share() : found->second;
  if (own.calls >= kWaitingMax - waiting_.size()) return std::nullopt;
  if (own.bytes + bytes > kWaitingBytesMax - bytes_) return std::nullopt;
  return Place{*index, std::string(host), bytes};
}

void EarlyCalls::Wait(Place place, std::function<void()> serve) {
  Share& share = shares_[place.host];
  ++share.calls;
  share.bytes += place.bytes;
  bytes_ += place.bytes;
  waiting_.push_back(
      {std::move(place), member_.now() + member_.config().request_timeout_nanos(), std::move(serve)});
}

void EarlyCalls::GiveBack(const Place& place) {
  bytes_ -= place.bytes;
  const auto share = shares_.find(place.host);
  share->second.bytes -= place.bytes;
  if (--share->second.calls == 0) shares_.erase(share);
}

void EarlyCalls::EndOfRound() {
  const uint64_t applied = member_.applied_index();
  const int64_t now = member_.now();
  if (waiting_.empty() || (applied == looked_at_ && now < waiting_.front().until_nanos)) return;
  looked_at_ = applied;
  const size_t before = waiting_.size();
  for (size_t left = before; left > 0; --left) {
    Waiting next = std::move(waiting_.front());
    waiting_.pop_front();
    if (next.place.index > applied && now < next.until_nanos) {
      waiting_.push_back(std::move(next));
      continue;
    }
    GiveBack(next.place);
    next.serve();
  }
  // Servers and member have had their turn of this round: what was answered or proposed wants another.
  if (waiting_.size() != before) loop_.Post([] {});
}

EarlyStream::EarlyStream(net::StreamCall call, Make make, std::function<void(net::Code)> closed)
    : call_(call), make_(std::move(make)), closed_(std::move(closed)) {}

std::function<void()> EarlyStream::Serve() {
  return [this, alive = std::weak_ptr(alive_)] {
    if (!alive.expired()) Begin();
  };
}

void EarlyStream::Begin() {
  if (call_.closed()) return;
  const std::weak_ptr<char> alive = alive_;
  handler_ = make_();
  while (!alive.expired() && handler_ != nullptr && !messages_.empty() && !call_.closed()) {
    const std::string message = std::move(messages_.front());
    messages_.pop_front();
    handler_->OnMessage(message);
  }
  if (!alive.expired() && handler_ != nullptr && half_closed_ && !call_.closed()) handler_->OnHalfClose();
}

void EarlyStream::OnMessage(std::string_view message) {
  if (handler_ != nullptr) return handler_->OnMessage(message);
  bytes_ += message.size() + sizeof(std::string);
  if (bytes_ > kStreamBytesMax) {
    closed_(net::Code::kResourceExhausted);
    return call_.Finish(net::Code::kResourceExhausted,
                        "etcdserver: too many requests before the login of the token is applied here");
  }
  messages_.emplace_back(message);
}

void EarlyStream::OnHalfClose() {
  half_closed_ = true;
  if (handler_ != nullptr) handler_->OnHalfClose();
}

void EarlyStream::OnClosed(net::Code reason) {
  handler_ != nullptr ? handler_->OnClosed(reason) : closed_(reason);
}

void EarlyStream::OnWritable() {
  if (handler_ != nullptr) handler_->OnWritable();
}

}  // namespace quorate::rpc
