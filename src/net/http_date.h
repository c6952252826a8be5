#pragma once

#include <string>

namespace quorate::net {

// Now, as the Date header wants it (RFC 9110, 5.6.7): "Sun, 06 Nov 1994 08:49:37 GMT".
std::string HttpDate();

}  // namespace quorate::net
