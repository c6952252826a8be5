#include "cmd/session/password.h"

#include <termios.h>
#include <unistd.h>

#include <cstdio>
#include <string>

namespace quorate::cmd {
namespace {

// While it lives, the terminal does not show what is typed.
class EchoOff {
 public:
  EchoOff() {
    if (tcgetattr(STDIN_FILENO, &before_) != 0) return;
    terminal_ = true;
    termios silent = before_;
    silent.c_lflag &= ~static_cast<tcflag_t>(ECHO);
    tcsetattr(STDIN_FILENO, TCSAFLUSH, &silent);
  }
  ~EchoOff() {
    if (terminal_) tcsetattr(STDIN_FILENO, TCSAFLUSH, &before_);
  }
  EchoOff(const EchoOff&) = delete;
  EchoOff& operator=(const EchoOff&) = delete;

 private:
  bool terminal_ = false;
  termios before_{};
};

}  // namespace

std::string AskPassword(const std::string& prompt) {
  std::fputs(prompt.c_str(), stdout);
  std::fflush(stdout);
  std::string line;
  {
    const EchoOff echo_off;
    for (int c = std::getc(stdin); c != EOF && c != '\n'; c = std::getc(stdin)) {
      line += static_cast<char>(c);
    }
  }
  std::fputs("\n", stdout);
  if (line.ends_with('\r')) line.pop_back();
  return line;
}

}  // namespace quorate::cmd
