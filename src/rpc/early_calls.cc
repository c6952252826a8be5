#include "rpc/early_calls.h"

#include <utility>

#include "auth/simple_tokens.h"

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

std::optional<uint64_t> EarlyCalls::IndexOf(std::string_view token, size_t bytes) const {
  if (member_.auth().Knows(token)) return std::nullopt;
  const std::optional<uint64_t> index = auth::SimpleTokens::Index(token);
  const uint64_t applied = member_.applied_index();
  if (!index || *index <= applied || *index - applied > kAheadMax) return std::nullopt;
  if (waiting_.size() >= kWaitingMax || bytes_ + bytes > kWaitingBytesMax) return std::nullopt;
  return index;
}

void EarlyCalls::Wait(uint64_t index, size_t bytes, std::function<void()> serve) {
  bytes_ += bytes;
  waiting_.push_back(
      {index, member_.now() + member_.config().request_timeout_nanos(), bytes, std::move(serve)});
}

void EarlyCalls::EndOfRound() {
  for (size_t left = waiting_.size(); left > 0; --left) {
    Waiting next = std::move(waiting_.front());
    waiting_.pop_front();
    if (next.index > member_.applied_index() && member_.now() < next.until_nanos) {
      waiting_.push_back(std::move(next));
      continue;
    }
    bytes_ -= next.bytes;
    next.serve();
  }
}

EarlyStream::EarlyStream(net::StreamCall call, Make make, std::function<void(net::Code)> closed)
    : call_(call), make_(std::move(make)), closed_(std::move(closed)) {}

std::function<void()> EarlyStream::Serve() {
  return [this, alive = std::weak_ptr(alive_)] {
    if (!alive.expired()) Begin();
  };
}

void EarlyStream::Begin() {
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
