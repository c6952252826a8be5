// What is looked at in a data directory before anything in it.
#pragma once

#include <string>

#include "base/env.h"
#include "base/status.h"

namespace quorate::server {

// An error when the path is no directory. One that others may enter is used as it is, with the original's
// warning; a missing one is fine.
Status CheckDataDirectory(FileSystem* files, const std::string& path);

}  // namespace quorate::server
