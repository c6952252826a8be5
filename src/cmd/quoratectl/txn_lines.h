// The lines of a transaction: comparisons such as `mod("key") > "0"` and requests such as `put key value`.
// Pure functions.
#pragma once

#include <string_view>

#include "base/status.h"
#include "cmd/cli/exit_code.h"
#include "rpc.pb.h"

namespace quorate::cmd {

StatusOr<etcdserverpb::Compare> ParseCompare(std::string_view line);

// On error *code is how the program ends.
StatusOr<etcdserverpb::RequestOp> ParseRequest(std::string_view line, ExitCode* code);

}  // namespace quorate::cmd
