// What the disk below a file system tells, and does, beyond files. Any thread; may wait for the disk.
#pragma once

#include <cstdint>
#include <string>

#include "base/env.h"
#include "base/status.h"

namespace quorate {

// How much a program that is not privileged may still write on the disk that holds `path`, a file or a
// directory. Where there is no limit, UINT64_MAX.
StatusOr<uint64_t> FreeBytes(FileSystem* files, const std::string& path);

// What is synced of a file leaves the memory of the system, so that the next reader sees what the disk has.
// As far as the system goes along with it: nobody learns of a page that stayed.
void DropPageCache(FileSystem* files, const std::string& path);

}  // namespace quorate
