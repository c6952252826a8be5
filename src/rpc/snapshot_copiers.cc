#include "rpc/snapshot_copiers.h"

#include <utility>

#include "base/check.h"

namespace quorate::rpc {

SnapshotCopiers::~SnapshotCopiers() {
  QUORATE_CHECK(running_.empty() && waiting_.empty());
  {
    const std::lock_guard lock(mutex_);
    stopped_ = true;
  }
  ready_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

void SnapshotCopiers::Request(const void* who, std::function<void()> turn) {
  if (running_.size() >= at_once_max_) {
    waiting_.push_back({who, std::move(turn)});
    return;
  }
  running_.push_back(who);
  turn();
}

void SnapshotCopiers::GiveBack(const void* who) {
  std::erase_if(waiting_, [who](const Waiting& waiting) { return waiting.who == who; });
  if (std::erase(running_, who) == 0 || waiting_.empty()) return;
  const Waiting next = std::move(waiting_.front());
  waiting_.pop_front();
  running_.push_back(next.who);
  next.turn();
}

void SnapshotCopiers::Run(std::function<void()> copy) {
  bool grow = false;
  {
    const std::lock_guard lock(mutex_);
    copies_.push_back(std::move(copy));
    grow = copies_.size() > idle_ && threads_.size() < at_once_max_;
  }
  if (grow) threads_.emplace_back([this] { Serve(); });
  ready_.notify_one();
}

void SnapshotCopiers::Serve() {
  std::unique_lock lock(mutex_);
  for (;;) {
    ++idle_;
    ready_.wait(lock, [this] { return stopped_ || !copies_.empty(); });
    --idle_;
    // A copy that was not begun is of a call that has ended.
    if (stopped_) return;
    const std::function<void()> copy = std::move(copies_.front());
    copies_.pop_front();
    lock.unlock();
    copy();
    lock.lock();
  }
}

}  // namespace quorate::rpc
