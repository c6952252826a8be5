// The lanes of one member's process, with a disk that takes its time. Work of a lane runs at its virtual
// moment, in the order of its lane (any order in kRead); what it does to the simulated file system happens in
// that moment.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <vector>

#include "base/env.h"
#include "sim/scheduler.h"

namespace quorate::sim {

class DiskExecutor final : public Executor {
 public:
  // `before_work` runs before each job (the clock is set there), `completed` after it: a round is wanted.
  DiskExecutor(Scheduler* scheduler, Random* random, std::function<void()> before_work,
               std::function<void()> completed)
      : scheduler_(*scheduler),
        random_(*random),
        before_work_(std::move(before_work)),
        completed_hook_(std::move(completed)) {}

  void Submit(Lane lane, std::function<void()> work, std::function<void()> done) override;
  // Runs the `done` of what has completed; how many.
  size_t RunCompletions();
  // Everything at once, without time passing; for a clean end.
  void RunUntilIdle();
  // Forgets everything, as the end of the process does.
  void Drop();

  // Jobs that begin from now on take this many times as long.
  void set_slowness(int64_t factor) { slowness_ = factor; }
  // A stopped process begins nothing; what had begun ends on resuming.
  void set_paused(bool paused);
  bool has_completions() const { return !completions_.empty(); }

 private:
  struct Job {
    std::function<void()> work;
    std::function<void()> done;
  };
  struct LaneState {
    std::deque<std::shared_ptr<Job>> waiting;
    bool running = false;
  };
  static constexpr size_t kLanes = 4;

  int64_t Duration(Lane lane);
  void StartNext(Lane lane);
  void Begin(Lane lane, std::shared_ptr<Job> job);
  void Finish(Lane lane, const std::shared_ptr<Job>& job);

  Scheduler& scheduler_;
  Random& random_;
  const std::function<void()> before_work_;
  const std::function<void()> completed_hook_;
  LaneState lanes_[kLanes];
  std::vector<std::function<void()>> completions_;
  std::vector<std::function<void()>> held_;  // What would have happened while paused.
  int64_t slowness_ = 1;
  bool paused_ = false;
  uint64_t generation_ = 0;  // Of what was not dropped.
};

}  // namespace quorate::sim
