// The threads behind Maintenance.Snapshot. A copy waits while its client is slow, so it must not stand in the
// way of the shared readers; and it pins the pages of its state, so there are only so many at once. Further
// ones wait their turn and pin nothing yet.
//
// Core thread only. Invariants: 1. running copies never outnumber at_once_max; 2. turns come in the order of
// the requests.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace quorate::rpc {

class SnapshotCopiers {
 public:
  explicit SnapshotCopiers(size_t at_once_max) : at_once_max_(at_once_max) {}
  // Every place has been given back, and every copy told to end: waits until they have.
  ~SnapshotCopiers();
  SnapshotCopiers(const SnapshotCopiers&) = delete;
  SnapshotCopiers& operator=(const SnapshotCopiers&) = delete;

  // Calls `turn` when `who` may copy: within this call, or within a later GiveBack of another's.
  void Request(const void* who, std::function<void()> turn);
  // `who` is done, or no longer waits. Does nothing for one who neither runs nor waits.
  void GiveBack(const void* who);
  // Runs `copy` on a thread of its own; once for each turn. After GiveBack a copy may still be ending, and
  // the next then begins after it.
  void Run(std::function<void()> copy);

  size_t running() const { return running_.size(); }
  size_t waiting() const { return waiting_.size(); }

 private:
  void Serve();

  const size_t at_once_max_;
  struct Waiting {
    const void* who;
    std::function<void()> turn;
  };
  std::deque<Waiting> waiting_;
  std::vector<const void*> running_;
  std::vector<std::thread> threads_;

  std::mutex mutex_;
  std::condition_variable ready_;
  std::deque<std::function<void()>> copies_;  // Under mutex_, as the rest.
  size_t idle_ = 0;                           // Threads that wait for a copy.
  bool stopped_ = false;
};

}  // namespace quorate::rpc
