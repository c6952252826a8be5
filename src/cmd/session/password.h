// Asks for a password.
#pragma once

#include <string>

namespace quorate::cmd {

// Prints the prompt on stdout and reads a line from stdin, which a terminal does not show meanwhile; then
// ends the prompt's line. Empty at the end of the input. A signal that ends the program meanwhile leaves the
// terminal as it was. One thread.
std::string AskPassword(const std::string& prompt);

}  // namespace quorate::cmd
