// Completion scripts for shells, made from the tree of commands. Pure functions.
#pragma once

#include <string>
#include <string_view>

#include "base/status.h"
#include "cmd/cli/command_tree.h"

namespace quorate::cmd {

// `shell` is bash, zsh, fish or powershell; InvalidArgument for all else.
StatusOr<std::string> CompletionScript(const CommandTree& tree, const CLI::App* root, std::string_view shell);

// Adds `completion bash|zsh|fish|powershell`, which prints the script.
void AddCompletionCommand(CommandTree* tree);

}  // namespace quorate::cmd
