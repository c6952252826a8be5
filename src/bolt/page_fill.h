// How full the leaves are: what a copy of the file would save besides the free pages.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/status.h"
#include "bolt/db.h"

namespace quorate::bolt {

// An estimate of the bytes that would be saved if all leaves of one page were `fill_percent` full (0.9 for 90
// %), from at most about `samples_max` leaves, evenly chosen among those of each top-level bucket. Overflow
// pages are taken as full. Reads all branch pages. Any thread.
StatusOr<uint64_t> PackableBytes(const ReadTx& tx, double fill_percent, size_t samples_max);

}  // namespace quorate::bolt
