#include "client/loop.h"

#include <utility>

namespace quorate::client {
namespace {

thread_local const Loop* running_loop = nullptr;

}  // namespace

gpr_timespec ToGrpc(Clock::time_point time) {
  if (time == Clock::time_point::max()) return gpr_inf_future(GPR_CLOCK_MONOTONIC);
  const auto left = std::chrono::duration_cast<std::chrono::nanoseconds>(time - Clock::now());
  return gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC), gpr_time_from_nanos(left.count(), GPR_TIMESPAN));
}

void Timer::Cancel() {
  if (!state_) return;
  state_->task = nullptr;
  state_->alarm.Cancel();
  state_.reset();
}

Loop::Loop() : thread_([this] { Run(); }) {}

Loop::~Loop() {
  if (thread_.joinable()) Stop([] {});
}

bool Loop::InLoop() const { return running_loop == this; }

bool Loop::Post(Task task) {
  const std::lock_guard lock(mutex_);
  if (closed_) return false;
  tasks_.push_back(std::move(task));
  if (!woken_) {
    woken_ = true;
    Wake();
  }
  return true;
}

// Under mutex_, so that the queue is not shut down meanwhile.
void Loop::Wake() {
  auto alarm = std::make_shared<grpc::Alarm>();
  grpc::Alarm* const set = alarm.get();
  set->Set(&queue_, gpr_time_0(GPR_CLOCK_REALTIME),
           Tag([this, alarm = std::move(alarm)](bool) { RunTasks(); }));
}

// Counted when it is whole: how gRPC hands it to the loop's thread ThreadSanitizer can't see, but it sees
// that this thread lowers the count before it runs the handler.
void* Loop::Tag(std::function<void(bool)> handler) {
  auto* const tag = new Handler(std::move(handler));
  ++outstanding_;
  return tag;
}

void Loop::Set(Timer* timer, Clock::time_point when, Task task) {
  timer->Cancel();
  auto state = std::make_shared<Timer::State>();
  state->task = std::move(task);
  timer->state_ = state;
  grpc::Alarm& alarm = state->alarm;
  alarm.Set(&queue_, ToGrpc(when), Tag([state = std::move(state)](bool) {
    // The task may set or destroy the timer.
    if (const Task due = std::exchange(state->task, nullptr)) due();
  }));
}

void Loop::RunTasks() {
  std::vector<Task> tasks;
  {
    const std::lock_guard lock(mutex_);
    tasks.swap(tasks_);
    woken_ = false;
  }
  for (Task& task : tasks) {
    task();
    task = nullptr;
  }
}

void Loop::Stop(Task last) {
  Post([this, last = std::move(last)] {
    last();
    stopping_ = true;
  });
  thread_.join();
}

void Loop::Run() {
  running_loop = this;
  void* tag = nullptr;
  bool ok = false;
  while (queue_.Next(&tag, &ok)) {
    const std::unique_ptr<Handler> handler(static_cast<Handler*>(tag));
    --outstanding_;
    (*handler)(ok);
    if (!stopping_) continue;
    const std::lock_guard lock(mutex_);
    if (outstanding_ == 0 && tasks_.empty() && !closed_) {
      closed_ = true;
      queue_.Shutdown();
    }
  }
}

}  // namespace quorate::client
