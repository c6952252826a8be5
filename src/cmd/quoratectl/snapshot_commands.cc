// snapshot save, and those on snapshot files, which are quorateutl's.
#include <cstdio>
#include <memory>

#include "cmd/cli/progress.h"
#include "cmd/quoratectl/commands.h"
#include "cmd/quoratectl/end_signals.h"
#include "cmd/quoratectl/snapshot_save.h"

namespace quorate::cmd {
namespace {

std::string Joined(const std::vector<std::string>& texts) {
  std::string joined;
  for (const std::string& text : texts) joined += (joined.empty() ? "" : " ") + text;
  return joined;
}

int Save(CtlSession* session, Session* files, bool overwrite, const Arguments& arguments) {
  if (arguments.values.size() != 1) {
    return Fail(ExitCode::kBadArguments, "snapshot save expects one argument");
  }
  const std::string& path = arguments.values[0];
  const auto endpoints = session->EndpointsOf(false);
  if (!endpoints) return session->exit_code();
  if (endpoints->size() != 1) {
    return Fail(ExitCode::kInterrupted,
                "snapshot must be requested to one selected node, not multiple [" + Joined(*endpoints) + "]");
  }
  if (!overwrite && files->files.Exists(path)) {
    return Fail(ExitCode::kIo, path + " is there already; name another file, or say --force to replace it");
  }
  // Who interrupts it shall not find the beginning of a snapshot beside it.
  const EndSignals signals;
  client::Client* const client = session->Connect();
  if (client == nullptr) return session->exit_code();
  Status saved;
  {
    Progress progress = MakeProgress("saving", Progress::Unit::kBytes, &files->clock);
    client::CallOptions call = session->LongCall();
    call.stop = signals.stop();
    const auto stream = client->maintenance().Snapshot(call);
    saved = SaveSnapshot(&files->files, &files->random, stream.get(), path, progress.Callback());
  }
  if (!saved.ok()) return session->Fail(saved, ExitCode::kInterrupted);
  Print("Snapshot saved at " + path + "\n");
  return 0;
}

int DefragmentEach(CtlSession* session, const std::vector<std::string>& endpoints) {
  client::Client* const client = session->Connect();
  if (client == nullptr) return session->exit_code();
  int code = 0;
  for (const std::string& endpoint : endpoints) {
    // It takes as long as the file is large, so only a limit that was given ends it.
    client::CallOptions call = session->LongCall();
    call.endpoint = endpoint;
    const auto done = client->maintenance().Defragment(call);
    if (done.ok()) {
      Print("Finished defragmenting etcd member[" + endpoint + "]\n");
    } else {
      code = static_cast<int>(ExitCode::kError);
      session->TellFailure("Failed to defragment etcd member[" + endpoint + "]", done.status());
    }
    std::fflush(stdout);
  }
  return code;
}

}  // namespace

void AddSnapshotCommands(CommandTree* tree, CtlSession* session, Session* files) {
  CLI::App* snapshot = tree->Add(tree->root(), "snapshot", "Manages etcd node snapshots", "", {});
  // etcdctl replaces the file, and nightly scripts rely on it; it does so only with a whole new one.
  const auto overwrite = std::make_shared<bool>(tree->program() == "etcdctl");
  CLI::App* save =
      tree->Add(snapshot, "save", "Stores an etcd node backend snapshot to a given file", "<filename>",
                [=](const Arguments& arguments) { return Save(session, files, *overwrite, arguments); });
  save->add_flag("--force", *overwrite, "Replace the file if it is there already (etcdctl always does)");
  // These commands know no session of the client: their format is set as it is read.
  tree->root()->get_option("--write-out")->each([files](const std::string& format) {
    files->write_out = format;
  });
  AddSnapshotFileCommands(tree, files, snapshot);
}

void AddMigrateCommand(CommandTree* tree) {
  CLI::App* command = tree->Add(
      tree->root(), "migrate", "Migrates keys in a v2 store to a mvcc store", "", [](const Arguments&) {
        return Fail(
            ExitCode::kError,
            "migrate is for keys of the v2 API, which is not served here: run etcd 3.4's own "
            "etcdctl (Debian's package etcd-client) with `migrate --data-dir DIR` on the directory of "
            "each member, while it is stopped, and start the members on what it leaves");
      });
  command->group("");
  for (const char* flag : {"--data-dir", "--wal-dir", "--transformer"}) {
    command->add_option_function<std::string>(flag, [](const std::string&) {})->group("");
  }
  command->add_flag_function("--no-ttl", [](int64_t) {})->group("");
}

void AddDefragCommand(CommandTree* tree, CtlSession* session, Session* files) {
  const auto cluster = std::make_shared<bool>(false);
  const auto data_dir = std::make_shared<std::string>();
  CLI::App* command =
      tree->Add(tree->root(), "defrag", "Defragments the storage of the etcd members with given endpoints",
                "", [=](const Arguments&) {
                  if (!data_dir->empty()) return DefragmentDirectory(files, *data_dir);
                  const auto endpoints = session->EndpointsOf(*cluster);
                  if (!endpoints) return session->exit_code();
                  return DefragmentEach(session, *endpoints);
                });
  command->add_flag("--cluster", *cluster, "use all endpoints from the cluster member list");
  command->add_option("--data-dir", *data_dir,
                      "Optional. If present, defragments a data directory not in use by etcd.");
}

}  // namespace quorate::cmd
