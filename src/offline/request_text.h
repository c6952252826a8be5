// A log entry in one line for people: which request it is, and what it says. Secrets (passwords, their
// hashes, tokens) are never shown, and values of keys that look like Kubernetes secrets only when asked. Pure
// functions.
#pragma once

#include <string>
#include <string_view>

#include "base/status.h"
#include "raft/types.h"

namespace quorate::offline {

constexpr std::string_view kHidden = "<hidden>";
// Longer keys and values are cut, with their size.
constexpr size_t kShownBytesMax = 256;

struct TextOptions {
  bool show_secrets = false;
};

// A key or value: quoted, as Go's %q, cut after kShownBytesMax.
std::string BytesText(std::string_view bytes);
// Whether the value of the key is not for everybody's eyes: Kubernetes' secrets.
bool IsSecretKey(std::string_view key);

// "put key=\"a\" value=\"b\" lease=1f", "conf-change add-node 8e9e05c52164694d {...}", "leader's empty
// entry". DataLoss for data that is no request.
StatusOr<std::string> EntryText(const raft::Entry& entry, const TextOptions& options);

// "normal", "conf-change", "conf-change-v2".
std::string_view EntryTypeText(raft::EntryType type);

}  // namespace quorate::offline
