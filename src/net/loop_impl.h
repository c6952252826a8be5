// The inside of Loop, for the files of this folder that own sockets.
#pragma once

#include <atomic>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <thread>
#include <unordered_map>
#include <vector>

#include "net/loop.h"
#include "net/timer_heap.h"

namespace quorate::net {

// Like Loop::now(), but of this moment: for measuring work, where the time of the round is too coarse.
int64_t MonotonicNanos();

// Told by the loop, once a round, that a descriptor became ready. Asio's handlers only note readiness; the
// work happens afterwards, when now() is fresh and everything that is ready is known.

class ReadyTarget {
 public:
  virtual ~ReadyTarget() = default;
  virtual void OnReady() = 0;

 private:
  friend class LoopImpl;
  bool heavy_ = false;  // Its last turn took long: see LoopImpl::TakeTurns.
};

class LoopImpl {
 public:
  LoopImpl();
  ~LoopImpl();

  void Run();
  void RunRound(bool wait);
  void Stop();
  void Post(Loop::Task task);
  Loop::TimerId AddTimer(Loop::Nanos delay, Loop::Nanos interval, Loop::Task task);
  void CancelTimer(Loop::TimerId id);
  Loop::HookId AddHook(Loop::Stage stage, Loop::Task hook);
  void RemoveHook(Loop::HookId id);
  bool InLoopThread() const;

  boost::asio::io_context& io() { return io_; }
  int64_t now() const { return now_; }
  void SetTimer(Timer* timer, int64_t when) { timers_.Set(timer, when); }
  void CancelTimer(Timer* timer) { timers_.Cancel(timer); }
  void NoteReady(std::shared_ptr<ReadyTarget> target) { ready_.push_back(std::move(target)); }
  // The next round does not wait: there is work left.
  void SkipNextWait() { skip_wait_ = true; }
  // Kept until the loop is destroyed: what stale handles may still look at.
  void Keep(std::shared_ptr<void> what) { kept_.push_back(std::move(what)); }

 private:
  struct TaskTimer {
    Timer timer;
    Loop::TimerId id = 0;
    int64_t interval = 0;
    Loop::Task task;
    LoopImpl* loop = nullptr;
  };
  struct Hook {
    Loop::HookId id;
    Loop::Stage stage;
    std::shared_ptr<Loop::Task> task;  // Null once removed; shared so that a hook may remove itself.
  };

  static void FireTaskTimer(void* context);
  void Wait(bool wait);
  void TakeTurns();
  void RunTasks();
  void RunHooks();
  void ArmWakeTimer();
  void WatchEventFd();
  void Wake();

  boost::asio::io_context io_;
  boost::asio::posix::stream_descriptor event_fd_;
  boost::asio::steady_timer wake_timer_;
  int64_t wake_at_ = INT64_MAX;  // When wake_timer_ goes off.
  int64_t now_ = 0;
  bool skip_wait_ = false;
  std::atomic<std::thread::id> thread_;
  std::vector<std::shared_ptr<ReadyTarget>> ready_;
  std::vector<std::shared_ptr<ReadyTarget>> ready_now_;
  std::deque<std::shared_ptr<ReadyTarget>> heavy_;  // Ready, and waiting for a turn.
  TimerHeap timers_;
  Loop::TimerId next_timer_id_ = 1;
  std::unordered_map<Loop::TimerId, std::unique_ptr<TaskTimer>> task_timers_;
  Loop::HookId next_hook_id_ = 1;
  std::vector<Hook> hooks_;
  std::vector<Loop::Task> tasks_now_;
  std::vector<std::shared_ptr<void>> kept_;

  std::mutex mutex_;  // Guards what follows.
  std::vector<Loop::Task> tasks_;
  bool sleeping_ = false;   // The loop's thread waits, or is about to.
  bool wake_sent_ = false;  // event_fd_ was written since it went to sleep.
  bool stop_ = false;
};

}  // namespace quorate::net
