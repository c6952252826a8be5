#include "auth/range_permissions.h"

#include <algorithm>
#include <utility>

namespace quorate::auth {
namespace {

bool IsOpenEnded(std::string_view range_end) { return range_end == std::string_view("\0", 1); }

// Of range ends, where empty is the end of all keys.
bool EndLess(std::string_view a, std::string_view b) { return !a.empty() && (b.empty() || a < b); }

// The end of [key, ...) in the form of a Range.
std::string EndOf(std::string_view key, std::string_view range_end) {
  if (range_end.empty()) return std::string(key) + '\0';
  return IsOpenEnded(range_end) ? std::string() : std::string(range_end);
}

}  // namespace

void RangeSet::Add(std::string_view key, std::string_view range_end) {
  std::string end = EndOf(key, range_end);
  if (key.empty() || (!end.empty() && key >= end)) return;
  ranges_.push_back({std::string(key), std::move(end)});
}

void RangeSet::Finish() {
  std::sort(ranges_.begin(), ranges_.end(), [](const Range& a, const Range& b) { return a.begin < b.begin; });
  std::vector<Range> merged;
  for (Range& range : ranges_) {
    if (merged.empty() || EndLess(merged.back().end, range.begin)) {
      merged.push_back(std::move(range));
    } else if (EndLess(merged.back().end, range.end)) {
      merged.back().end = std::move(range.end);
    }
  }
  ranges_ = std::move(merged);
}

bool RangeSet::Covers(std::string_view key, std::string_view range_end) const {
  if (key.empty()) return false;
  const auto after = std::upper_bound(ranges_.begin(), ranges_.end(), key,
                                      [](std::string_view k, const Range& range) { return k < range.begin; });
  if (after == ranges_.begin()) return false;
  const Range& range = *std::prev(after);
  if (!range.end.empty() && key >= range.end) return false;
  if (range_end.empty()) return true;
  return !EndLess(range.end, IsOpenEnded(range_end) ? std::string_view() : range_end);
}

bool IsValidPermissionRange(std::string_view key, std::string_view range_end) {
  if (key.empty()) return false;
  return range_end.empty() || key < range_end || IsOpenEnded(range_end);
}

}  // namespace quorate::auth
