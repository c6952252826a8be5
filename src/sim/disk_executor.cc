#include "sim/disk_executor.h"

#include <utility>

namespace quorate::sim {

int64_t DiskExecutor::Duration(Lane lane) {
  struct Range {
    int64_t least, spread;
  };
  // A good SSD: a synced append, a commit of the database, a read, a whole file.
  static constexpr Range kRanges[kLanes] = {{80 * kMicrosecond, 120 * kMicrosecond},
                                            {300 * kMicrosecond, 2 * kMillisecond},
                                            {20 * kMicrosecond, 200 * kMicrosecond},
                                            {200 * kMicrosecond, 5 * kMillisecond}};
  const Range range = kRanges[static_cast<size_t>(lane)];
  return (range.least + static_cast<int64_t>(random_.Below(static_cast<uint64_t>(range.spread)))) * slowness_;
}

void DiskExecutor::Submit(Lane lane, std::function<void()> work, std::function<void()> done) {
  auto job = std::make_shared<Job>(Job{std::move(work), std::move(done)});
  if (lane == Lane::kRead) return Begin(lane, std::move(job));
  lanes_[static_cast<size_t>(lane)].waiting.push_back(std::move(job));
  StartNext(lane);
}

void DiskExecutor::StartNext(Lane lane) {
  LaneState& state = lanes_[static_cast<size_t>(lane)];
  if (state.running || state.waiting.empty()) return;
  state.running = true;
  Begin(lane, state.waiting.front());
}

void DiskExecutor::Begin(Lane lane, std::shared_ptr<Job> job) {
  scheduler_.After(Duration(lane), [this, lane, job = std::move(job), generation = generation_] {
    if (generation == generation_) Finish(lane, job);
  });
}

void DiskExecutor::Finish(Lane lane, const std::shared_ptr<Job>& job) {
  if (paused_) {
    held_.push_back([this, lane, job] { Finish(lane, job); });
    return;
  }
  const uint64_t generation = generation_;
  before_work_();
  job->work();
  if (generation != generation_) return;  // The work has ended the process.
  completions_.push_back(std::move(job->done));
  if (lane != Lane::kRead) {
    LaneState& state = lanes_[static_cast<size_t>(lane)];
    state.running = false;
    state.waiting.pop_front();
    StartNext(lane);
  }
  completed_hook_();
}

size_t DiskExecutor::RunCompletions() {
  std::vector<std::function<void()>> batch;
  batch.swap(completions_);
  for (const std::function<void()>& done : batch) {
    if (done) done();
  }
  return batch.size();
}

void DiskExecutor::RunUntilIdle() {
  for (bool busy = true; busy;) {
    busy = RunCompletions() > 0;
    for (LaneState& state : lanes_) {
      while (!state.waiting.empty()) {
        const std::shared_ptr<Job> job = state.waiting.front();
        state.waiting.pop_front();
        job->work();
        completions_.push_back(std::move(job->done));
        busy = true;
      }
    }
  }
}

void DiskExecutor::Drop() {
  ++generation_;
  for (LaneState& state : lanes_) state = {};
  completions_.clear();
  held_.clear();
  paused_ = false;
}

void DiskExecutor::set_paused(bool paused) {
  paused_ = paused;
  if (paused) return;
  std::vector<std::function<void()>> held;
  held.swap(held_);
  for (const auto& finish : held) finish();
}

}  // namespace quorate::sim
