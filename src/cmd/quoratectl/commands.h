// The commands of the client. Each function adds some to the tree; `session` and `tree` outlive what they
// add.
#pragma once

#include <functional>
#include "cmd/cli/command_tree.h"
#include "cmd/quoratectl/range_pages.h"
#include "cmd/quorateutl/session.h"
#include "cmd/session/session.h"

namespace quorate::cmd {

// Another way to show what `get` finds, which comes page by page. Called after the flags of `get` are read.
struct RangeView {
  std::function<bool()> wanted;
  std::function<int(RangePages*)> show;  // Returns the exit code.
};

// `view` is called when the command runs. Returns the command, for flags of the view.
CLI::App* AddGetCommand(CommandTree* tree, CtlSession* session, RangeView view);
void AddPutCommand(CommandTree* tree, CtlSession* session);
void AddDelCommand(CommandTree* tree, CtlSession* session);
void AddTxnCommand(CommandTree* tree, CtlSession* session);
void AddWatchCommand(CommandTree* tree, CtlSession* session);
void AddCompactionCommand(CommandTree* tree, CtlSession* session);
void AddLeaseCommands(CommandTree* tree, CtlSession* session);
void AddMemberCommands(CommandTree* tree, CtlSession* session);
void AddEndpointCommands(CommandTree* tree, CtlSession* session);
void AddAlarmCommands(CommandTree* tree, CtlSession* session);
void AddMoveLeaderCommand(CommandTree* tree, CtlSession* session);
void AddDowngradeCommands(CommandTree* tree, CtlSession* session);
// `files` outlives the tree.
void AddDefragCommand(CommandTree* tree, CtlSession* session, Session* files);
void AddSnapshotCommands(CommandTree* tree, CtlSession* session, Session* files);
// Of etcdctl 3.4, for the v2 API: takes its flags, and says the way out.
void AddMigrateCommand(CommandTree* tree);
// The global flags, as a command (etcdctl 3.7).
void AddOptionsCommand(CommandTree* tree);
void AddVersionCommand(CommandTree* tree);

}  // namespace quorate::cmd
