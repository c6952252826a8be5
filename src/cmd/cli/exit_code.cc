#include "cmd/cli/exit_code.h"

#include <cstdio>
#include <string>

#include "cmd/cli/full_disk.h"

namespace quorate::cmd {

int Fail(ExitCode code, std::string_view text) {
  // What the command has printed so far comes first where both go to one terminal or file.
  std::fflush(stdout);
  const std::string_view advice = FullDiskAdvice(text);
  const std::string line =
      "Error: " + std::string(text) + (advice.empty() ? "" : "; ") + std::string(advice) + "\n";
  std::fputs(line.c_str(), stderr);
  return static_cast<int>(code);
}

int Fail(const Status& status) { return Fail(ExitCode::kError, Message(status)); }

}  // namespace quorate::cmd
