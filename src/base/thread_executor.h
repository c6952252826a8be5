// The Executor of the running server: one thread for each of kLog, kDb and kBackground, several for kRead.
#pragma once

#include <array>
#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "base/env.h"

namespace quorate {

// Submit, RunCompletions and Shutdown belong to the owner's thread.
// Invariants:
//   1. `done` runs only inside RunCompletions(), and for one lane of one thread in the order of submission.
//   2. `wake` is called once for each time the completion queue goes from empty to not empty.
class ThreadExecutor final : public Executor {
 public:
  // `wake` is called on a worker's thread and must be cheap and thread-safe (an eventfd write).
  ThreadExecutor(size_t readers, std::function<void()> wake);
  ~ThreadExecutor() override;
  ThreadExecutor(const ThreadExecutor&) = delete;
  ThreadExecutor& operator=(const ThreadExecutor&) = delete;

  // After Shutdown() the job is dropped.
  void Submit(Lane lane, std::function<void()> work, std::function<void()> done) override;

  // Runs the `done` of every job completed so far, none of those completed while it runs. Returns their
  // number.
  size_t RunCompletions();

  // Lets running jobs end, drops those not begun, joins the threads. What has completed can still be
  // collected by RunCompletions(). May be called again.
  void Shutdown();

 private:
  struct Job {
    std::function<void()> work;
    std::function<void()> done;
  };
  struct Queue {
    std::mutex mutex;
    std::condition_variable ready;
    std::deque<Job> jobs;  // Under mutex.
    size_t idle = 0;       // Threads waiting on `ready`; under mutex.
    bool stopped = false;  // Under mutex.
  };

  void Serve(Queue& queue);
  void Complete(std::function<void()> done);

  const std::function<void()> wake_;
  std::array<Queue, 4> queues_;  // By Lane.
  std::mutex completed_mutex_;
  std::vector<std::function<void()>> completed_;  // Under completed_mutex_.
  std::vector<std::thread> threads_;
};

}  // namespace quorate
