#include "cmd/session/password.h"

#include <termios.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <iterator>
#include <string>

namespace quorate::cmd {
namespace {

constexpr int kEnds[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};
constexpr size_t kEndCount = std::size(kEnds);

// What a handler may touch: set before the handlers are.
termios shown;
struct sigaction handled_before[kEndCount];

// Then the signal does what it would have done.
void ShowAndEnd(int number) {
  tcsetattr(STDIN_FILENO, TCSAFLUSH, &shown);
  for (size_t i = 0; i < kEndCount; ++i) {
    if (kEnds[i] == number) sigaction(number, &handled_before[i], nullptr);
  }
  raise(number);
}

// While it lives, the terminal does not show what is typed. Who ends the program meanwhile gets a terminal
// back that does. One at a time.
class EchoOff {
 public:
  EchoOff() {
    if (tcgetattr(STDIN_FILENO, &shown) != 0) return;
    terminal_ = true;
    TakeSignals();
    termios silent = shown;
    silent.c_lflag &= ~static_cast<tcflag_t>(ECHO);
    tcsetattr(STDIN_FILENO, TCSAFLUSH, &silent);
  }
  ~EchoOff() {
    if (!terminal_) return;
    tcsetattr(STDIN_FILENO, TCSAFLUSH, &shown);
    for (size_t i = 0; i < kEndCount; ++i) sigaction(kEnds[i], &handled_before[i], nullptr);
  }
  EchoOff(const EchoOff&) = delete;
  EchoOff& operator=(const EchoOff&) = delete;

 private:
  static void TakeSignals() {
    for (size_t i = 0; i < kEndCount; ++i) {
      struct sigaction action {};
      action.sa_handler = ShowAndEnd;
      sigaction(kEnds[i], nullptr, &handled_before[i]);
      if (handled_before[i].sa_handler != SIG_IGN) sigaction(kEnds[i], &action, nullptr);
    }
  }

  bool terminal_ = false;
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
