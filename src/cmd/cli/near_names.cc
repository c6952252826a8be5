#include "cmd/cli/near_names.h"

#include <algorithm>
#include <utility>

namespace quorate::cmd {
namespace {

constexpr size_t kNamesMax = 3;
// A name that is typed in part, and is long enough to say something.
constexpr size_t kBeginningBytesMin = 3;

char Lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

// A third of the letters may be wrong, and one of a short name.
size_t DistanceMax(std::string_view typed) { return std::max<size_t>(1, typed.size() / 3); }

}  // namespace

size_t EditDistance(std::string_view a, std::string_view b) {
  // Three rows of the table: for a[..i-2], a[..i-1] and a[..i].
  std::vector<size_t> before(b.size() + 1);
  std::vector<size_t> last(b.size() + 1);
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) last[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t changed = last[j - 1] + (Lower(a[i - 1]) == Lower(b[j - 1]) ? 0 : 1);
      row[j] = std::min({last[j] + 1, row[j - 1] + 1, changed});
      const bool swapped =
          i > 1 && j > 1 && Lower(a[i - 1]) == Lower(b[j - 2]) && Lower(a[i - 2]) == Lower(b[j - 1]);
      if (swapped) row[j] = std::min(row[j], before[j - 2] + 1);
    }
    before.swap(last);
    last.swap(row);
  }
  return last[b.size()];
}

std::vector<std::string> NearNames(std::string_view typed, const std::vector<std::string>& names) {
  std::vector<std::pair<size_t, std::string>> near;
  for (const std::string& name : names) {
    const size_t distance = EditDistance(typed, name);
    const bool begins = typed.size() >= kBeginningBytesMin && name.starts_with(typed);
    if (begins || distance <= DistanceMax(typed)) near.emplace_back(begins ? 0 : distance, name);
  }
  std::sort(near.begin(), near.end());
  std::vector<std::string> out;
  for (size_t i = 0; i < near.size() && i < kNamesMax; ++i) out.push_back(near[i].second);
  return out;
}

std::string DidYouMean(const std::vector<std::string>& near, std::string_view prefix) {
  if (near.empty()) return "";
  std::string text = "; did you mean ";
  for (size_t i = 0; i < near.size(); ++i) {
    if (i > 0) text += i + 1 == near.size() ? " or " : ", ";
    text.append(prefix).append(near[i]);
  }
  return text + "?";
}

}  // namespace quorate::cmd
