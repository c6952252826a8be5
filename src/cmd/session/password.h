// Asks for a password.
#pragma once

#include <string>

#include "base/status.h"

namespace quorate::cmd {

// Prints the prompt on stdout and reads a line from stdin, which a terminal does not show meanwhile.
StatusOr<std::string> AskPassword(const std::string& prompt);

}  // namespace quorate::cmd
