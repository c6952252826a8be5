// How errors look over JSON. Source: grpc-gateway's runtime/errors.go and handler.go, in the versions that
// etcd 3.4 (v1.6 in Debian), 3.5 (v1.16) and 3.6 (v2) are built with. Pure.
#pragma once

#include <string>
#include <string_view>

#include "net/grpc.h"

namespace quorate::gateway {

// Whose habits clients expect: the cluster's version. Later ones are as 3.6.
enum class Era { k34, k35, k36 };

int HttpStatus(net::Code code, Era era);
// {"error":TEXT,"message":TEXT,"code":N}; from 3.6 {"code":N,"message":TEXT}
std::string ErrorBody(net::Code code, std::string_view message, Era era);
// The last line of a stream: {"error":{...}}
std::string StreamErrorLine(net::Code code, std::string_view message, Era era);

}  // namespace quorate::gateway
