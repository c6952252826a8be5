// What of a request's HTTP headers its call gets to see. Source: grpc-gateway's runtime/context.go. Pure.
#pragma once

#include <chrono>
#include <optional>
#include <string_view>

#include "base/status.h"
#include "net/http.h"

namespace quorate::gateway {

// Authorization, which is the token, as it is; Grpc-Metadata-NAME as NAME.
StatusOr<net::HttpHeaders> CallMetadata(const net::HttpRequest& request);
// Grpc-Timeout: a number and one of H M S m u n.
StatusOr<std::optional<std::chrono::nanoseconds>> CallTimeout(const net::HttpRequest& request);

}  // namespace quorate::gateway
