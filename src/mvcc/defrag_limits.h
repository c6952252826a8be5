// The limits that keep a defragmentation from being noticed.
#pragma once

#include <cstddef>
#include <cstdint>

namespace quorate::limits {

// A commit moves or copies so much for a defragmentation, and stops earlier after so much time: what is in
// the batch must not wait, and the log shares the disk.
constexpr uint64_t kDefragStepBytes = uint64_t{1} << 20;
constexpr int64_t kDefragStepNanos = 20'000'000;
// The least time between the end of such a commit and the next one that is made for the defragmentation
// alone, while clients write; and at least so many times what the commit took: the defragmentation has a
// quarter of the disk and of a core then, not half of them.
constexpr int64_t kDefragPauseNanos = 20'000'000;
constexpr int64_t kDefragPauseTimes = 3;
// A member with no more changes a second than this has little to do: shorter pauses, since somebody waits for
// the end, with etcdctl's limit of five seconds maybe.
constexpr int64_t kDefragFewPerSecond = 2'000;
constexpr int64_t kDefragShortPauseNanos = 1'000'000;
// A commit shortens the file by so much at most: the system holds its lock meanwhile, and a read of a page
// that is not mapped yet waits for it.
constexpr uint64_t kDefragCutBytes = uint64_t{4} << 20;
// Pages whose moves are planned at once; some 100 bytes each.
constexpr size_t kDefragPlanPages = 16'384;
// Leaves that are looked at to learn how full they are.
constexpr size_t kDefragFillSamples = 1024;
// After the last move the answer waits so long for readers to let go of the end of the file; it is cut later.
constexpr int64_t kDefragReaderWaitNanos = 10'000'000'000;

}  // namespace quorate::limits
