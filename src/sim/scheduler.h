// Virtual time: what happens next, and when. Events of one moment run in the order in which they were asked
// for, so the same calls give the same run. One thread.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

namespace quorate::sim {

constexpr int64_t kMicrosecond = 1'000;
constexpr int64_t kMillisecond = 1'000'000;
constexpr int64_t kSecond = 1'000'000'000;

class Scheduler {
 public:
  using Task = std::function<void()>;

  // Nanoseconds since the beginning of the simulation.
  int64_t now() const { return now_; }
  void At(int64_t nanos, Task task);  // A time that is past means now.
  void After(int64_t nanos, Task task) { At(now_ + nanos, std::move(task)); }
  // Runs the next event; false when there is none before or at `until`: then the time is `until`.
  bool RunNext(int64_t until);
  uint64_t events() const { return events_; }

 private:
  struct Event {
    int64_t at;
    uint64_t order;
    Task task;
  };
  static bool Later(const Event& a, const Event& b) { return a.at != b.at ? a.at > b.at : a.order > b.order; }

  int64_t now_ = 0;
  uint64_t next_order_ = 0;
  uint64_t events_ = 0;
  std::vector<Event> heap_;
};

}  // namespace quorate::sim
