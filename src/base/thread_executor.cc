#include "base/thread_executor.h"

#include <pthread.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

namespace quorate {
namespace {

struct LaneThreads {
  Lane lane;
  const char* name;  // As `top -H` shows it; 15 bytes at most.
  // Where cores are short, requests go before what nobody waits for: a batch that is written some
  // milliseconds later costs nothing, a core's thread that waits for it costs every request.
  int nice;
};

constexpr LaneThreads kLaneThreads[] = {{Lane::kLog, "quorate-log", 0},
                                        {Lane::kDb, "quorate-db", 5},
                                        {Lane::kRead, "quorate-read", 0},
                                        {Lane::kBackground, "quorate-back", 10}};

// Both are conveniences: where they are refused the thread works as it is.
void Dress(const LaneThreads& threads) {
  pthread_setname_np(pthread_self(), threads.name);
  if (threads.nice != 0) setpriority(PRIO_PROCESS, static_cast<id_t>(gettid()), threads.nice);
}

}  // namespace

ThreadExecutor::ThreadExecutor(size_t readers, std::function<void()> wake) : wake_(std::move(wake)) {
  for (const LaneThreads& threads : kLaneThreads) {
    Queue& queue = queues_[static_cast<size_t>(threads.lane)];
    const size_t count = threads.lane == Lane::kRead ? std::max<size_t>(readers, 1) : 1;
    for (size_t i = 0; i < count; ++i) {
      threads_.emplace_back([this, &queue, &threads] {
        Dress(threads);
        Serve(queue);
      });
    }
  }
}

ThreadExecutor::~ThreadExecutor() { Shutdown(); }

void ThreadExecutor::Submit(Lane lane, std::function<void()> work, std::function<void()> done) {
  Queue& queue = queues_[static_cast<size_t>(lane)];
  bool wake_worker;
  {
    std::lock_guard lock(queue.mutex);
    if (queue.stopped) return;
    queue.jobs.push_back({std::move(work), std::move(done)});
    wake_worker = queue.idle > 0;
  }
  // A busy worker looks at the queue again before it waits, so a burst of jobs costs one wakeup.
  if (wake_worker) queue.ready.notify_one();
}

void ThreadExecutor::Serve(Queue& queue) {
  for (;;) {
    Job job;
    {
      std::unique_lock lock(queue.mutex);
      ++queue.idle;
      queue.ready.wait(lock, [&] { return queue.stopped || !queue.jobs.empty(); });
      --queue.idle;
      if (queue.stopped) return;
      job = std::move(queue.jobs.front());
      queue.jobs.pop_front();
    }
    job.work();
    job.work = nullptr;
    Complete(std::move(job.done));
  }
}

void ThreadExecutor::Complete(std::function<void()> done) {
  bool first;
  {
    std::lock_guard lock(completed_mutex_);
    first = completed_.empty();
    completed_.push_back(std::move(done));
  }
  if (first && wake_) wake_();
}

size_t ThreadExecutor::RunCompletions() {
  std::vector<std::function<void()>> batch;
  {
    std::lock_guard lock(completed_mutex_);
    batch.swap(completed_);
  }
  for (const std::function<void()>& done : batch) {
    if (done) done();
  }
  return batch.size();
}

void ThreadExecutor::Shutdown() {
  for (Queue& queue : queues_) {
    std::deque<Job> dropped;  // Destroyed outside the lock.
    {
      std::lock_guard lock(queue.mutex);
      queue.stopped = true;
      dropped.swap(queue.jobs);
    }
    queue.ready.notify_all();
  }
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
}

}  // namespace quorate
