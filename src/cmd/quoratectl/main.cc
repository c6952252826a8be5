// quoratectl: the client on the command line. Under the name etcdctl it is that.
#include <unistd.h>

#include <cstdio>
#include <string>
#include <vector>

#include "cmd/cli/completion.h"
#include "cmd/quoratectl/commands.h"

namespace {

namespace cmd = quorate::cmd;

std::string BaseName(std::string path) {
  const size_t slash = path.rfind('/');
  return slash == std::string::npos ? path : path.substr(slash + 1);
}

// The commands of the v3 API.
int RunThirdGeneration(const std::string& program, const std::vector<std::string>& args) {
  cmd::CommandTree tree(program, "A simple command line client for etcd3.");
  cmd::CtlSession session(&tree);
  cmd::ShowRange show_range;
  cmd::AddGetCommand(&tree, &session, &show_range);
  cmd::AddPutCommand(&tree, &session);
  cmd::AddDelCommand(&tree, &session);
  cmd::AddTxnCommand(&tree, &session);
  cmd::AddWatchCommand(&tree, &session);
  cmd::AddCompactionCommand(&tree, &session);
  cmd::AddLeaseCommands(&tree, &session);
  cmd::AddMemberCommands(&tree, &session);
  cmd::AddEndpointCommands(&tree, &session);
  cmd::AddAlarmCommands(&tree, &session);
  cmd::AddMoveLeaderCommand(&tree, &session);
  cmd::AddDowngradeCommands(&tree, &session);
  cmd::AddVersionCommand(&tree);
  cmd::AddCompletionCommand(&tree);
  return tree.Run(args);
}

}  // namespace

int main(int argc, char** argv) {
  const std::string called = argc > 0 ? BaseName(argv[0]) : "";
  const std::string program = called == "etcdctl" ? called : "quoratectl";
  const int code = RunThirdGeneration(program, std::vector<std::string>(argv + 1, argv + argc));
  if (std::fflush(stdout) != 0) return cmd::Fail(cmd::ExitCode::kIo, "can't write to the standard output");
  return code;
}
