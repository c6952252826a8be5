#include <algorithm>
#include <string>
#include <vector>

#include "sim/checkers.h"

namespace quorate::sim {
namespace {

// One watch on its way through its answers.
class WatchCheck {
 public:
  WatchCheck(const WatchRecord& watch, const KvModel& model)
      : watch_(watch), model_(model), next_(watch.start) {}

  Violation Run(int64_t complete_to) {
    for (const WatchAnswer& answer : watch_.answers) {
      if (ended_) return Broken("an answer came after its end");
      if (Violation wrong = Take(answer)) return wrong;
    }
    if (complete_to > 0 && watch_.open && created_ && !ended_) {
      if (Violation missing = Missing(complete_to)) return missing;
    }
    return std::nullopt;
  }

 private:
  std::string Name() const {
    return "watch " + std::to_string(watch_.id) + " of c" + std::to_string(watch_.client) + " on m" +
           std::to_string(watch_.member) + " [" + watch_.key + "," + watch_.end + ") from " +
           std::to_string(watch_.start) + (watch_.previous ? " with previous" : "");
  }
  Violation Broken(const std::string& what) const { return Name() + ": " + what; }

  Violation Take(const WatchAnswer& answer) {
    switch (answer.kind) {
      case WatchAnswer::Kind::kCreated:
        created_ = true;
        if (watch_.start == 0) next_ = answer.header_revision + 1;
        return std::nullopt;
      case WatchAnswer::Kind::kEvents:
        return TakeEvents(answer);
      case WatchAnswer::Kind::kProgress:
        if (!answer.whole_stream && watch_.start > 0 && answer.header_revision < watch_.start - 1) {
          return Broken("progress at " + std::to_string(answer.header_revision) + ", before its start");
        }
        return Claim(answer.header_revision);
      case WatchAnswer::Kind::kCompacted:
        ended_ = true;
        if (next_ < answer.compact_revision || next_ <= model_.compacted()) return std::nullopt;
        return Broken("ended by compaction at " + std::to_string(answer.compact_revision) +
                      " though it needs " + std::to_string(next_));
    }
    return std::nullopt;
  }

  // Everything up to `revision` has been delivered.
  Violation Claim(int64_t revision) {
    if (Violation missing = Missing(revision)) return missing;
    claimed_ = std::max(claimed_, revision);
    return std::nullopt;
  }

  bool Wanted(const Event& event) const {
    return InRange(event.pair.key, watch_.key, watch_.end) &&
           !(event.deletion ? watch_.no_delete : watch_.no_put);
  }
  std::vector<Event> Expected(int64_t revision) const {
    std::vector<Event> out;
    for (const Event& event : model_.EventsAt(revision)) {
      if (!Wanted(event)) continue;
      out.push_back(event);
      if (!watch_.previous) out.back().previous = std::nullopt;
    }
    return out;
  }
  Violation Missing(int64_t to) {
    for (; next_ <= std::min(to, model_.revision()); ++next_) {
      const std::vector<Event> expected = Expected(next_);
      if (!expected.empty())
        return Broken("missed " + Describe(expected.front()) + " of revision " + std::to_string(next_) +
                      ", claimed was " + std::to_string(to));
    }
    return std::nullopt;
  }

  Violation TakeEvents(const WatchAnswer& answer) {
    size_t at = 0;
    while (at < answer.events.size()) {
      const int64_t revision = answer.events[at].pair.mod;
      if (revision < watch_.start) return Broken("event before its start: " + Describe(answer.events[at]));
      if (revision < next_) return Broken("late, double or divided: " + Describe(answer.events[at]));
      if (revision <= claimed_) return Broken("progress had claimed " + Describe(answer.events[at]));
      if (Violation missing = Missing(revision - 1)) return missing;
      const std::vector<Event> expected = Expected(revision);
      if (answer.events.size() - at < expected.size() || expected.empty()) {
        return Broken("revision " + std::to_string(revision) +
                      " is not whole, or holds what it should not: " + Describe(answer.events[at]));
      }
      for (const Event& event : expected) {
        if (Violation wrong = CompareEvents(answer.events[at], event)) return wrong;
        ++at;
      }
      next_ = revision + 1;
    }
    if (answer.header_revision < next_ - 1) return Broken("a header behind its events");
    return std::nullopt;
  }

  Violation CompareEvents(const Event& seen, const Event& expected) const {
    Event known = expected;
    // The previous value may have been compacted away.
    if (watch_.previous && !seen.previous && known.previous && known.pair.mod <= model_.compacted()) {
      known.previous = std::nullopt;
    }
    if (seen == known) return std::nullopt;
    return Broken("event " + Describe(seen) +
                  (seen.previous ? " (before: " + Describe(*seen.previous) + ")" : " (before: none)") +
                  " should be " + Describe(known) +
                  (known.previous ? " (before: " + Describe(*known.previous) + ")" : " (before: none)"));
  }

  const WatchRecord& watch_;
  const KvModel& model_;
  int64_t next_;  // The first revision whose events are still owed.
  int64_t claimed_ = 0;
  bool created_ = false;
  bool ended_ = false;
};

}  // namespace

Violation CheckWatches(const History& history, const KvModel& model, int64_t complete_to) {
  for (const auto& [id, watch] : history.watches) {
    if (Violation wrong = WatchCheck(watch, model).Run(complete_to)) return wrong;
  }
  return std::nullopt;
}

}  // namespace quorate::sim
