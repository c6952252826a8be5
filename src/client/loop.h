// The client's one thread: a gRPC completion queue, timers on it, and tasks that others hand in.
//
// Everything private of this folder lives on it and needs no locks: "loop thread" in a comment is this one.
// L1: a handler or task runs exactly once, on the loop thread; a timer's task at most once.
// L2: the thread ends only after everything that was started on the queue has come back.
#pragma once

#include <grpc/support/time.h>
#include <grpcpp/alarm.h>
#include <grpcpp/completion_queue.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

namespace quorate::client {

// Not the system's: a lease must not be given up because somebody sets the clock.
using Clock = std::chrono::steady_clock;

// time_point::max() is "never".
gpr_timespec ToGrpc(Clock::time_point time);

// Destroying it cancels. Loop thread.
class Timer {
 public:
  Timer() = default;
  ~Timer() { Cancel(); }
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;

  void Cancel();
  bool running() const { return state_ && state_->task; }

 private:
  friend class Loop;
  struct State {
    grpc::Alarm alarm;
    std::function<void()> task;
  };
  std::shared_ptr<State> state_;
};

class Loop {
 public:
  using Task = std::function<void()>;

  Loop();
  // Stop must have returned.
  ~Loop();

  // Any thread. False when the loop has ended; the task is dropped then.
  bool Post(Task task);
  bool InLoop() const;

  // Runs `last` on the loop, which must end all that is under way, then waits until it has ended. Not from
  // the loop.
  void Stop(Task last);

  // Loop thread from here on.
  grpc::CompletionQueue* queue() { return &queue_; }
  // For one operation on the queue, which must be started.
  void* Tag(std::function<void(bool ok)> handler);
  // Replaces what the timer was set to.
  void Set(Timer* timer, Clock::time_point when, Task task);
  void Set(Timer* timer, std::chrono::milliseconds after, Task task) {
    Set(timer, Clock::now() + after, std::move(task));
  }

 private:
  using Handler = std::function<void(bool ok)>;

  void Run();
  void RunTasks();
  void Wake();

  grpc::CompletionQueue queue_;
  std::atomic<size_t> outstanding_ = 0;  // Operations on the queue.

  std::mutex mutex_;
  std::vector<Task> tasks_;  // This and the two below under mutex_.
  bool woken_ = false;       // A wake-up is on its way.
  bool closed_ = false;

  bool stopping_ = false;  // Loop thread.
  std::thread thread_;
};

}  // namespace quorate::client
