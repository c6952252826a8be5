#include "backup/disk_executor.h"

#include <pthread.h>
#include <sys/resource.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <utility>

#include "base/check.h"
#include "base/logging.h"

namespace quorate::backup {
namespace {

// What a disk that works needs to end one piece.
constexpr std::chrono::seconds kGrace(2);

struct LaneThread {
  Lane lane;
  const char* name;  // As `top -H` shows it.
  int nice;          // Where cores are short, requests go first.
  bool may_hang;
};
constexpr std::array<LaneThread, 3> kThreads = {{{Lane::kLog, "backup-log", 5, true},
                                                 {Lane::kBackground, "backup-disk", 10, true},
                                                 {Lane::kRead, "backup-read", 10, false}}};

size_t PlaceOf(Lane lane) {
  size_t at = 0;
  while (at < kThreads.size() && kThreads[at].lane != lane) ++at;
  QUORATE_CHECK_MSG(at < kThreads.size(), "a lane that backups have no thread for");
  return at;
}

}  // namespace

struct DiskExecutor::Shared {
  struct Job {
    std::function<void()> work;
    std::function<void()> done;
  };

  std::function<void()> wake;
  std::shared_ptr<void> kept_alive;
  std::mutex mutex;  // Of all below.
  std::condition_variable changed;
  std::array<std::deque<Job>, kThreads.size()> jobs;
  std::array<bool, kThreads.size()> ended{};
  std::vector<std::function<void()>> completed;
  bool stopped = false;

  bool AllEnded(bool those_that_may_hang) const {
    for (size_t at = 0; at < kThreads.size(); ++at) {
      if (!ended[at] && (those_that_may_hang || !kThreads[at].may_hang)) return false;
    }
    return true;
  }
};

DiskExecutor::DiskExecutor(std::function<void()> wake, std::shared_ptr<void> kept_alive)
    : shared_(std::make_shared<Shared>()) {
  shared_->wake = std::move(wake);
  shared_->kept_alive = std::move(kept_alive);
  for (size_t at = 0; at < kThreads.size(); ++at) {
    threads_.emplace_back([shared = shared_, at] { Serve(shared, at); });
  }
}

DiskExecutor::~DiskExecutor() {
  std::array<std::deque<Shared::Job>, kThreads.size()> dropped;  // Destroyed outside the lock.
  std::vector<std::function<void()>> unheard;
  std::unique_lock lock(shared_->mutex);
  shared_->stopped = true;
  dropped.swap(shared_->jobs);
  unheard.swap(shared_->completed);
  shared_->changed.notify_all();
  shared_->changed.wait(lock, [this] { return shared_->AllEnded(false); });
  shared_->changed.wait_for(lock, kGrace, [this] { return shared_->AllEnded(true); });
  const std::array<bool, kThreads.size()> ended = shared_->ended;
  lock.unlock();
  for (size_t at = 0; at < threads_.size(); ++at) {
    if (ended[at]) {
      threads_[at].join();
      continue;
    }
    LOG_WARN("the disk of backups does not answer; its thread is left behind",
             {"thread", std::string_view(kThreads[at].name)});
    threads_[at].detach();
  }
}

void DiskExecutor::Submit(Lane lane, std::function<void()> work, std::function<void()> done) {
  const size_t at = PlaceOf(lane);
  const std::lock_guard lock(shared_->mutex);
  shared_->jobs[at].push_back({std::move(work), std::move(done)});
  shared_->changed.notify_all();
}

void DiskExecutor::Serve(const std::shared_ptr<Shared>& shared, size_t at) {
  pthread_setname_np(pthread_self(), kThreads[at].name);
  // A convenience: where it is refused the thread works as it is.
  setpriority(PRIO_PROCESS, static_cast<id_t>(gettid()), kThreads[at].nice);
  std::unique_lock lock(shared->mutex);
  for (;;) {
    shared->changed.wait(lock, [&] { return shared->stopped || !shared->jobs[at].empty(); });
    if (shared->stopped) break;
    Shared::Job job = std::move(shared->jobs[at].front());
    shared->jobs[at].pop_front();
    lock.unlock();
    job.work();
    job.work = nullptr;
    lock.lock();
    if (shared->stopped) {
      lock.unlock();
      job.done = nullptr;  // Destroyed outside the lock.
      lock.lock();
      break;
    }
    const bool first = shared->completed.empty();
    shared->completed.push_back(std::move(job.done));
    // Under the lock, so that none comes after the end.
    if (first && shared->wake) shared->wake();
  }
  shared->ended[at] = true;
  shared->changed.notify_all();
}

size_t DiskExecutor::RunCompletions() {
  std::vector<std::function<void()>> batch;
  {
    const std::lock_guard lock(shared_->mutex);
    batch.swap(shared_->completed);
  }
  for (const std::function<void()>& done : batch) {
    if (done) done();
  }
  return batch.size();
}

}  // namespace quorate::backup
