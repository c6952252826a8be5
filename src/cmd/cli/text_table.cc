#include "cmd/cli/text_table.h"

#include <algorithm>
#include <cstdint>
#include <limits>

#include "base/check.h"

namespace quorate::cmd {
namespace {

constexpr size_t kWrapColumns = 30;
// A line that is longer than the limit costs this much more than the square of its distance from it.
constexpr int64_t kTooLongPenalty = 100'000;

using Lines = std::vector<std::string>;

struct Range {
  uint32_t first;
  uint32_t last;
};
// What takes no column, and what takes two; the blocks that occur in names and values.
constexpr Range kZeroWidth[] = {{0x0300, 0x036f}, {0x200b, 0x200f}, {0x20d0, 0x20ff}, {0xfe00, 0xfe0f}};
constexpr Range kDoubleWidth[] = {{0x1100, 0x115f},   {0x2e80, 0x303e},   {0x3041, 0xa4cf},  {0xac00, 0xd7a3},
                                  {0xf900, 0xfaff},   {0xfe30, 0xfe6f},   {0xff00, 0xff60},  {0xffe0, 0xffe6},
                                  {0x1f300, 0x1f64f}, {0x1f900, 0x1f9ff}, {0x20000, 0x3fffd}};

template <size_t N>
bool Contains(const Range (&ranges)[N], uint32_t rune) {
  return std::any_of(ranges, ranges + N,
                     [rune](const Range& range) { return range.first <= rune && rune <= range.last; });
}

constexpr uint32_t kReplacement = 0xfffd;

// Takes one code point off the front; what is none becomes U+FFFD.
uint32_t TakeRune(std::string_view* text) {
  const auto first = static_cast<uint8_t>((*text)[0]);
  const size_t more = first < 0xc0 ? 0 : first < 0xe0 ? 1 : first < 0xf0 ? 2 : 3;
  uint32_t rune = more == 0 ? first : first & (0x3fu >> more);
  size_t taken = 1;
  while (taken <= more && taken < text->size() && (static_cast<uint8_t>((*text)[taken]) & 0xc0) == 0x80) {
    rune = rune << 6 | (static_cast<uint8_t>((*text)[taken]) & 0x3f);
    ++taken;
  }
  text->remove_prefix(taken);
  return taken <= more ? kReplacement : rune;
}

Lines SplitAt(std::string_view text, char separator) {
  Lines parts;
  for (size_t from = 0;;) {
    const size_t at = text.find(separator, from);
    parts.emplace_back(text.substr(from, at - from));
    if (at == std::string_view::npos) return parts;
    from = at + 1;
  }
}

bool DigitOrSpace(char c) { return (c >= '0' && c <= '9') || c == ' '; }

// As a header shows a name. A point between digits stays.
std::string Title(std::string name) {
  const std::string as_given = name;
  for (size_t i = 0; i < name.size(); ++i) {
    const bool between_words =
        (i > 0 && !DigitOrSpace(as_given[i - 1])) || (i + 1 < name.size() && !DigitOrSpace(as_given[i + 1]));
    if (name[i] == '_' || (name[i] == '.' && between_words)) name[i] = ' ';
    if (name[i] >= 'a' && name[i] <= 'z') name[i] = static_cast<char>(name[i] - 'a' + 'A');
  }
  const size_t first = name.find_first_not_of(' ');
  if (first == std::string::npos) return name.empty() ? "" : " ";
  return name.substr(first, name.find_last_not_of(' ') - first + 1);
}

// -?[0-9]+(.[0-9]+)?, the integer part perhaps in groups of three with commas.
bool IsNumber(std::string_view text) {
  if (text.starts_with('-')) text.remove_prefix(1);
  const size_t point = text.find('.');
  const std::string_view whole = text.substr(0, point);
  const auto digits = [](std::string_view part) {
    return !part.empty() &&
           std::all_of(part.begin(), part.end(), [](char c) { return c >= '0' && c <= '9'; });
  };
  if (point != std::string_view::npos && !digits(text.substr(point + 1))) return false;
  if (whole.find(',') == std::string_view::npos) return digits(whole);
  const Lines groups = SplitAt(whole, ',');
  return digits(groups[0]) && groups[0].size() <= 3 &&
         std::all_of(groups.begin() + 1, groups.end(),
                     [&](const std::string& group) { return group.size() == 3 && digits(group); });
}

std::string_view Trim(std::string_view text) {
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
  return text;
}

enum class Side { kLeft, kRight, kCentre };

std::string Pad(const std::string& text, size_t width, Side side) {
  const size_t used = DisplayWidth(text);
  if (used >= width) return text;
  const size_t gap = width - used;
  const size_t before = side == Side::kLeft ? 0 : side == Side::kRight ? gap : gap / 2;
  return std::string(before, ' ') + text + std::string(gap - before, ' ');
}

// The text of a cell as lines; *width grows to the widest.
Lines CellLines(std::string_view text, size_t* width) {
  size_t widest = 0;
  for (const std::string& line : SplitAt(text, '\n')) widest = std::max(widest, DisplayWidth(line));
  const size_t wrap = std::min(widest, kWrapColumns);
  Lines lines = WrapWords(text, wrap);
  *width = std::max(*width, wrap);
  for (const std::string& line : lines) *width = std::max(*width, DisplayWidth(line));
  return lines;
}

class Box {
 public:
  explicit Box(size_t columns) : widths_(columns, 0) {}

