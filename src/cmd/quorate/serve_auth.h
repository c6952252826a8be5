// --auth-token, --auth-token-ttl and --bcrypt-cost.
#pragma once

#include "auth/auth_store.h"
#include "base/env.h"
#include "base/status.h"
#include "cmd/quorate/options.h"

namespace quorate::cmd {

// Reads the key files that --auth-token names. Errors name the flag, the part of it and the way out.
StatusOr<auth::AuthOptions> ReadAuthOptions(const Options& options, FileSystem* files);

}  // namespace quorate::cmd
