// What Go's net/http asks of a request's head, and Boost.Beast does not: so that a request is refused here
// where the original refuses it. Source: net/http/server.go (readRequest, serve) and request.go of Go 1.19.
#pragma once

#include <optional>
#include <string_view>

#include "net/http1_parser.h"

namespace quorate::net {

struct Http1Refusal {
  int status;
  std::string_view detail = {};  // Behind the status's reason; a literal.
};

// Nothing: the request may be served.
std::optional<Http1Refusal> CheckHead(const Http1Head& head);
// The client waits to be told before it sends its body.
bool ExpectsContinue(const Http1Head& head);
// Whether where the request ends is beyond doubt, so that another one may follow.
bool EndIsSure(const Http1Head& head);

}  // namespace quorate::net
