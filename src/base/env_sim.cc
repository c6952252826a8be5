#include "base/env_sim.h"

#include <algorithm>
#include <utility>

namespace quorate {

uint64_t SeededRandom::Next() {
  uint64_t z = (state_ += 0x9e3779b97f4a7c15);
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
  z = (z ^ z >> 27) * 0x94d049bb133111eb;
  return z ^ z >> 31;
}

void InlineExecutor::Submit(Lane lane, std::function<void()> work, std::function<void()> done) {
  if (mode_ == Mode::kQueued) {
    jobs_.push_back({lane, std::move(work), std::move(done)});
    return;
  }
  work();
  completed_.push_back(std::move(done));
}

void InlineExecutor::RunAt(size_t position) {
  Job job = std::move(jobs_[position]);
  jobs_.erase(jobs_.begin() + static_cast<std::ptrdiff_t>(position));
  job.work();
  completed_.push_back(std::move(job.done));
}

bool InlineExecutor::Step() {
  if (jobs_.empty()) return false;
  if (random_ == nullptr) {
    RunAt(0);
    return true;
  }
  // A job may run now if it is the oldest of its lane, or any of kRead.
  std::vector<size_t> candidates;
  uint32_t lanes_seen = 0;
  for (size_t i = 0; i < jobs_.size(); ++i) {
    const uint32_t lane = 1U << static_cast<uint32_t>(jobs_[i].lane);
    if (jobs_[i].lane == Lane::kRead || (lanes_seen & lane) == 0) candidates.push_back(i);
    lanes_seen |= lane;
  }
  RunAt(candidates[random_->Below(candidates.size())]);
  return true;
}

bool InlineExecutor::Step(Lane lane) {
  const auto job = std::find_if(jobs_.begin(), jobs_.end(), [&](const Job& j) { return j.lane == lane; });
  if (job == jobs_.end()) return false;
  RunAt(static_cast<size_t>(job - jobs_.begin()));
  return true;
}

size_t InlineExecutor::RunCompletions() {
  std::vector<std::function<void()>> batch;
  batch.swap(completed_);
  for (const std::function<void()>& done : batch) {
    if (done) done();
  }
  return batch.size();
}

void InlineExecutor::RunUntilIdle() {
  while (Step() || RunCompletions() > 0) {
  }
}

void InlineExecutor::Drop() {
  jobs_.clear();
  completed_.clear();
}

}  // namespace quorate
