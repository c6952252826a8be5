// <data-dir>/quorate: where this server keeps what is its own beside etcd's data. etcd ignores it.
#pragma once

#include <string>

#include "base/env.h"
#include "base/status.h"

namespace quorate::server {

std::string OwnDirectory(const std::string& data_dir);
// Durable when it returns, in a data directory that is.
Status MakeOwnDirectory(FileSystem* files, const std::string& own_directory);

}  // namespace quorate::server
