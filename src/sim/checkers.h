// The promises to clients, judged on what clients saw (History) and on what the log made true (Truth). Each
// function returns the first broken promise in words; none when all is well. Pure, so that a test can plant a
// violation and see it found.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "sim/history.h"
#include "sim/kv_model.h"

namespace quorate::sim {

using Violation = std::optional<std::string>;

// When a revision first existed anywhere (Truth::FirstSeen).
using FirstSeen = std::function<int64_t(int64_t revision)>;

// Strict serializability of writes and linearizable reads. The revisions give the order, so this is linear:
//  - an acknowledged write is what the model has at its revision, and no other claims that revision;
//  - an answer is what the model answers at its revision;
//  - what was asked after something else was answered has a revision that is not lower, and higher if it
//  wrote;
//  - no answer came before its revision existed.
Violation CheckLinearizable(const History& history, const KvModel& model, const FirstSeen& first_seen);

// A serializable read shows a state that existed, whole, no newer than its answer; and a process never goes
// back.
Violation CheckSerializable(const History& history, const KvModel& model, const FirstSeen& first_seen);

// Of each watch: events ordered, unique, whole revisions, true to the model, none missing up to the last one
// and up to any revision that the watch (or a progress answer) claims; none before its start; ended by
// compaction only where the history is gone. `complete_to`: open watches have everything up to there; 0 does
// not ask for it.
Violation CheckWatches(const History& history, const KvModel& model, int64_t complete_to);

// What became of a lease. -1: not revoked.
struct LeaseEnd {
  int64_t revoked_at = -1;
};
using LeaseEndOf = std::function<LeaseEnd(int64_t lease)>;

// No lease that its owner did not revoke ended before its time: TTL after the last renewal (or grant) was
// asked for, by the fastest clock, `rate_ppm` too fast.
Violation CheckLeases(const History& history, const LeaseEndOf& end_of, int64_t rate_ppm);

// HashKV of one revision and compacted revision is the same everywhere.
Violation CheckHashes(const History& history);

}  // namespace quorate::sim
