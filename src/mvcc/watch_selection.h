// From the events of a key or range to the responses that its watchers get: built once for each set of
// filters, and shared by all watchers that asked for the same.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>

#include "absl/container/inlined_vector.h"
#include "mvcc/event.h"

namespace quorate::mvcc {

// The events of one response, immutable and shared between watchers (and threads). Always whole revisions.
struct WatchEvents {
  int64_t first_revision = 0;
  int64_t last_revision = 0;
  std::string bytes;  // The repeated field `events` (11) of WatchResponse, as it stands there.
  absl::InlinedVector<size_t, 1> ends;  // Where each event ends in `bytes`; for splitting into fragments.
  size_t count() const { return ends.size(); }
};

enum class PreviousState { kNone, kFound, kMustWait };
// Appends the event's previous KeyValue, encoded, to `out`; kMustWait when that would wait for the disk. Not
// asked for events that created their key.
using PreviousValue = std::function<PreviousState(const Event& event, std::string& out)>;

struct WatchResponseLimits {
  size_t bytes_max = 0;      // A response that has reached this ends with the revision.
  size_t revisions_max = 0;  // So does one with this many revisions.
};

// Responses with all events asked for, in order.
struct WatchResponses {
  absl::InlinedVector<std::shared_ptr<const WatchEvents>, 1> parts;
  int64_t wait_at =
      0;  // Not 0: events from this revision on are missing, for a previous value must come from disk.
};

// The matching events of one group, ascending by revision. Lives no longer than what it was given. One
// thread.
class WatchSelection {
 public:
  WatchSelection(std::span<const Event* const> events, const WatchResponseLimits& limits,
                 const PreviousValue& previous)
      : events_(events), limits_(limits), previous_(previous) {}

  // What a watcher with these flags (kWatchSelectionMask) gets that has everything below revision `from`.
  const WatchResponses& For(uint8_t flags, int64_t from);

  int64_t last_revision() const { return events_.back()->revision.main; }

 private:
  struct Entry {
    uint8_t flags;
    size_t first;
    WatchResponses responses;
  };

  WatchResponses Build(uint8_t flags, size_t first) const;
  // Appends one event; false when its previous value must be waited for (then nothing is appended).
  bool AppendEvent(const Event& event, bool want_previous, WatchEvents& out) const;

  std::span<const Event* const> events_;
  const WatchResponseLimits& limits_;
  const PreviousValue& previous_;
  absl::InlinedVector<std::unique_ptr<Entry>, 1> built_;
};

}  // namespace quorate::mvcc
