// One thread's event loop, in rounds: wait for one ready event, drain everything that is ready, run posted
// tasks, then the end-of-round hooks (kServer before kNet). A round is the unit of batching: requests of all
// ready connections are read first, the server flushes once, each connection is written once.
//
// Threads: the thread inside Run() is the loop's thread. Post and Stop may be called from any thread,
// everything else from the loop's thread, or from the thread that builds the loop before Run().
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>

namespace quorate::net {

class LoopImpl;

class Loop {
 public:
  using Task = std::function<void()>;
  using Nanos = std::chrono::nanoseconds;
  using TimerId = uint64_t;  // Never reused; 0 is no timer.
  using HookId = uint64_t;

  // Within a round all kServer hooks run before all kNet hooks; within a stage the order is that of
  // registration.
  enum class Stage { kServer, kNet };

  Loop();
  // Tasks not yet run are dropped. Servers on the loop must be gone; call handles must not be used any more.
  ~Loop();
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  // Runs rounds until Stop(). May be called again after it returned.
  void Run();
  // One round: waits for an event only when `wait` and nothing is pending. For tests and for loops driven
  // from outside.
  void RunRound(bool wait);
  // Any thread. Run() returns after the round in progress.
  void Stop();

  // Any thread. Tasks run in the order posted, in the next round. Many posts wake the loop's thread once.
  void Post(Task task);

  TimerId After(Nanos delay, Task task);
  // First after one interval; an interval missed by a long round is not made up.
  TimerId Every(Nanos interval, Task task);
  // A fired, cancelled or zero id is ignored.
  void Cancel(TimerId id);

  HookId AddEndOfRound(Stage stage, Task hook);
  void RemoveEndOfRound(HookId id);

  // Monotonic nanoseconds, taken once a round.
  int64_t now() const;
  bool InLoopThread() const;

  LoopImpl* impl() { return impl_.get(); }

 private:
  std::unique_ptr<LoopImpl> impl_;
};

}  // namespace quorate::net
