// Work on a snapshot that takes its time: in parts, or such that it can be ended. For snapshots of
// Backend::BeginSnapshot. Any thread.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <string_view>

#include "base/status.h"
#include "mvcc/backend.h"

namespace quorate::mvcc {

// Backend::Snapshot::CopyTo without the first `begin` bytes, which are not read.
Status CopySnapshotFrom(const Backend::Snapshot& snapshot, uint64_t begin,
                        const std::function<Status(std::string_view chunk)>& write);

// Whether the state that it shows is sound: reads every page and key (bolt::Check). DataLoss with the first
// finding, Cancelled soon after `stop` was set.
Status CheckSnapshot(const Backend::Snapshot& snapshot, const std::atomic<bool>& stop);

}  // namespace quorate::mvcc
