// Compaction without being asked (--auto-compaction-mode, --auto-compaction-retention). Only the leader
// proposes. Source of the rules: etcd server/etcdserver/api/v3compactor. Core thread only.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>

#include "server/config.h"

namespace quorate::server {

class AutoCompaction {
 public:
  // Proposes a compaction at the revision; `done(ok)` tells whether it was applied (or was compacted
  // already).
  using CompactFn = std::function<void(int64_t revision, std::function<void(bool ok)> done)>;

  AutoCompaction(AutoCompactionMode mode, int64_t retention, CompactFn compact);

  // Any regular interval of a second or less. `leading`: this member is the leader; a follower only samples.
  void Tick(int64_t now_nanos, int64_t current_revision, bool leading);

  // How often revisions are sampled (periodic) or checked (by revision).
  int64_t interval_nanos() const;

 private:
  void TickPeriodic(int64_t now_nanos, bool leading);
  void TickRevision(int64_t current_revision, bool leading);
  void Compact(int64_t revision, std::function<void()> on_success);

  const AutoCompactionMode mode_;
  const int64_t retention_;
  const CompactFn compact_;

  int64_t next_sample_nanos_ = 0;
  int64_t compacted_at_nanos_ = 0;  // Periodic: of the last success; starts with the first tick.
  std::deque<int64_t> samples_;     // Periodic: the revisions of one retention period, oldest first.
  int64_t compacted_revision_ = 0;
  bool running_ = false;
};

}  // namespace quorate::server
