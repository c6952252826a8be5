// Checking a db file: every page, every key.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "base/status.h"
#include "bolt/db.h"
#include "bolt/tree_walk.h"

namespace quorate::bolt {

struct CheckReport {
  // Empty: sound. At most TreeWalk::kProblemsMax.
  std::vector<Status> problems;
  TreeCounts counts;
  uint64_t pages_total = 0;  // The high-water mark.
  uint64_t pages_free = 0;   // Neither reachable nor a meta.

  bool ok() const { return problems.empty(); }
};

// Reads the whole state: each page is reached at most once, is well formed, and holds its keys in order and
// within the bounds its branch gives; a stored free list names exactly the pages that are not reachable. Any
// thread.
//
// `on_page` (may be empty) hears after each page how many have been read and how many there are, free ones
// included; false ends the check, whose report is worthless then.
CheckReport Check(const ReadTx& tx, const TreeWalk::PageFn& on_page = {});

// Whether the file can be used: the same, but for pages that are neither reachable nor in a stored free list.
// bbolt is known to lose such pages; Db::Open finds them again. DataLoss tells the first problem, Cancelled
// that `on_page` ended it.
Status CheckUsable(const ReadTx& tx, const TreeWalk::PageFn& on_page = {});

}  // namespace quorate::bolt
