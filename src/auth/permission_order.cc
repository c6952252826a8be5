#include "auth/permission_order.h"

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <utility>

namespace quorate::auth {
namespace {

// Go's pattern-defeating quicksort (sort/zsortinterface.go), each comparison and swap in its order. Positions
// are signed, as there.
class GoSort {
 public:
  explicit GoSort(std::vector<Permission>* items) : items_(*items) {}

  void Run() {
    const auto count = static_cast<Position>(items_.size());
    Sort(0, count, std::bit_width(items_.size()));
  }

 private:
  using Position = int64_t;
  enum class Hint { kUnknown, kIncreasing, kDecreasing };
  struct Pivot {
    Position at;
    Hint hint;
  };
  struct Partition {
    Position middle;
    bool already;  // Nothing had to be swapped.
  };

  static constexpr Position kInsertionMax = 12;
  static constexpr Position kNintherMin = 50;
  static constexpr Position kMedianMin = 8;
  static constexpr int kSwapsMax = 4 * 3;
  static constexpr int kShiftsMax = 5;
  static constexpr Position kShiftingMin = 50;

  const std::string& key(Position i) const { return items_[static_cast<size_t>(i)].key; }
  bool Less(Position i, Position j) const { return key(i) < key(j); }
  void Swap(Position i, Position j) {
    std::swap(items_[static_cast<size_t>(i)], items_[static_cast<size_t>(j)]);
  }

  void Sort(Position begin, Position end, int limit) {
    bool balanced = true;
    bool partitioned = true;
    for (;;) {
      const Position length = end - begin;
      if (length <= kInsertionMax) return Insert(begin, end);
      if (limit == 0) return HeapSort(begin, end);
      if (!balanced) {
        BreakPatterns(begin, end);
        --limit;
      }
      Pivot pivot = ChoosePivot(begin, end);
      if (pivot.hint == Hint::kDecreasing) {
        for (Position i = begin, j = end - 1; i < j; ++i, --j) Swap(i, j);
        pivot = {end - 1 - (pivot.at - begin), Hint::kIncreasing};
      }
      if (balanced && partitioned && pivot.hint == Hint::kIncreasing && InsertFew(begin, end)) return;
      if (begin > 0 && !Less(begin - 1, pivot.at)) {
        begin = PartitionEqual(begin, end, pivot.at);
        continue;
      }
      const Partition parts = PartitionAt(begin, end, pivot.at);
      partitioned = parts.already;
      const Position left = parts.middle - begin;
      const Position right = end - parts.middle;
      balanced = std::min(left, right) >= length / 8;
      if (left < right) {
        Sort(begin, parts.middle, limit);
        begin = parts.middle + 1;
      } else {
        Sort(parts.middle + 1, end, limit);
        end = parts.middle;
      }
    }
  }

  void Insert(Position begin, Position end) {
    for (Position i = begin + 1; i < end; ++i) {
      for (Position j = i; j > begin && Less(j, j - 1); --j) Swap(j, j - 1);
    }
  }

  void SiftDown(Position low, Position high, Position first) {
    for (Position root = low;;) {
      Position child = 2 * root + 1;
      if (child >= high) return;
      if (child + 1 < high && Less(first + child, first + child + 1)) ++child;
      if (!Less(first + root, first + child)) return;
      Swap(first + root, first + child);
      root = child;
    }
  }

  void HeapSort(Position begin, Position end) {
    const Position count = end - begin;
    for (Position i = (count - 1) / 2; i >= 0; --i) SiftDown(i, count, begin);
    for (Position i = count - 1; i >= 0; --i) {
      Swap(begin, begin + i);
      SiftDown(0, i, begin);
    }
  }

  // Elements from the middle change places with some that a fixed generator names.
  void BreakPatterns(Position begin, Position end) {
    const Position length = end - begin;
    if (length < kMedianMin) return;
    auto state = static_cast<uint64_t>(length);
    const uint64_t modulus = uint64_t{1} << std::bit_width(static_cast<uint64_t>(length));
    const Position middle = begin + length / 4 * 2 - 1;
    for (Position i = 0; i < 3; ++i) {
      state ^= state << 13;
      state ^= state >> 7;
      state ^= state << 17;
      auto other = static_cast<Position>(state & (modulus - 1));
      if (other >= length) other -= length;
      Swap(middle - 1 + i, begin + other);
    }
  }

  Pivot ChoosePivot(Position begin, Position end) const {
    const Position length = end - begin;
    int swaps = 0;
    Position i = begin + length / 4;
    Position j = begin + length / 4 * 2;
    Position k = begin + length / 4 * 3;
    if (length >= kMedianMin) {
      if (length >= kNintherMin) {
        i = Median(i - 1, i, i + 1, &swaps);
        j = Median(j - 1, j, j + 1, &swaps);
        k = Median(k - 1, k, k + 1, &swaps);
      }
      j = Median(i, j, k, &swaps);
    }
    if (swaps == 0) return {j, Hint::kIncreasing};
    return {j, swaps == kSwapsMax ? Hint::kDecreasing : Hint::kUnknown};
  }

  Position Median(Position a, Position b, Position c, int* swaps) const {
    const auto order = [&](Position& x, Position& y) {
      if (!Less(y, x)) return;
      ++*swaps;
      std::swap(x, y);
    };
    order(a, b);
    order(b, c);
    order(a, b);
    return b;
  }

  // For what is nearly sorted; false when it is not.
  bool InsertFew(Position begin, Position end) {
    Position i = begin + 1;
    for (int step = 0; step < kShiftsMax; ++step) {
      while (i < end && !Less(i, i - 1)) ++i;
      if (i == end) return true;
      if (end - begin < kShiftingMin) return false;
      Swap(i, i - 1);
      if (i - begin >= 2) {
        for (Position j = i - 1; j >= 1 && Less(j, j - 1); --j) Swap(j, j - 1);
      }
      if (end - i >= 2) {
        for (Position j = i + 1; j < end && Less(j, j - 1); ++j) Swap(j, j - 1);
      }
    }
    return false;
  }

  // Less than the pivot; the pivot; the others.
  Partition PartitionAt(Position begin, Position end, Position pivot) {
    Swap(begin, pivot);
    Position i = begin + 1;
    Position j = end - 1;
    for (bool already = true;; already = false) {
      while (i <= j && Less(i, begin)) ++i;
      while (i <= j && !Less(j, begin)) --j;
      if (i > j) {
        Swap(j, begin);
        return {j, already};
      }
      Swap(i++, j--);
    }
  }

  // Equal to the pivot, then greater; the place of the first of these.
  Position PartitionEqual(Position begin, Position end, Position pivot) {
    Swap(begin, pivot);
    Position i = begin + 1;
    Position j = end - 1;
    for (;;) {
      while (i <= j && !Less(begin, i)) ++i;
      while (i <= j && Less(begin, j)) --j;
      if (i > j) return i;
      Swap(i++, j--);
    }
  }

  std::vector<Permission>& items_;
};

}  // namespace

void SortPermissions(std::vector<Permission>* permissions) { GoSort(permissions).Run(); }

}  // namespace quorate::auth
