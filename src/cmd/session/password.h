// Asks for a password.
#pragma once

#include <string>

namespace quorate::cmd {

// Prints the prompt on stdout and reads a line from stdin, which a terminal does not show meanwhile; then
// ends the prompt's line. Empty at the end of the input.
std::string AskPassword(const std::string& prompt);

}  // namespace quorate::cmd
