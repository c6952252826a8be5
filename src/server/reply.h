// How an answer comes back to whoever asked.
#pragma once

#include <functional>
#include <string_view>

#include "base/status.h"

namespace quorate::server {

// Called once, on the core thread. On OK `response` is the encoded response message, valid during the call.
using Reply = std::function<void(const Status& status, std::string_view response)>;

}  // namespace quorate::server
