// What happened, in order: a running hash that two runs of one seed must share, the lines themselves when
// somebody wants to read them, and the first broken promise, which ends the run. One thread.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "sim/scheduler.h"

namespace quorate::sim {

// Who did it: a member's index from 0, a client from kFirstClient on, or the simulator itself.
constexpr int kSimulator = -1;
constexpr int kFirstClient = 1000;
std::string ActorName(int actor);  // "m0", "c3", "sim".

struct TraceField {
  std::string_view name;
  std::string_view text = {};
  int64_t number = 0;
  bool is_text = false;

  TraceField(std::string_view n, std::string_view t) : name(n), text(t), is_text(true) {}
  TraceField(std::string_view n, const std::string& t) : TraceField(n, std::string_view(t)) {}
  TraceField(std::string_view n, const char* t) : TraceField(n, std::string_view(t)) {}
  template <typename Number>
  TraceField(std::string_view n, Number v) : name(n), number(static_cast<int64_t>(v)) {}
};

class Trace {
 public:
  // `keep`: the lines are kept, the last `lines_max` of them.
  Trace(const Scheduler* scheduler, bool keep, size_t lines_max = 100'000)
      : scheduler_(*scheduler), keep_(keep), lines_max_(lines_max) {}

  void Note(int actor, std::string_view what, std::initializer_list<TraceField> fields = {});
  // The first failure counts. `check` is the short name of the broken promise.
  void Fail(std::string_view check, std::string text);

  bool failed() const { return !check_.empty(); }
  const std::string& failed_check() const { return check_; }
  const std::string& failure() const { return failure_; }
  uint64_t hash() const { return hash_; }
  // Oldest first.
  std::vector<std::string> Lines() const;

 private:
  void Mix(uint64_t value);
  void Mix(std::string_view text);

  const Scheduler& scheduler_;
  const bool keep_;
  const size_t lines_max_;
  uint64_t hash_ = 0x9e3779b97f4a7c15;
  std::vector<std::string> lines_;  // A ring once it is full.
  size_t next_line_ = 0;
  std::string check_;
  std::string failure_;
};

// A name that is the same in every build: FNV-1a. Source: http://www.isthe.com/chongo/tech/comp/fnv/
uint64_t Fingerprint(std::string_view bytes);

}  // namespace quorate::sim
