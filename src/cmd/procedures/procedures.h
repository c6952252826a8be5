// `quoratectl cluster ...`: what an operator does to a cluster, each procedure in one command that keeps the
// majority.
#pragma once

#include "cmd/cli/command_tree.h"
#include "cmd/session/session.h"

namespace quorate::cmd {

// Adds the group `cluster` with all its commands. `tree` and `session` outlive what is added.
void AddClusterCommands(CommandTree* tree, CtlSession* session);

}  // namespace quorate::cmd
