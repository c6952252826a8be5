// JSON made readable. Pure functions; any input is safe.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace quorate::cmd {

// Deeper documents are left as they are.
inline constexpr int kJsonDepthMax = 200;

// Objects and arrays over several lines, two spaces a level; the text of numbers and strings is kept as it
// is. Nothing: it is no JSON object or array.
std::optional<std::string> PrettyJson(std::string_view text);

// A Secret of Kubernetes without what it holds. Nothing: it is none.
std::optional<std::string> SecretJson(std::string_view text);

// SecretJson of Secrets, PrettyJson of other documents.
std::optional<std::string> PrettyJsonWithoutSecrets(std::string_view text);

}  // namespace quorate::cmd
