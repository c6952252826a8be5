// IDs of members and leases on the command line: hexadecimal without a prefix. The texts are etcd's.
#pragma once

#include <cstdint>
#include <string>

#include "base/status.h"

namespace quorate::cmd {

// Errors are strconv.ParseUint's: parsing "x": invalid syntax.
StatusOr<uint64_t> ParseHex(const std::string& text);
// Those that commands take as an argument.
StatusOr<uint64_t> ParseMemberId(const std::string& text);
StatusOr<int64_t> ParseLeaseArgument(const std::string& text);
// That of --lease.
StatusOr<int64_t> ParseLeaseId(const std::string& text);

}  // namespace quorate::cmd
