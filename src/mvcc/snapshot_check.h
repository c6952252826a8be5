// Whether the state that a snapshot shows is sound.
#pragma once

#include "base/status.h"
#include "mvcc/backend.h"

namespace quorate::mvcc {

// Reads every page and key (bolt::Check); DataLoss with the first finding. For snapshots of BeginSnapshot.
// Any thread.
Status CheckSnapshot(const Backend::Snapshot& snapshot);

}  // namespace quorate::mvcc
