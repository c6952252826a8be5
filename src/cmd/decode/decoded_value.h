// What `get --decode` shows of the keys that were found. Pure functions; any input is safe.
#pragma once

#include <string>
#include <string_view>

#include "mvcc.pb.h"

namespace quorate::cmd {

// One value: JSON over several lines, an object of Kubernetes as an outline, text as it is, all else as its
// first bytes. Without `show_secrets` Secrets are shown without what they hold, and what lies below a key of
// secrets and is none is not shown at all.
std::string DecodedValue(std::string_view key, std::string_view value, bool show_secrets);

// Key and value, whole lines.
std::string DecodedLines(const mvccpb::KeyValue& kv, bool show_secrets);

}  // namespace quorate::cmd
