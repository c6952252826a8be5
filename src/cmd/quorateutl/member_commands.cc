// defrag, migrate, verify.
#include <cstdio>
#include <memory>

#include "base/logging.h"
#include "cluster/member.h"
#include "cmd/cli/human_bytes.h"
#include "cmd/quorateutl/session.h"
#include "offline/data_directory.h"
#include "offline/defragment.h"
#include "offline/member_state.h"
#include "offline/migrate.h"

namespace quorate::cmd {
namespace {

int Migrate(Session* session, const std::string& data_dir, const std::string& target_text, bool force) {
  const auto target = offline::ParseTargetVersion(target_text);
  if (!target.ok()) return Fail(ExitCode::kBadArguments, Message(target.status()));
  const auto at = offline::LocateData(data_dir, "");
  session->WaitForDb(at.db, true);
  const auto done = offline::Migrate(&session->files, at, *target, force);
  if (!done.ok()) return Fail(done.status());
  if (done->from == done->to) {
    LOG_INFO("storage version up-to-date", {"storage-version", cluster::MinorText(done->to)});
  } else if (done->forced) {
    LOG_WARN("forcefully set storage version", {"storage-version", cluster::MinorText(done->to)});
  } else {
    LOG_INFO("updated storage version", {"new-storage-version", cluster::VersionText(done->to)});
  }
  return 0;
}

int Verify(Session* session, const offline::DataDirectory& at, bool exact) {
  session->WaitForDb(at.db, false);
  const auto state = offline::ReadMemberState(&session->files, at);
  if (!state.ok()) return Fail(state.status());
  if (const Status fits = offline::VerifyMember(*state, exact); !fits.ok()) return Fail(fits);
  if (const auto note = offline::TrailingCommit(*state)) std::fprintf(stderr, "note: %s\n", note->c_str());
  std::printf(
      "member %s of cluster %s: log, snapshots and database belong together (committed %llu, database %llu, "
      "snapshot %llu)\n",
      cluster::IdText(state->metadata.node_id).c_str(), cluster::IdText(state->metadata.cluster_id).c_str(),
      static_cast<unsigned long long>(state->hard_state.commit),
      static_cast<unsigned long long>(state->consistent_index),
      static_cast<unsigned long long>(state->snapshot.index));
  return 0;
}

}  // namespace

int DefragmentDirectory(Session* session, const std::string& data_dir) {
  const std::string db = offline::LocateData(data_dir, "").db;
  session->WaitForDb(db, true);
  Env env;
  env.files = &session->files;
  env.clock = &session->clock;
  env.random = &session->random;
  const auto done = offline::Defragment(env, db, session->Report());
  session->StopProgress();
  if (!done.ok()) {
    return Fail(ExitCode::kError, "Failed to defragment etcd data[" + data_dir + "] (" +
                                      std::string(Message(done.status())) + ")");
  }
  LOG_INFO("finished defragmenting", {"path", db}, {"size-before", HumanBytes(done->bytes_before)},
           {"size-after", HumanBytes(done->bytes_after)});
  return 0;
}

void AddMemberCommands(CommandTree* tree, Session* session) {
  struct Flags {
    std::string data_dir;
    std::string wal_dir;
    std::string target_version;
    bool force = false;
    bool exact = false;
  };
  const auto flags = std::make_shared<Flags>();
  CLI::App* defrag =
      tree->Add(tree->root(), "defrag", "Defragments the storage of the etcd", "",
                [=](const Arguments&) { return DefragmentDirectory(session, flags->data_dir); });
  defrag
      ->add_option("--data-dir", flags->data_dir,
                   "Required. Defragments a data directory not in use by etcd.")
      ->required();

  CLI::App* migrate =
      tree->Add(tree->root(), "migrate",
                "Migrates schema of etcd data dir files to make them compatible with different etcd version",
                "", [=](const Arguments&) {
                  return Migrate(session, flags->data_dir, flags->target_version, flags->force);
                });
  migrate->add_option("--data-dir", flags->data_dir, "Path to the etcd data dir")->required();
  migrate
      ->add_option("--target-version", flags->target_version,
                   "Target etcd version to migrate contents of data dir. Minimal value 3.5. Format \"X.Y\" "
                   "for example "
                   "3.6.")
      ->required();
  migrate->add_flag("--force", flags->force,
                    "Ignore migration failure and forcefully override storage version. Not recommended.");

  CLI::App* verify = tree->Add(
      tree->root(), "verify", "Checks that log, snapshots and database of a stopped member belong together",
      "", [=](const Arguments&) {
        return Verify(session, offline::LocateData(flags->data_dir, flags->wal_dir), flags->exact);
      });
  verify->add_option("--data-dir", flags->data_dir, "Path to the data directory")->required();
  verify->add_option("--wal-dir", flags->wal_dir, "Path to the WAL directory (use --data-dir if none given)");
  verify->add_flag("--exact-index", flags->exact,
                   "Demand that the database has all that the log says is committed");
}

}  // namespace quorate::cmd
