// quoratectl: the client on the command line. Under the name etcdctl it is that.
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "base/logging.h"
#include "base/mapping_faults.h"
#include "cmd/cli/completion.h"
#include "cmd/quoratectl/auth_commands.h"
#include "cmd/quoratectl/commands.h"
#include "cmd/quoratectl/lock_commands.h"
#include "cmd/quoratectl/make_mirror_command.h"

namespace {

namespace cmd = quorate::cmd;

std::string BaseName(std::string path) {
  const size_t slash = path.rfind('/');
  return slash == std::string::npos ? path : path.substr(slash + 1);
}

// Ends the program without taking its connections down in order: that costs gRPC longer than a request does.
[[noreturn]] void Exit(int code) {
  if (std::fflush(stdout) != 0) code = cmd::Fail(cmd::ExitCode::kIo, "can't write to the standard output");
  std::fflush(stderr);
  std::_Exit(code);
}

// The commands of the v3 API.
[[noreturn]] void RunThirdGeneration(const std::string& program, const std::vector<std::string>& args) {
  cmd::CommandTree tree(program, "A simple command line client for etcd3.");
  cmd::CtlSession session(&tree);
  cmd::Session files;  // For the commands on files, which quorateutl has, too.
  cmd::ShowRange show_range;
  cmd::AddGetCommand(&tree, &session, &show_range);
  cmd::AddPutCommand(&tree, &session);
  cmd::AddDelCommand(&tree, &session);
  cmd::AddTxnCommand(&tree, &session);
  cmd::AddWatchCommand(&tree, &session);
  cmd::AddCompactionCommand(&tree, &session);
  cmd::AddLockCommands(&tree, &session);
  cmd::AddUserCommands(&tree, &session);
  cmd::AddRoleCommands(&tree, &session);
  cmd::AddAuthCommands(&tree, &session);
  cmd::AddMakeMirrorCommand(&tree, &session);
  cmd::AddLeaseCommands(&tree, &session);
  cmd::AddMemberCommands(&tree, &session);
  cmd::AddEndpointCommands(&tree, &session);
  cmd::AddAlarmCommands(&tree, &session);
  cmd::AddDefragCommand(&tree, &session, &files);
  cmd::AddSnapshotCommands(&tree, &session, &files);
  cmd::AddMoveLeaderCommand(&tree, &session);
  cmd::AddDowngradeCommands(&tree, &session);
  cmd::AddVersionCommand(&tree);
  cmd::AddOptionsCommand(&tree);
  cmd::AddCompletionCommand(&tree);
  Exit(tree.Run(args));
}

}  // namespace

int main(int argc, char** argv) {
  const std::string called = argc > 0 ? BaseName(argv[0]) : "";
  const std::string program = called == "etcdctl" ? called : "quoratectl";
  // What is on stderr beside an error is a log, of work on files, in etcdutl's form.
  quorate::log::Config config;
  config.console = true;
  std::string error;
  if (!quorate::log::Configure(config, &error)) return cmd::Fail(cmd::ExitCode::kIo, error);
  quorate::InstallMappingFaultHandler();
  RunThirdGeneration(program, std::vector<std::string>(argv + 1, argv + argc));
}
