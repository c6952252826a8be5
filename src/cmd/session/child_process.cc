#include "cmd/session/child_process.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cctype>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>

#include "cmd/cli/go_syntax.h"

namespace quorate::cmd {
namespace {

std::vector<char*> Pointers(std::vector<std::string>* texts) {
  std::vector<char*> pointers;
  for (std::string& text : *texts) pointers.push_back(text.data());
  pointers.push_back(nullptr);
  return pointers;
}

// Ours without those that are given anew: of two with one name, programs see one or the other.
std::vector<std::string> Environment(const std::vector<std::pair<std::string, std::string>>& variables) {
  std::vector<std::string> environment;
  for (char** ours = environ; *ours != nullptr; ++ours) {
    const std::string name(*ours, std::strcspn(*ours, "="));
    bool replaced = false;
    for (const auto& variable : variables) replaced = replaced || variable.first == name;
    if (!replaced) environment.emplace_back(*ours);
  }
  for (const auto& [name, value] : variables) environment.push_back(name + "=" + value);
  return environment;
}

// Go's texts of errors and signals are those of C, but for the first letters.
std::string LowerCase(std::string text) {
  for (char& c : text) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return text;
}

// What is set for the child: signals that we hold back are its own again.
class SpawnOptions {
 public:
  SpawnOptions() {
    sigset_t none;
    sigset_t ends;
    sigemptyset(&none);
    sigemptyset(&ends);
    for (const int number : {SIGINT, SIGTERM, SIGPIPE}) sigaddset(&ends, number);
    posix_spawnattr_init(&attributes_);
    posix_spawnattr_setsigmask(&attributes_, &none);
    posix_spawnattr_setsigdefault(&attributes_, &ends);
    posix_spawnattr_setflags(&attributes_, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    posix_spawn_file_actions_init(&actions_);
    posix_spawn_file_actions_addopen(&actions_, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  }
  ~SpawnOptions() {
    posix_spawn_file_actions_destroy(&actions_);
    posix_spawnattr_destroy(&attributes_);
  }
  SpawnOptions(const SpawnOptions&) = delete;
  SpawnOptions& operator=(const SpawnOptions&) = delete;

  const posix_spawnattr_t* attributes() const { return &attributes_; }
  const posix_spawn_file_actions_t* actions() const { return &actions_; }

 private:
  posix_spawnattr_t attributes_{};
  posix_spawn_file_actions_t actions_{};
};

}  // namespace

StatusOr<int> RunChild(const std::vector<std::string>& words,
                       const std::vector<std::pair<std::string, std::string>>& variables) {
  if (words.empty()) return InvalidArgument("there is no command to run");
  // What was printed before belongs before what the command prints.
  std::fflush(stdout);
  std::vector<std::string> arguments = words;
  std::vector<std::string> environment = Environment(variables);
  const SpawnOptions options;
  pid_t child = 0;
  const int error = posix_spawnp(&child, words[0].c_str(), options.actions(), options.attributes(),
                                 Pointers(&arguments).data(), Pointers(&environment).data());
  if (error == ENOENT && words[0].find('/') == std::string::npos) {
    return NotFound("exec: " + GoQuote(words[0]) + ": executable file not found in $PATH");
  }
  if (error != 0) return NotFound("fork/exec " + words[0] + ": " + LowerCase(std::strerror(error)));
  int status = 0;
  while (waitpid(child, &status, 0) < 0) {
    if (errno != EINTR) return Internal(std::string("can't wait for the command: ") + std::strerror(errno));
  }
  return status;
}

std::string ChildEndText(int wait_status) {
  if (WIFEXITED(wait_status)) return "exit status " + std::to_string(WEXITSTATUS(wait_status));
  return "signal: " + LowerCase(strsignal(WTERMSIG(wait_status))) +
         (WCOREDUMP(wait_status) ? " (core dumped)" : "");
}

int ChildExitCode(int wait_status) { return WIFEXITED(wait_status) ? WEXITSTATUS(wait_status) : 255; }

}  // namespace quorate::cmd
