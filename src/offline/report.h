// How long work tells how far it has come.
#pragma once

#include <cstdint>
#include <functional>
#include <string_view>

namespace quorate::offline {

// The phase whose numbers are entries of a log, and not bytes.
inline constexpr std::string_view kReplaying = "replaying";

// `phase` names what is being done ("copying"); bytes done, and in all. Called often: cheap.
using ReportFn = std::function<void(std::string_view phase, uint64_t done, uint64_t total)>;

}  // namespace quorate::offline
