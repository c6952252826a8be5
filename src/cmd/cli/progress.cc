#include "cmd/cli/progress.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <utility>

#include "cmd/cli/human_bytes.h"
#include "cmd/cli/text_table.h"

namespace quorate::cmd {
namespace {

constexpr int64_t kSecond = 1'000'000'000;
constexpr int64_t kQuietNanos = kSecond;
constexpr int64_t kRedrawNanos = kSecond / 10;
constexpr size_t kBarColumns = 20;

std::string Bar(uint64_t done, uint64_t total) {
  const double part = std::min(1.0, static_cast<double>(done) / static_cast<double>(total));
  const auto filled = static_cast<size_t>(part * kBarColumns);
  std::string bar(filled, '=');
  if (filled < kBarColumns) bar += '>';
  bar.resize(kBarColumns, ' ');
  char percent[16];
  std::snprintf(percent, sizeof percent, "%3.0f %%", part * 100);
  return "[" + bar + "] " + percent;
}

// "42 s", "3 min 20 s", "2 h 5 min".
std::string TimeText(double seconds) {
  const auto whole = static_cast<uint64_t>(seconds + 0.5);
  const auto two = [](uint64_t large, const char* large_unit, uint64_t small, const char* small_unit) {
    return std::to_string(large) + large_unit + std::to_string(small) + small_unit;
  };
  if (whole < 60) return std::to_string(whole) + " s";
  if (whole < 3600) return two(whole / 60, " min ", whole % 60, " s");
  return two(whole / 3600, " h ", whole / 60 % 60, " min");
}

}  // namespace

Progress::Progress(std::string title, Unit unit, const Clock* clock, bool terminal, Write write)
    : title_(std::move(title)),
      unit_(unit),
      clock_(clock),
      terminal_(terminal),
      write_(std::move(write)),
      started_nanos_(clock->MonotonicNanos()) {}

Progress::~Progress() { Wipe(); }

void Progress::Wipe() {
  if (drawn_columns_ == 0) return;
  write_("\r" + std::string(drawn_columns_, ' ') + "\r");
  drawn_columns_ = 0;
}

void Progress::Restart(std::string title) {
  Wipe();
  title_ = std::move(title);
  started_nanos_ = clock_->MonotonicNanos();
  drawn_nanos_ = 0;
}

std::string Progress::Line(int64_t elapsed_nanos, uint64_t done, uint64_t total) const {
  const auto amount = [this](uint64_t count) {
    return unit_ == Unit::kBytes ? HumanBytes(count) : std::to_string(count);
  };
  const double seconds = static_cast<double>(elapsed_nanos) / kSecond;
  const double rate = static_cast<double>(done) / seconds;
  std::string line = title_ + "  ";
  if (total > 0) line += Bar(done, total) + "  ";
  line += amount(done);
  if (total > 0) line += " of " + amount(total);
  line += "  " + amount(static_cast<uint64_t>(rate)) + "/s";
  if (total > done && done > 0) line += "  " + TimeText(static_cast<double>(total - done) / rate) + " left";
  return line;
}

void Progress::Update(uint64_t done, uint64_t total) {
  if (!terminal_) return;
  const int64_t now = clock_->MonotonicNanos();
  if (now - started_nanos_ < kQuietNanos || (drawn_nanos_ != 0 && now - drawn_nanos_ < kRedrawNanos)) return;
  std::string line = Line(now - started_nanos_, done, total);
  const size_t columns = DisplayWidth(line);
  if (columns < drawn_columns_) line.append(drawn_columns_ - columns, ' ');
  write_("\r" + line);
  drawn_columns_ = std::max(columns, drawn_columns_);
  drawn_nanos_ = now;
}

Progress MakeProgress(std::string title, Progress::Unit unit, const Clock* clock) {
  return Progress(std::move(title), unit, clock, isatty(STDERR_FILENO) == 1, [](std::string_view text) {
    std::fwrite(text.data(), 1, text.size(), stderr);
    std::fflush(stderr);
  });
}

}  // namespace quorate::cmd
