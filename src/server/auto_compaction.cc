#include "server/auto_compaction.h"

#include <algorithm>
#include <utility>

#include "base/logging.h"

namespace quorate::server {
namespace {

constexpr int64_t kHour = 3'600'000'000'000;
constexpr int64_t kRevisionCheckNanos = 300'000'000'000;
constexpr int64_t kSamplesPerInterval = 10;

// Compactions come once an hour, or once a retention period if that is shorter.
int64_t CompactionInterval(int64_t retention) { return std::min(retention, kHour); }

}  // namespace

AutoCompaction::AutoCompaction(AutoCompactionMode mode, int64_t retention, CompactFn compact)
    : mode_(mode), retention_(retention), compact_(std::move(compact)) {}

int64_t AutoCompaction::interval_nanos() const {
  if (mode_ == AutoCompactionMode::kRevision) return kRevisionCheckNanos;
  return std::max<int64_t>(1, CompactionInterval(retention_) / kSamplesPerInterval);
}

void AutoCompaction::Tick(int64_t now_nanos, int64_t current_revision, bool leading) {
  if (retention_ <= 0) return;
  if (next_sample_nanos_ == 0) {
    next_sample_nanos_ = now_nanos;
    if (mode_ == AutoCompactionMode::kRevision) next_sample_nanos_ += interval_nanos();
    compacted_at_nanos_ = now_nanos;
  }
  if (now_nanos < next_sample_nanos_) return;
  next_sample_nanos_ = now_nanos + interval_nanos();
  if (mode_ == AutoCompactionMode::kRevision) {
    TickRevision(current_revision, leading);
    return;
  }
  samples_.push_back(current_revision);
  const auto samples_max = static_cast<size_t>(retention_ / interval_nanos() + 1);
  while (samples_.size() > samples_max) samples_.pop_front();
  TickPeriodic(now_nanos, leading);
}

// Nothing in the first period; then the revision that was current one period ago.
void AutoCompaction::TickPeriodic(int64_t now_nanos, bool leading) {
  if (!leading || running_ || now_nanos - compacted_at_nanos_ < CompactionInterval(retention_)) return;
  const auto samples_wanted = static_cast<size_t>(retention_ / interval_nanos() + 1);
  if (samples_.size() < samples_wanted) return;
  Compact(samples_.front(), [this, now_nanos] { compacted_at_nanos_ = now_nanos; });
}

void AutoCompaction::TickRevision(int64_t current_revision, bool leading) {
  if (!leading || running_) return;
  Compact(current_revision - retention_, [] {});
}

void AutoCompaction::Compact(int64_t revision, std::function<void()> on_success) {
  if (revision <= compacted_revision_) return;
  LOG_INFO("starting auto compaction", {"revision", revision});
  running_ = true;
  compact_(revision, [this, revision, on_success = std::move(on_success)](bool ok) {
    running_ = false;
    if (!ok) {
      LOG_WARN("failed auto compaction; trying again", {"revision", revision});
      return;
    }
    compacted_revision_ = revision;
    on_success();
    LOG_INFO("completed auto compaction", {"revision", revision});
  });
}

}  // namespace quorate::server
