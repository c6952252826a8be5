// Latencies in buckets of equal relative width (below 1.6 %): adding one costs no memory and no sort.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

namespace quorate::bench {

// Values are microseconds. Below 64 a bucket holds one value; above, each power of two is cut into 64.
class Histogram {
 public:
  void Add(int64_t nanos) {
    const uint64_t micros = nanos < 0 ? 0 : static_cast<uint64_t>(nanos) / 1000;
    ++buckets_[BucketOf(micros)];
    ++count_;
    sum_nanos_ += nanos < 0 ? 0 : nanos;
    max_ = micros > max_ ? micros : max_;
  }

  uint64_t count() const { return count_; }
  uint64_t max() const { return max_; }
  double mean() const {
    return count_ == 0 ? 0 : static_cast<double>(sum_nanos_) / 1000.0 / static_cast<double>(count_);
  }

  // The upper end of the bucket that holds the given share (0 to 1) of the values.
  uint64_t Quantile(double share) const {
    const auto wanted = static_cast<uint64_t>(share * static_cast<double>(count_));
    uint64_t seen = 0;
    for (size_t i = 0; i < buckets_.size(); ++i) {
      seen += buckets_[i];
      if (seen > wanted) return UpperEnd(i) < max_ ? UpperEnd(i) : max_;
    }
    return max_;
  }

 private:
  static constexpr unsigned kSubBits = 6;
  static constexpr uint64_t kSub = 1 << kSubBits;

  static size_t BucketOf(uint64_t value) {
    if (value < kSub) return value;
    const unsigned shift = static_cast<unsigned>(std::bit_width(value)) - 1 - kSubBits;
    return (shift + 1) * kSub + ((value >> shift) - kSub);
  }
  static uint64_t UpperEnd(size_t bucket) {
    if (bucket < kSub) return bucket;
    const size_t shift = bucket / kSub - 1;
    return ((kSub + bucket % kSub + 1) << shift) - 1;
  }

  std::array<uint64_t, (64 - kSubBits + 1) * kSub> buckets_{};
  uint64_t count_ = 0;
  uint64_t max_ = 0;
  int64_t sum_nanos_ = 0;
};

}  // namespace quorate::bench
