#include "net/loop.h"

#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "net/loop_impl.h"

namespace quorate::net {
namespace {

// A turn of one descriptor that takes longer makes it a heavy one, until it has had a shorter one.
constexpr int64_t kHeavyTurnNanos = 1'000'000;
// What all heavy ones together get of one round. The heartbeats of the cluster and all other clients wait so
// long at most, however many connections make work (compressed bombs, handshakes) as fast as they can.
constexpr int64_t kHeavyNanosPerRound = 5'000'000;

}  // namespace

int64_t MonotonicNanos() {
  timespec t{};
  clock_gettime(CLOCK_MONOTONIC, &t);
  return int64_t{t.tv_sec} * 1'000'000'000 + t.tv_nsec;
}

// Only the loop's thread touches the io_context (other threads go through event_fd_), so it needs no locks.
LoopImpl::LoopImpl()
    : io_(BOOST_ASIO_CONCURRENCY_HINT_UNSAFE), event_fd_(io_), wake_timer_(io_), now_(MonotonicNanos()) {
  const int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  QUORATE_CHECK_MSG(fd >= 0, "eventfd: out of file descriptors; raise the limit (ulimit -n)");
  event_fd_.assign(fd);
  WatchEventFd();
}

LoopImpl::~LoopImpl() = default;

void LoopImpl::WatchEventFd() {
  event_fd_.async_wait(boost::asio::posix::stream_descriptor::wait_read,
                       [this](const boost::system::error_code& error) {
                         if (error) return;
                         uint64_t count = 0;
                         const ssize_t n = read(event_fd_.native_handle(), &count, sizeof(count));
                         QUORATE_CHECK(n == ssize_t{sizeof(count)} || n < 0);
                         WatchEventFd();
                       });
}

void LoopImpl::Run() {
  for (;;) {
    {
      std::lock_guard lock(mutex_);
      if (stop_) {
        stop_ = false;
        return;
      }
    }
    RunRound(true);
  }
}

void LoopImpl::RunRound(bool wait) {
  thread_.store(std::this_thread::get_id(), std::memory_order_relaxed);
  Wait(wait);
  now_ = MonotonicNanos();
  TakeTurns();
  timers_.FireDue(now_);
  RunTasks();
  RunHooks();
}

// First everyone who is quick, then of the others as many as there is time for, in turn; at least one.
void LoopImpl::TakeTurns() {
  ready_now_.swap(ready_);
  int64_t before = now_;
  const auto turn = [&before](ReadyTarget* target) {
    target->OnReady();
    const int64_t after = MonotonicNanos();
    const int64_t took = after - std::exchange(before, after);
    target->heavy_ = took > kHeavyTurnNanos;
    return took;
  };
  for (std::shared_ptr<ReadyTarget>& target : ready_now_) {
    if (target->heavy_) {
      heavy_.push_back(std::move(target));
    } else {
      turn(target.get());
    }
  }
  ready_now_.clear();
  for (int64_t spent = 0; !heavy_.empty() && spent < kHeavyNanosPerRound;) {
    const std::shared_ptr<ReadyTarget> target = std::move(heavy_.front());
    heavy_.pop_front();
    spent += turn(target.get());
  }
  if (!heavy_.empty()) SkipNextWait();
}

void LoopImpl::Wait(bool wait) {
  ArmWakeTimer();
  bool sleep = wait && !skip_wait_ && ready_.empty();
  skip_wait_ = false;
  if (sleep) {
    std::lock_guard lock(mutex_);
    sleep = tasks_.empty() && !stop_;
    sleeping_ = sleep;
    wake_sent_ = false;
  }
  if (sleep) {
    io_.run_one();
    std::lock_guard lock(mutex_);
    sleeping_ = false;
  }
  io_.poll();
}

// A cancelled deadline leaves the wake-up armed: one spurious round later costs less than a timerfd_settime
// for each.
void LoopImpl::ArmWakeTimer() {
  const int64_t next = timers_.next();
  if (next >= wake_at_) return;
  wake_at_ = next;
  wake_timer_.expires_at(boost::asio::steady_timer::time_point(std::chrono::nanoseconds(next)));
  wake_timer_.async_wait([this](const boost::system::error_code& error) {
    if (!error) wake_at_ = INT64_MAX;
  });
}

void LoopImpl::RunTasks() {
  {
    std::lock_guard lock(mutex_);
    tasks_now_.swap(tasks_);
  }
  for (Loop::Task& task : tasks_now_) task();
  tasks_now_.clear();
}

void LoopImpl::RunHooks() {
  for (const Loop::Stage stage : {Loop::Stage::kServer, Loop::Stage::kNet}) {
    // By index, and the function kept alive: a hook may add hooks and remove itself.
    for (size_t i = 0; i < hooks_.size(); ++i) {
      const std::shared_ptr<Loop::Task> task = hooks_[i].stage == stage ? hooks_[i].task : nullptr;
      if (task) (*task)();
    }
  }
  std::erase_if(hooks_, [](const Hook& hook) { return !hook.task; });
}

void LoopImpl::Wake() {
  const uint64_t one = 1;
  QUORATE_CHECK(write(event_fd_.native_handle(), &one, sizeof(one)) == ssize_t{sizeof(one)});
}

void LoopImpl::Stop() {
  bool wake = false;
  {
    std::lock_guard lock(mutex_);
    stop_ = true;
    wake = sleeping_ && !wake_sent_;
    wake_sent_ = wake_sent_ || wake;
  }
  if (wake) Wake();
}

void LoopImpl::Post(Loop::Task task) {
  bool wake = false;
  {
    std::lock_guard lock(mutex_);
    tasks_.push_back(std::move(task));
    wake = sleeping_ && !wake_sent_;
    wake_sent_ = wake_sent_ || wake;
  }
  if (wake) Wake();
}

void LoopImpl::FireTaskTimer(void* context) {
  auto* timer = static_cast<TaskTimer*>(context);
  LoopImpl* loop = timer->loop;
  if (timer->interval == 0) {
    const Loop::Task task = std::move(timer->task);
    loop->task_timers_.erase(timer->id);
    task();
    return;
  }
  const int64_t next = timer->timer.when + timer->interval;
  loop->timers_.Set(&timer->timer, std::max(next, loop->now_ + 1));
  // A copy: the task may cancel its own timer.
  const Loop::Task task = timer->task;
  task();
}

Loop::TimerId LoopImpl::AddTimer(Loop::Nanos delay, Loop::Nanos interval, Loop::Task task) {
  auto timer = std::make_unique<TaskTimer>();
  timer->id = next_timer_id_++;
  timer->interval = interval.count();
  timer->task = std::move(task);
  timer->loop = this;
  timer->timer.fire = &LoopImpl::FireTaskTimer;
  timer->timer.context = timer.get();
  timers_.Set(&timer->timer, MonotonicNanos() + std::max<int64_t>(delay.count(), 0));
  const Loop::TimerId id = timer->id;
  task_timers_.emplace(id, std::move(timer));
  return id;
}

void LoopImpl::CancelTimer(Loop::TimerId id) {
  auto it = task_timers_.find(id);
  if (it == task_timers_.end()) return;
  timers_.Cancel(&it->second->timer);
  task_timers_.erase(it);
}

Loop::HookId LoopImpl::AddHook(Loop::Stage stage, Loop::Task hook) {
  hooks_.push_back({next_hook_id_, stage, std::make_shared<Loop::Task>(std::move(hook))});
  return next_hook_id_++;
}

void LoopImpl::RemoveHook(Loop::HookId id) {
  for (Hook& hook : hooks_) {
    if (hook.id == id) hook.task = nullptr;
  }
}

bool LoopImpl::InLoopThread() const {
  return thread_.load(std::memory_order_relaxed) == std::this_thread::get_id();
}

Loop::Loop() : impl_(std::make_unique<LoopImpl>()) {}
Loop::~Loop() = default;
void Loop::Run() { impl_->Run(); }
void Loop::RunRound(bool wait) { impl_->RunRound(wait); }
void Loop::Stop() { impl_->Stop(); }
void Loop::Post(Task task) { impl_->Post(std::move(task)); }
Loop::TimerId Loop::After(Nanos delay, Task task) {
  return impl_->AddTimer(delay, Nanos(0), std::move(task));
}
Loop::TimerId Loop::Every(Nanos interval, Task task) {
  QUORATE_CHECK(interval.count() > 0);
  return impl_->AddTimer(interval, interval, std::move(task));
}
void Loop::Cancel(TimerId id) { impl_->CancelTimer(id); }
Loop::HookId Loop::AddEndOfRound(Stage stage, Task hook) { return impl_->AddHook(stage, std::move(hook)); }
void Loop::RemoveEndOfRound(HookId id) { impl_->RemoveHook(id); }
int64_t Loop::now() const { return impl_->now(); }
bool Loop::InLoopThread() const { return impl_->InLoopThread(); }

}  // namespace quorate::net
