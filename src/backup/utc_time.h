// Moments as people write them. Pure functions; moments are nanoseconds since 1970 UTC.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/status.h"

namespace quorate::backup {

// "2026-11-28T06:31:39.123Z": to the millisecond, cut off.
std::string UtcText(int64_t unix_nanos);
// RFC 3339 ("2026-11-28T06:31:39.5Z", "2026-11-28T07:31:39+01:00"); and without a zone, with "T" or a blank,
// which then is UTC. InvalidArgument names the forms.
StatusOr<int64_t> ParseUtc(std::string_view text);

// "20261128T063139.123Z": for names of files, which then stand in order.
std::string CompactUtcText(int64_t unix_nanos);
StatusOr<int64_t> ParseCompactUtc(std::string_view text);

}  // namespace quorate::backup
