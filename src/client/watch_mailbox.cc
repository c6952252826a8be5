#include "client/watch_mailbox.h"

#include <utility>

namespace quorate::client {

bool WatchMailbox::Put(etcdserverpb::WatchResponse response) {
  const std::lock_guard lock(mutex_);
  if (end_) return true;
  bytes_ += response.ByteSizeLong();
  responses_.push_back(std::move(response));
  changed_.notify_all();
  overfull_ = overfull_ || bytes_ > bytes_max_;
  return !overfull_;
}

void WatchMailbox::End(Status why, etcdserverpb::WatchResponse last) {
  const std::lock_guard lock(mutex_);
  if (end_) return;
  end_ = std::move(why);
  last_ = std::move(last);
  changed_.notify_all();
}

void WatchMailbox::Abandon(Status why) {
  const std::lock_guard lock(mutex_);
  responses_.clear();
  bytes_ = 0;
  if (!end_) end_ = std::move(why);
  changed_.notify_all();
}

std::optional<StatusOr<etcdserverpb::WatchResponse>> WatchMailbox::Take(
    std::optional<std::chrono::steady_clock::time_point> until) {
  std::unique_lock lock(mutex_);
  const auto something = [this] { return !responses_.empty() || end_; };
  if (!until) {
    changed_.wait(lock, something);
  } else if (!changed_.wait_until(lock, *until, something)) {
    return std::nullopt;
  }
  if (responses_.empty()) return *end_;
  etcdserverpb::WatchResponse response = std::move(responses_.front());
  responses_.pop_front();
  bytes_ -= response.ByteSizeLong();
  const bool drained = overfull_ && bytes_ <= bytes_max_ / 2;
  if (drained) overfull_ = false;
  lock.unlock();
  if (drained) drained_();
  return response;
}

etcdserverpb::WatchResponse WatchMailbox::last() const {
  const std::lock_guard lock(mutex_);
  return last_;
}

}  // namespace quorate::client
