// quorateutl: the tool for files that no server has open. Under the name etcdutl it is that.
#include <cstdio>
#include <string>
#include <vector>

#include "base/logging.h"
#include "base/mapping_faults.h"
#include "cmd/cli/completion.h"
#include "cmd/cli/full_disk.h"
#include "cmd/cli/program_version.h"
#include "cmd/quorateutl/session.h"

namespace {

using quorate::cmd::Arguments;
using quorate::cmd::CommandTree;

std::string BaseName(std::string path) {
  const size_t slash = path.rfind('/');
  return slash == std::string::npos ? path : path.substr(slash + 1);
}

void AddVersionCommand(CommandTree* tree) {
  tree->Add(tree->root(), "version", "Prints the version of " + tree->program(), "",
            [tree](const Arguments&) {
              const bool as_etcd = tree->program() == "etcdutl";
              const std::string version(as_etcd ? quorate::cmd::kEtcdVersion : quorate::cmd::kQuorateVersion);
              std::printf("%s version: %s\nAPI version: %s\n", tree->program().c_str(), version.c_str(),
                          std::string(quorate::cmd::kEtcdApiVersion).c_str());
              return 0;
            });
}

}  // namespace

int main(int argc, char** argv) {
  namespace cmd = quorate::cmd;
  // What is on stderr beside an error is a log, in etcdutl's form.
  quorate::log::Config config;
  config.console = true;
  std::string error;
  if (!quorate::log::Configure(config, &error)) return cmd::Fail(cmd::ExitCode::kIo, error);
  quorate::InstallMappingFaultHandler();
  cmd::MakeFileLimitAnError();

  cmd::Session session;
  const std::string called = argc > 0 ? BaseName(argv[0]) : "";
  CommandTree tree(called == "etcdutl" ? called : "quorateutl",
                   "An administrative command line tool for the files of members that are stopped.");
  tree.root()
      ->add_option("-w,--write-out", session.write_out,
                   "set the output format (fields, json, protobuf, simple, table)")
      ->default_str(session.write_out);
  CommandTree::AddDuration(tree.root(), "--timeout", &session.lock_timeout_nanos,
                           "time to wait to obtain a file lock on db file, 0 to block indefinitely");
  cmd::AddSnapshotCommands(&tree, &session);
  cmd::AddBackupCommands(&tree, &session);
  cmd::AddMemberCommands(&tree, &session);
  cmd::AddCheckCommands(&tree, &session);
  cmd::AddDumpCommands(&tree, &session);
  AddVersionCommand(&tree);
  cmd::AddCompletionCommand(&tree);
  const int code = tree.Run(std::vector<std::string>(argv + 1, argv + argc));
  if (std::fflush(stdout) != 0) return cmd::Fail(cmd::ExitCode::kIo, "can't write to the standard output");
  return code;
}
