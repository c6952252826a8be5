// The commands of a program with their flags: declared with CLI11, read as etcd's tools read theirs. CLI11
// itself would take an argument that has the name of a command (`put get 1`) for that command, so finding
// commands and flags is done here, by the rules of Go's cobra and pflag:
//   - a command may be shortened as long as it is one only (`snap stat`);
//   - flags of a command and of those above it stand anywhere, --name VALUE or --name=VALUE, -w VALUE or
//   -wVALUE;
//   - a flag without a value (--hex) takes one only with '='; of a flag given twice the last counts;
//   - after `--` everything is an argument.
// Errors are one line with the original's text; where a name is mistyped the near ones follow.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace quorate::cmd {

// What remains of a command line when the command and the flags are taken away.
struct Arguments {
  std::vector<std::string> values;
  // How many of `values` stood before `--`; nothing without one.
  std::optional<size_t> before_dashes;
};

// Does the command; returns the program's exit code.
using CommandHandler = std::function<int(const Arguments&)>;

// One thread. Everything added lives as long as the tree.
class CommandTree {
 public:
  CommandTree(std::string program, std::string description);
  ~CommandTree();
  CommandTree(const CommandTree&) = delete;
  CommandTree& operator=(const CommandTree&) = delete;

  const std::string& program() const { return program_; }
  // Its options are the global flags.
  CLI::App* root() { return &root_; }

  // A command below `parent`. `arguments` is shown in the usage line ("<filename>"). Without a handler it
  // only holds others, and prints its help. Add flags to what is returned, by add_option and add_flag.
  CLI::App* Add(CLI::App* parent, std::string name, std::string description, std::string arguments,
                CommandHandler handler);
  // A flag of Go's duration syntax ("10s"), in nanoseconds.
  static CLI::Option* AddDuration(CLI::App* command, std::string name, int64_t* nanos,
                                  std::string description);

  // What to do for a command line, decided without printing or running anything.
  struct Outcome {
    const CLI::App* command = nullptr;  // Null: print `out` and `error` and end with exit_code.
    Arguments arguments;
    std::string out;
    std::string error;
    int exit_code = 0;
  };
  Outcome Parse(const std::vector<std::string>& args);
  // Parses, then prints or runs.
  int Run(const std::vector<std::string>& args);

  std::string HelpText(const CLI::App* command) const;
  // One line per flag.
  static std::string FlagsText(const std::vector<const CLI::Option*>& options);
  // "etcdutl snapshot status".
  std::string Path(const CLI::App* command) const;

 private:
  struct Node {
    std::string arguments;
    CommandHandler handler;
  };
  struct Reader;

  const std::string program_;
  CLI::App root_;
  std::map<const CLI::App*, Node> nodes_;
};

// Sets it as if it stood on the command line; InvalidArgument says what the value should have been.
Status SetOption(CLI::Option* option, const std::string& value);
// Whether the option stands without a value.
bool IsSwitch(const CLI::Option& option);
// The options of the command itself, and of those above it.
std::vector<const CLI::Option*> OwnOptions(const CLI::App* command);
std::vector<const CLI::Option*> InheritedOptions(const CLI::App* command);
// In the order in which they were added; hidden ones (an empty group) left out.
std::vector<const CLI::App*> Subcommands(const CLI::App* command);

}  // namespace quorate::cmd
