// check perf and check datascale: added to the tree; `session` and `tree` outlive them.
#pragma once

#include "cmd/cli/command_tree.h"
#include "cmd/session/session.h"

namespace quorate::cmd {

void AddCheckCommands(CommandTree* tree, CtlSession* session);

}  // namespace quorate::cmd
