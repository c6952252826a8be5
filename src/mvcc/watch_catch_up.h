// One catch-up step of the watch hub: a stretch of history read once for many watchers that lie behind.
// Private to watch_hub.cc and watch_catch_up.cc.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "base/hash.h"
#include "mvcc/watch_hub.h"

namespace quorate::mvcc {

// The step's own copy of a watch group: the original may go while a reader thread looks at this one.
struct CatchUpGroup {
  std::string key;
  std::string end;
  bool range = false;
  bool unbounded = false;
  bool previous_wanted = false;    // By any of its watchers.
  int64_t next_revision = 0;       // The least of its watchers'.
  std::vector<uint32_t> events;    // Positions in CatchUp::events.
  std::vector<const Event*> list;  // At the end: those and the matching ones of the tail.
  uint32_t priority = 0;
  CatchUpGroup* left = nullptr;
  CatchUpGroup* right = nullptr;
  CatchUpGroup* last = nullptr;
};

// An event with its bytes, and the previous value where one is wanted.
struct CatchUpEvent : Event {
  std::unique_ptr<char[]> bytes;
  bool previous_wanted = false;
  std::optional<Revision> previous_at;
  std::optional<std::string> previous;
};

// Handed to the reader thread and back: only `watchers` is touched by the core meanwhile.
struct WatchHub::CatchUp {
  uint8_t index = 0;
  std::shared_ptr<HistoryReader> reader;
  int64_t from = 0;
  int64_t to = 0;
  size_t bytes_max = 0;

  std::vector<Watcher*> watchers;        // Null: cancelled meanwhile. Core only.
  std::vector<uint32_t> watcher_groups;  // Position in `groups`, for each of them.
  std::deque<CatchUpGroup> groups;
  absl::flat_hash_map<std::string_view, CatchUpGroup*, StringHash, StringEq> exact;
  WatchRangeTree<CatchUpGroup> ranges;

  // What reading gave.
  Status status;
  int64_t scanned_to = 0;  // Everything below was looked at.
  std::vector<CatchUpEvent> events;

  template <typename Visit>
  void Match(std::string_view key, Visit&& visit) {
    if (const auto it = exact.find(key); it != exact.end()) visit(it->second);
    ranges.Stab(key, visit);
  }

  void AddGroup(const WatchGroup* group);
  // Reader thread.
  void Read();
  void Keep(const Event& event);
  void ReadPrevious();
};

}  // namespace quorate::mvcc
