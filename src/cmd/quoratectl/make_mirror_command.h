// make-mirror: added to the tree; `session` and `tree` outlive it.
#pragma once

#include "cmd/cli/command_tree.h"
#include "cmd/session/session.h"

namespace quorate::cmd {

void AddMakeMirrorCommand(CommandTree* tree, CtlSession* session);

}  // namespace quorate::cmd
