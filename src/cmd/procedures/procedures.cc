#include "cmd/procedures/procedures.h"

#include "cmd/procedures/commands.h"

namespace quorate::cmd {

void AddClusterCommands(CommandTree* tree, CtlSession* session) {
  CLI::App* const cluster =
      tree->Add(tree->root(), "cluster", "Health and procedures of the cluster as a whole", "", {});
  AddHealthCommand(tree, cluster, session);
  AddVersionCommands(tree, cluster, session);
  AddRollingRestartCommand(tree, cluster, session);
  AddReplaceMemberCommand(tree, cluster, session);
  AddHealCommand(tree, cluster, session);
  AddClusterWatchCommand(tree, cluster, session);
}

}  // namespace quorate::cmd
