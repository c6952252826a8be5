// The commands below `cluster`. Each function adds one; what it is given outlives what it adds.
#pragma once

#include "cmd/procedures/procedures.h"

namespace quorate::cmd {

void AddHealthCommand(CommandTree* tree, CLI::App* cluster, CtlSession* session);
void AddVersionCommands(CommandTree* tree, CLI::App* cluster, CtlSession* session);
void AddRollingRestartCommand(CommandTree* tree, CLI::App* cluster, CtlSession* session);
void AddReplaceMemberCommand(CommandTree* tree, CLI::App* cluster, CtlSession* session);
void AddHealCommand(CommandTree* tree, CLI::App* cluster, CtlSession* session);
void AddClusterWatchCommand(CommandTree* tree, CLI::App* cluster, CtlSession* session);

}  // namespace quorate::cmd
