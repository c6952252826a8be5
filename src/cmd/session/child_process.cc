#include "cmd/session/child_process.h"

#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
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

}  // namespace

StatusOr<int> RunChild(const std::vector<std::string>& words,
                       const std::vector<std::pair<std::string, std::string>>& variables) {
  if (words.empty()) return InvalidArgument("there is no command to run");
  std::fflush(stdout);
  std::vector<std::string> arguments = words;
  std::vector<std::string> environment = Environment(variables);
  pid_t child = 0;
  const int error = posix_spawnp(&child, words[0].c_str(), nullptr, nullptr, Pointers(&arguments).data(),
                                 Pointers(&environment).data());
  if (error == ENOENT && words[0].find('/') == std::string::npos) {
    return NotFound("exec: " + GoQuote(words[0]) + ": executable file not found in $PATH");
  }
  if (error != 0) return NotFound("fork/exec " + words[0] + ": " + std::strerror(error));
  int status = 0;
  while (waitpid(child, &status, 0) < 0) {
    if (errno != EINTR) return Internal(std::string("can't wait for the command: ") + std::strerror(errno));
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

}  // namespace quorate::cmd
