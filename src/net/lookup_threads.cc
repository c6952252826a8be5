#include "net/lookup_threads.h"

#include <deque>
#include <mutex>
#include <thread>
#include <utility>

namespace quorate::net {

struct LookupThreads::State {
  struct Job {
    std::function<void()> work;
    std::shared_ptr<std::function<void()>> done;
  };

  // On a thread of its own: works until nothing waits.
  static void Serve(const std::shared_ptr<State>& state) {
    std::unique_lock lock(state->mutex);
    while (!state->waiting.empty() && state->loop != nullptr) {
      Job job = std::move(state->waiting.front());
      state->waiting.pop_front();
      lock.unlock();
      job.work();
      job.work = nullptr;
      lock.lock();
      if (state->loop == nullptr) break;
      state->loop->Post([weak = std::weak_ptr<State>(state), done = std::move(job.done)] {
        const std::shared_ptr<State> alive = weak.lock();
        if (alive != nullptr && alive->open) (*done)();
      });
    }
    --state->threads;
  }

  bool open = true;  // Loop's thread only.

  std::mutex mutex;  // Guards what follows.
  Loop* loop = nullptr;
  std::deque<Job> waiting;
  size_t threads = 0;
};

LookupThreads::LookupThreads(Loop* loop) : state_(std::make_shared<State>()) { state_->loop = loop; }

LookupThreads::~LookupThreads() {
  state_->open = false;
  std::deque<State::Job> dropped;
  const std::lock_guard lock(state_->mutex);
  state_->loop = nullptr;
  dropped.swap(state_->waiting);
}

bool LookupThreads::Run(std::function<void()> work, std::function<void()> done) {
  bool start = false;
  {
    const std::lock_guard lock(state_->mutex);
    if (state_->waiting.size() >= kWaitingMax) return false;
    state_->waiting.push_back({std::move(work), std::make_shared<std::function<void()>>(std::move(done))});
    start = state_->threads < kThreadsMax;
    if (start) ++state_->threads;
  }
  if (start) std::thread(&State::Serve, state_).detach();
  return true;
}

}  // namespace quorate::net
