// Defragmentation without being asked (--auto-defrag-threshold). Each member decides by its own file alone.
// It looks at moments of its own choosing, so that the members of a cluster rarely work at the same time.
// Core thread only.
#pragma once

#include <cstdint>
#include <functional>

#include "base/env.h"
#include "base/status.h"

namespace quorate::server {

struct AutoDefragOptions {
  int percent = 0;  // Of the file, free: above it a defragmentation begins. 0: never.
  int64_t interval_nanos = 600'000'000'000;  // Between two looks, on average.
};

class AutoDefrag {
 public:
  // Less is not worth the trouble, whatever the percentage.
  static constexpr uint64_t kFreeBytesMin = uint64_t{16} << 20;

  struct Use {
    uint64_t size_bytes = 0;
    uint64_t free_bytes = 0;
  };
  using MeasureFn = std::function<Use()>;
  using DefragmentFn = std::function<void(std::function<void(const Status&)> done)>;

  // `random` is not owned.
  AutoDefrag(const AutoDefragOptions& options, Random* random, MeasureFn measure, DefragmentFn defragment);

  // Any regular interval of a second or less.
  void Tick(int64_t now_nanos);

 private:
  void Look();

  const AutoDefragOptions options_;
  Random* const random_;
  const MeasureFn measure_;
  const DefragmentFn defragment_;
  int64_t next_look_nanos_ = 0;
  bool running_ = false;
  // Free bytes that the last one could not return: the next one waits until as much as it asks for has come
  // on top.
  uint64_t left_bytes_ = 0;
};

}  // namespace quorate::server
