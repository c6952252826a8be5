#include "backup/utc_time.h"

#include <algorithm>

#include "absl/time/time.h"

namespace quorate::backup {
namespace {

constexpr int64_t kMilliNanos = 1'000'000;
constexpr size_t kTextBytesMax = 64;
constexpr size_t kCompactBytes = 20;

bool ParseAs(const char* format, std::string_view text, int64_t* unix_nanos) {
  absl::Time time;
  std::string error;
  if (!absl::ParseTime(format, absl::string_view(text.data(), text.size()), absl::UTCTimeZone(), &time,
                       &error)) {
    return false;
  }
  // What nanoseconds in 64 bits can't hold comes back saturated.
  *unix_nanos = absl::ToUnixNanos(time);
  return absl::FromUnixNanos(*unix_nanos) == time;
}

std::string Format(const char* format, int64_t unix_nanos) {
  int64_t millis = unix_nanos / kMilliNanos;
  if (unix_nanos % kMilliNanos < 0) --millis;
  return absl::FormatTime(format, absl::FromUnixMillis(millis), absl::UTCTimeZone());
}

}  // namespace

std::string UtcText(int64_t unix_nanos) { return Format("%Y-%m-%dT%H:%M:%E3SZ", unix_nanos); }

StatusOr<int64_t> ParseUtc(std::string_view text) {
  int64_t nanos = 0;
  if (text.size() <= kTextBytesMax) {
    for (const char* format :
         {"%Y-%m-%dT%H:%M:%E*S%Ez", "%Y-%m-%d %H:%M:%E*S%Ez", "%Y-%m-%dT%H:%M:%E*S", "%Y-%m-%d %H:%M:%E*S"}) {
      if (ParseAs(format, text, &nanos)) return nanos;
    }
  }
  return InvalidArgument("\"" + std::string(text.substr(0, kTextBytesMax)) +
                         "\" is no time: write it as 2026-11-28T06:31:39Z or with another zone "
                         "(2026-11-28T07:31:39+01:00)");
}

std::string CompactUtcText(int64_t unix_nanos) { return Format("%Y%m%dT%H%M%E3SZ", unix_nanos); }

StatusOr<int64_t> ParseCompactUtc(std::string_view text) {
  int64_t nanos = 0;
  // The exact form only: a name must come out as it went in.
  if (text.size() == kCompactBytes && text[8] == 'T' && text.back() == 'Z') {
    std::string spread(text.substr(0, 4));
    for (const auto& [from, before] : {std::pair{4, "-"}, {6, "-"}}) {
      spread += before + std::string(text.substr(static_cast<size_t>(from), 2));
    }
    spread += "T" + std::string(text.substr(9, 2)) + ":" + std::string(text.substr(11, 2)) + ":" +
              std::string(text.substr(13));
    if (ParseAs("%Y-%m-%dT%H:%M:%E*S%Ez", spread, &nanos) && CompactUtcText(nanos) == text) return nanos;
  }
  return InvalidArgument("\"" + std::string(text.substr(0, kTextBytesMax)) + "\" is no time of a file name");
}

}  // namespace quorate::backup
