#include "server/auto_defrag.h"

#include <algorithm>
#include <utility>

#include "base/logging.h"

namespace quorate::server {
namespace {

// A disk without the room that it takes is not tried again at once.
constexpr int64_t kNoRoomPauseNanos = int64_t{3'600} * 1'000'000'000;

}  // namespace

AutoDefrag::AutoDefrag(const AutoDefragOptions& options, Random* random, MeasureFn measure,
                       DefragmentFn defragment)
    : options_(options), random_(random), measure_(std::move(measure)), defragment_(std::move(defragment)) {}

void AutoDefrag::Tick(int64_t now_nanos) {
  if (options_.percent <= 0) return;
  const auto interval = static_cast<uint64_t>(std::max<int64_t>(1, options_.interval_nanos));
  if (next_look_nanos_ == 0) {
    // Members that are started together look apart from the first time on.
    next_look_nanos_ = now_nanos + static_cast<int64_t>(random_->Below(interval));
  }
  if (now_nanos < next_look_nanos_) return;
  next_look_nanos_ = now_nanos + static_cast<int64_t>(interval / 2 + random_->Below(interval));
  if (!running_) Look();
}

void AutoDefrag::Look() {
  const Use use = measure_();
  left_bytes_ = std::min(left_bytes_, use.free_bytes);
  const uint64_t threshold =
      std::max(kFreeBytesMin, use.size_bytes / 100 * static_cast<uint64_t>(options_.percent));
  if (use.free_bytes - left_bytes_ <= threshold) return;
  LOG_INFO("starting auto defragmentation", {"db-size-bytes", use.size_bytes},
           {"db-free-bytes", use.free_bytes}, {"threshold-percent", options_.percent});
  running_ = true;
  defragment_([this](const Status& status) {
    running_ = false;
    if (status.ok()) {
      left_bytes_ = measure_().free_bytes;
    } else {
      const bool no_room = absl::IsResourceExhausted(status);
      if (no_room) next_look_nanos_ += kNoRoomPauseNanos;
      LOG_WARN(no_room ? "auto defragmentation finds no room on the disk; will try again in an hour"
                       : "failed auto defragmentation; will try again",
               {"error", Message(status)});
    }
  });
}

}  // namespace quorate::server
