// Which pages lie at the end of the file, and how to find them from the root: the plan of a defragmentation.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "base/status.h"
#include "bolt/db.h"
#include "bolt/page.h"

namespace quorate::bolt {

// The pages that begin at or beyond `from`, but at most `count_max` of them, the highest; in descending
// order. Reads the branch pages and the root bucket, not the leaves; so pages of buckets nested in buckets
// are not found. DataLoss where a page can't be read. Any thread.
StatusOr<std::vector<TailPage>> FindTailPages(const ReadTx& tx, PageId from, size_t count_max);

// Reads the page and the path to it, so that a later look finds them in memory. Returns its bytes; 0 when it
// is no longer where the plan says. Any thread.
StatusOr<uint64_t> TouchTailPage(const ReadTx& tx, const TailPage& tail);

}  // namespace quorate::bolt
