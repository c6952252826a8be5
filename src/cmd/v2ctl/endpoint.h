// Endpoints as they are given to the second-generation client. Source: Go's net/url, client/members.go. Pure
// functions.
#pragma once

#include <string>
#include <string_view>

#include "base/status.h"

namespace quorate::cmd::v2 {

// A URL as it is kept and printed: http:// where there is no scheme.
StatusOr<std::string> NormalEndpoint(std::string_view text);

// The URL of a path ("/v2/members") at an endpoint that may have a path of its own.
std::string UrlAt(std::string_view endpoint, std::string_view path);

}  // namespace quorate::cmd::v2
