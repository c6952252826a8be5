// What the tools say where a file may not grow.
#pragma once

#include <string_view>

namespace quorate::cmd {

// The way out, if the text of an error says that a disk, a quota or a limit is used up; else nothing.
std::string_view FullDiskAdvice(std::string_view error);

// A write beyond the process's limit (ulimit -f) becomes an error of that write, as on a full disk, and the
// tool can clean up; without this the signal SIGXFSZ ends it. Once, at the start; programs that are started
// from here are not affected.
void MakeFileLimitAnError();

}  // namespace quorate::cmd