  std::vector<Lines> Measure(const std::vector<std::string>& cells) {
    QUORATE_CHECK(cells.size() == widths_.size());
    std::vector<Lines> row;
    for (size_t i = 0; i < cells.size(); ++i) row.push_back(CellLines(cells[i], &widths_[i]));
    return row;
  }

  void Rule() {
    for (const size_t width : widths_) out_ += "+" + std::string(width + 2, '-');
    out_ += "+\n";
  }

  void Header(const std::vector<Lines>& cells) {
    Row(cells, "", [](const std::string& text) { return std::pair(Title(text), Side::kCentre); });
  }

  void Body(const std::vector<Lines>& cells, CellAlign align) {
    Row(cells, "  ", [align](const std::string& text) {
      const bool right = align == CellAlign::kRight || IsNumber(Trim(text));
      return std::pair(text, right ? Side::kRight : Side::kLeft);
    });
  }

  std::string Take() { return std::move(out_); }

 private:
  // `filler` stands where a cell has fewer lines than its row.
  template <typename Shape>
  void Row(const std::vector<Lines>& cells, const std::string& filler, Shape shape) {
    size_t height = 0;
    for (const Lines& lines : cells) height = std::max(height, lines.size());
    for (size_t line = 0; line < height; ++line) {
      for (size_t i = 0; i < cells.size(); ++i) {
        const auto [text, side] = shape(line < cells[i].size() ? cells[i][line] : filler);
        out_ += "| " + Pad(text, widths_[i], side) + " ";
      }
      out_ += "|\n";
    }
  }

  std::vector<size_t> widths_;
  std::string out_;
};

}  // namespace

size_t DisplayWidth(std::string_view text) {
  size_t width = 0;
  while (!text.empty()) {
    const uint32_t rune = TakeRune(&text);
    if (rune < 0x20 || rune == 0x7f || Contains(kZeroWidth, rune)) continue;
    width += Contains(kDoubleWidth, rune) ? 2 : 1;
  }
  return width;
}

std::vector<std::string> WrapWords(std::string_view text, size_t width) {
  std::string flat(text);
  std::replace(flat.begin(), flat.end(), '\n', ' ');
  const Lines words = SplitAt(flat, ' ');
  const size_t count = words.size();
  std::vector<int64_t> widths;
  for (const std::string& word : words) {
    widths.push_back(static_cast<int64_t>(DisplayWidth(word)));
    width = std::max(width, static_cast<size_t>(widths.back()));
  }
  const auto limit = static_cast<int64_t>(width);
  // cost[i]: the least cost of the words from i on; next[i]: where the line after the one that begins at i
  // begins.
  std::vector<int64_t> cost(count + 1, 0);
  std::vector<size_t> next(count, 0);
  int64_t rest = -1;  // Width of words[i..] on one line.
  for (size_t i = count; i-- > 0;) {
    rest += widths[i] + 1;
    next[i] = count;
    if (rest <= limit) continue;
    cost[i] = std::numeric_limits<int64_t>::max();
    int64_t line = -1;
    for (size_t end = i + 1; end < count; ++end) {
      line += widths[end - 1] + 1;
      const int64_t off = limit - line;
      const int64_t total = off * off + cost[end] + (line > limit ? kTooLongPenalty : 0);
      if (total >= cost[i]) continue;
      cost[i] = total;
      next[i] = end;
    }
  }
  Lines lines;
  for (size_t i = 0; i < count; i = next[i]) {
    std::string line = words[i];
    for (size_t k = i + 1; k < next[i]; ++k) line += " " + words[k];
    lines.push_back(std::move(line));
  }
  return lines;
}

std::string TextTable(const std::vector<std::string>& header,
                      const std::vector<std::vector<std::string>>& rows, CellAlign align) {
  Box box(header.size());
  const std::vector<Lines> head = box.Measure(header);
  std::vector<std::vector<Lines>> body;
  body.reserve(rows.size());
  for (const auto& row : rows) body.push_back(box.Measure(row));
  box.Rule();
  box.Header(head);
  box.Rule();
  for (const auto& row : body) box.Body(row, align);
  box.Rule();
  return box.Take();
}

}  // namespace quorate::cmd
