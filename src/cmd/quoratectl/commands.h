// The commands of the client. Each function adds some to the tree; `session` and `tree` outlive what they
// add.
#pragma once

#include <functional>
#include <optional>

#include "cmd/cli/command_tree.h"
#include "cmd/quorateutl/session.h"
#include "cmd/session/session.h"

namespace quorate::cmd {

// Another way to show what `get` found: returns the exit code, or nothing for the ordinary way. Called after
// the flags of `get` are read.
using ShowRange = std::function<std::optional<int>(const client::RangeResponse&)>;

// `show` is read when the command runs, and may be empty. Returns the command, for flags of `show`.
CLI::App* AddGetCommand(CommandTree* tree, CtlSession* session, const ShowRange* show);
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
// The global flags, as a command (etcdctl 3.7).
void AddOptionsCommand(CommandTree* tree);
void AddVersionCommand(CommandTree* tree);

}  // namespace quorate::cmd
