#include "cmd/cli/full_disk.h"

#include <csignal>

namespace quorate::cmd {
namespace {

struct Advice {
  std::string_view part;  // As the C library words the error.
  std::string_view way_out;
};

constexpr Advice kAdvice[] = {
    {"No space left on device",
     "the disk is full: free space there (see `df`), or name a place on another disk, then run the same "
     "command again"},
    {"Disk quota exceeded",
     "the quota of this user is used up: free space, or name a place on another disk, then run the same "
     "command again"},
    {"File too large",
     "no file may grow so large there: raise the limit (see `ulimit -f`) or name a place on another file "
     "system, then run the same command again"},
};

}  // namespace

std::string_view FullDiskAdvice(std::string_view error) {
  for (const Advice& one : kAdvice) {
    if (error.find(one.part) != std::string_view::npos) return one.way_out;
  }
  return "";
}

void MakeFileLimitAnError() {
  // A handler, and not SIG_IGN, which programs started from here would inherit.
  std::signal(SIGXFSZ, [](int) {});
}

}  // namespace quorate::cmd
