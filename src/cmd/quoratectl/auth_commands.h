// The commands about users: each function adds some to the tree; `session` and `tree` outlive what they add.
#pragma once

#include "cmd/cli/command_tree.h"
#include "cmd/session/session.h"

namespace quorate::cmd {

void AddUserCommands(CommandTree* tree, CtlSession* session);
void AddRoleCommands(CommandTree* tree, CtlSession* session);
void AddAuthCommands(CommandTree* tree, CtlSession* session);

}  // namespace quorate::cmd
