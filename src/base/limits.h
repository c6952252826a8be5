// Every limit of the system that is not an option, with unit and reason.
#pragma once

#include <cstddef>
#include <cstdint>

namespace quorate::limits {

// etcd's --max-request-bytes default; a raft proposal larger than it is refused.
constexpr size_t kRequestBytesMaxDefault = 1536 * 1024;
// What gRPC framing may add on top of the request when receiving (etcd: grpcOverheadBytes).
constexpr size_t kGrpcOverheadBytes = 512 * 1024;
// WAL segments are cut when they reach this size (etcd: SegmentSizeBytes).
constexpr uint64_t kWalSegmentBytes = 64 * 1000 * 1000;
// bbolt's own limits.
constexpr size_t kDbKeyBytesMax = 32768;
constexpr size_t kDbValueBytesMax = 0x7ffffffe;
// The db file is committed after this much time or this many operations (etcd's defaults).
constexpr int64_t kDbBatchIntervalNanos = 100'000'000;
constexpr size_t kDbBatchOperations = 10'000;
// Proposals are refused while more entries than this are committed and not applied (etcd:
// maxGapBetweenApplyAndCommitIndex).
constexpr uint64_t kApplyGapMax = 5000;
// Snapshots sent to clients at once; each has a thread and keeps the pages of its state from being used anew.
// More than a cluster's operators and their cron jobs take at a time.
constexpr size_t kSnapshotStreamsMax = 8;

}  // namespace quorate::limits
