// Scripts of the recorded behaviour (tests only). A file is a sequence of cases, separated by blank lines:
//
//   # comment
//   command arg key=value list=(1, 2)
//   input lines
//   ----
//   expected output, up to a blank line; or, where it has blank lines itself, between two double lines of
//   ----
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace quorate::raft {

struct CommandArg {
  std::string key;
  std::vector<std::string> values;
};

struct Command {
  int line = 0;
  std::string name;
  std::vector<CommandArg> args;
  std::string input;
  std::string expected;

  // The values of all args with this key.
  std::vector<std::string> Values(std::string_view key) const;
};

// All cases of a file; fails the test where it is malformed.
std::vector<Command> ReadScript(const std::string& path);

enum class ScriptKind { kQuorum, kConfChange, kInteraction };

// The scripts of one kind, found by what their first command is, in: the directories on the command line,
// else RAFT_TESTDATA, else shared/data/raft (see QUORATE_SHARED_DATA). Empty when there is none: skip the
// test.
std::vector<std::string> FindScripts(ScriptKind kind);

// Runs every case of a file and compares what `run` answers.
void RunScript(const std::string& path, const std::function<std::string(const Command&)>& run);

}  // namespace quorate::raft
