// quoratectl: the client on the command line. Under the name etcdctl it is that.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "base/logging.h"
#include "base/mapping_faults.h"
#include "cmd/cli/completion.h"
#include "cmd/cli/full_disk.h"
#include "cmd/decode/decoded_value.h"
#include "cmd/decode/key_tree.h"
#include "cmd/procedures/procedures.h"
#include "cmd/quoratectl/auth_commands.h"
#include "cmd/quoratectl/check_commands.h"
#include "cmd/quoratectl/commands.h"
#include "cmd/quoratectl/lock_commands.h"
#include "cmd/quoratectl/make_mirror_command.h"
#include "cmd/v2ctl/v2ctl.h"

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

// The flags of `get` that show keys and values in another way than etcd's client knows.
struct ReadableView {
  bool tree = false;
  uint64_t tree_levels = 0;  // 0: all.
  bool decode = false;
  bool show_secrets = false;
};

void AddReadableView(CLI::App* get, ReadableView* view) {
  get->add_flag("--tree", view->tree, "Show the keys as a tree, cut at '/', with counts and sizes");
  get->add_option("--tree-levels", view->tree_levels, "With --tree: only so many levels, 0: all")
      ->default_str("0");
  get->add_flag("--decode", view->decode, "Show values readably: JSON, Kubernetes' objects, other protobuf");
  get->add_flag("--show-secrets", view->show_secrets, "With --decode: what Kubernetes' Secrets hold, too");
}

int ShowReadably(const cmd::CtlSession& session, const ReadableView& view, cmd::RangePages* pages) {
  using quorate::client::RangeResponse;
  if (session.format() != cmd::OutputFormat::kSimple) {
    return cmd::Fail(cmd::ExitCode::kBadFeature,
                     "--tree and --decode have an output of their own: leave -w out");
  }
  bool first = true;
  if (view.tree) {
    cmd::KeyTree tree;
    const auto read = pages->ForEach([&](const RangeResponse& page) {
      for (const auto& kv : page.kvs()) tree.Add(kv.key(), kv.value().size());
    });
    if (!read.ok()) return session.Fail(read);
    cmd::Print(tree.Text(view.tree_levels));
    first = false;
  }
  if (!view.decode) return 0;
  const auto read = pages->ForEach([&](const RangeResponse& page) {
    for (const auto& kv : page.kvs()) {
      cmd::Print((first ? "" : "\n") + cmd::DecodedLines(kv, view.show_secrets));
      first = false;
    }
  });
  return read.ok() ? 0 : session.Fail(read);
}

// The commands of the v3 API.
[[noreturn]] void RunThirdGeneration(const std::string& program, const std::vector<std::string>& args) {
  cmd::CommandTree tree(program, "A simple command line client for etcd3.");
  cmd::CtlSession session(&tree);
  cmd::Session files;  // For the commands on files, which quorateutl has, too.
  ReadableView view;
  AddReadableView(cmd::AddGetCommand(
                      &tree, &session,
                      {.wanted = [&] { return view.tree || view.decode; },
                       .show = [&](cmd::RangePages* pages) { return ShowReadably(session, view, pages); }}),
                  &view);
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
  cmd::AddCheckCommands(&tree, &session);
  cmd::AddLeaseCommands(&tree, &session);
  cmd::AddMemberCommands(&tree, &session);
  cmd::AddEndpointCommands(&tree, &session);
  cmd::AddAlarmCommands(&tree, &session);
  cmd::AddDefragCommand(&tree, &session, &files);
  cmd::AddSnapshotCommands(&tree, &session, &files);
  cmd::AddMigrateCommand(&tree);
  cmd::AddMoveLeaderCommand(&tree, &session);
  cmd::AddDowngradeCommands(&tree, &session);
  cmd::AddClusterCommands(&tree, &session);
  cmd::AddVersionCommand(&tree);
  cmd::AddOptionsCommand(&tree);
  cmd::AddCompletionCommand(&tree);
  Exit(tree.Run(args));
}

}  // namespace

int main(int argc, char** argv) {
  const std::string called = argc > 0 ? BaseName(argv[0]) : "";
  const std::string program = called == "etcdctl" ? called : "quoratectl";
  const std::vector<std::string> args(argv + std::min(argc, 1), argv + argc);
  const auto environment = [](const char* name) {
    const char* const value = std::getenv(name);
    return std::string(value == nullptr ? "" : value);
  };
  if (cmd::v2::IsV2(args, environment)) Exit(cmd::v2::RunV2(args, environment));
  // What is on stderr beside an error is a log, of work on files, in etcdutl's form.
  quorate::log::Config config;
  config.console = true;
  std::string error;
  if (!quorate::log::Configure(config, &error)) return cmd::Fail(cmd::ExitCode::kIo, error);
  quorate::InstallMappingFaultHandler();
  cmd::MakeFileLimitAnError();
  RunThirdGeneration(program, args);
}
