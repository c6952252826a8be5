// version.
#include "cmd/cli/program_version.h"
#include "cmd/quoratectl/commands.h"

namespace quorate::cmd {

void AddVersionCommand(CommandTree* tree) {
  tree->Add(tree->root(), "version", "Prints the version of " + tree->program(), "",
            [tree](const Arguments&) {
              // Under etcd's name, what an etcdctl of this API would say.
              const bool as_etcd = tree->program() == "etcdctl";
              Print(tree->program() + " version: " + std::string(as_etcd ? kEtcdVersion : kQuorateVersion) +
                    "\nAPI version: " + std::string(kEtcdApiVersion) + "\n");
              return 0;
            });
}

}  // namespace quorate::cmd
