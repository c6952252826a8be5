// options.
#include "cmd/quoratectl/commands.h"

namespace quorate::cmd {

void AddOptionsCommand(CommandTree* tree) {
  tree->Add(tree->root(), "options", "Prints the global flags", "", [tree](const Arguments&) {
    Print("The following options can be passed to any command:\n\n" +
          CommandTree::FlagsText(OwnOptions(tree->root())));
    return 0;
  });
}

}  // namespace quorate::cmd
