// What the process asks of the system for itself, once, before it serves.
#pragma once

#include "base/status.h"

namespace quorate::cmd {

// Keeps the process's memory from being swapped out (--memory-mlock). The database's mapping is left alone:
// it may be larger than memory, and its pages are read anew.
Status LockMemory();

// The largest number of open files that the system allows: one a client, and more.
void RaiseFileLimit();

}  // namespace quorate::cmd
