// restore, backup list, backup verify: the backups that servers take by themselves.
#include <cstdio>
#include <cstdlib>
#include <memory>

#include "backup/backup_directory.h"
#include "backup/log_segment.h"
#include "backup/utc_time.h"
#include "base/logging.h"
#include "cluster/member.h"
#include "cmd/cli/human_bytes.h"
#include "cmd/quorateutl/session.h"
#include "offline/restore_at.h"
#include "offline/verify_backup.h"

namespace quorate::cmd {
namespace {

Cell Text(const char* table, const char* field, const char* json, const std::string& value) {
  return {table, field, json, value, value, true};
}

Cell Number(const char* table, const char* field, const char* json, int64_t value) {
  return {table, field, json, std::to_string(value), std::to_string(value)};
}

struct RestoreFlags {
  offline::RestoreAtOptions options;
  std::string at;
  std::string cluster_id;
  std::string peer_urls;
};

void PrintReached(const offline::RestoredAt& restored, const std::string& initial_cluster) {
  std::printf("reached revision %lld: backup of revision %lld and %llu entries of the archived log\n",
              static_cast<long long>(restored.revision), static_cast<long long>(restored.backup_revision),
              static_cast<unsigned long long>(restored.entries));
  const auto index = static_cast<unsigned long long>(restored.index);
  std::printf("raft index %llu, hash of the keys %u, last noted at %s\n", index, restored.kv_hash,
              backup::UtcText(restored.unix_nanos).c_str());
  if (initial_cluster.find(',') == std::string::npos) return;
  std::printf(
      "on the other hosts: the same with --at index:%llu, and with --name and --initial-advertise-peer-urls "
      "of "
      "each.\nThe hash must be the same everywhere; members that were restored to other states refuse each "
      "other\n",
      index);
}

int RestoreToMoment(Session* session, RestoreFlags flags, const Arguments& arguments) {
  if (arguments.values.size() != 1) {
    return Fail(
        ExitCode::kBadArguments,
        "restore requires exactly one argument: the directory that --backup-dir of the servers names");
  }
  if (const auto refused = RefuseUnknownFormat(session->write_out)) return *refused;
  offline::RestoreAtOptions& options = flags.options;
  options.backup_dir = arguments.values[0];
  if (!flags.at.empty()) {
    const auto at = offline::ParseMoment(flags.at);
    if (!at.ok()) return Fail(ExitCode::kBadArguments, "--at: " + std::string(Message(at.status())));
    options.at = *at;
  }
  if (!flags.cluster_id.empty()) {
    const auto id = cluster::ParseId(flags.cluster_id);
    if (!id.ok()) return Fail(ExitCode::kBadArguments, "--cluster-id: " + std::string(Message(id.status())));
    options.cluster_id = *id;
  }
  FinishRestoreFlags(&options.member, flags.peer_urls);
  const auto restored =
      offline::RestoreAt(&session->files, &session->clock, &session->random, options, session->Report());
  session->StopProgress();
  if (!restored.ok()) return Fail(restored.status());
  LOG_INFO("restored", {"backup", restored->backup_path}, {"data-dir", options.member.data_dir},
           log::HexId("cluster-id", restored->restored.cluster_id),
           log::HexId("local-member-id", restored->restored.member_id), {"revision", restored->revision});
  if (session->write_out == "simple") {
    PrintReached(*restored, options.member.initial_cluster);
    return 0;
  }
  return PrintCells(
      session->write_out,
      {Number("revision", "Revision", "revision", restored->revision),
       Number("backup revision", "Backup revision", "backupRevision", restored->backup_revision),
       Number("entries", "Entries", "entries", static_cast<int64_t>(restored->entries)),
       Number("raft index", "Raft index", "raftIndex", static_cast<int64_t>(restored->index)),
       Number("hash", "Hash", "hash", restored->kv_hash),
       Text("noted", "Noted", "noted", backup::UtcText(restored->unix_nanos)),
       Text("backup", "Backup", "backup", restored->backup_path)});
}

void AddRestoreToMoment(CommandTree* tree, Session* session) {
  const auto flags = std::make_shared<RestoreFlags>();
  CLI::App* command = tree->Add(
      tree->root(), "restore",
      "Restores a member from a server's backups to any moment that their archived log reaches",
      "<backup directory>",
      [session, flags](const Arguments& arguments) { return RestoreToMoment(session, *flags, arguments); });
  command->add_option(
      "--at", flags->at,
      "A revision, a time such as 2026-11-28T06:31:39Z, or index:N, a raft index: the state that "
      "it had, or that there was then (default: the newest there is)");
  command->add_option("--cluster-id", flags->cluster_id,
                      "The cluster, in hex, when the directory has backups of several");
  AddRestoreFlags(command, &flags->options.member, &flags->peer_urls);
}

int ListBackups(Session* session, const Arguments& arguments) {
  if (arguments.values.size() != 1) {
    return Fail(ExitCode::kBadArguments, "backup list requires exactly one argument: a backup directory");
  }
  if (const auto refused = RefuseUnknownFormat(session->write_out)) return *refused;
  const std::string& directory = arguments.values[0];
  const auto backups = backup::ListBackups(&session->files, directory, 0);
  if (!backups.ok()) return Fail(backups.status());
  std::vector<std::vector<Cell>> rows;
  for (const backup::BackupName& one : *backups) {
    const std::string file = backup::Stem(one) + std::string(backup::kBackupSuffix);
    const auto info = session->files.Stat(directory + "/" + file);
    if (!info.ok()) continue;  // Removed meanwhile.
    const auto note = backup::ReadNote(&session->files, directory, one);
    const std::string index = note.ok() ? std::to_string(note->raft_index) : "0";
    rows.push_back({Text("taken", "Taken", "taken", backup::UtcText(one.taken_unix_nanos)),
                    Number("revision", "Revision", "revision", one.revision),
                    {"raft index", "Raft index", "raftIndex", index, index},
                    {"size", "Size", "size", HumanBytes(info->size), std::to_string(info->size)},
                    Text("member", "Member", "member", cluster::IdText(one.member_id)),
                    Text("cluster", "Cluster", "cluster", cluster::IdText(one.cluster_id)),
                    Text("file", "File", "file", file)});
  }
  return PrintRows(session->write_out, rows);
}

int VerifyBackup(Session* session, std::string scratch_dir, const Arguments& arguments) {
  if (arguments.values.size() != 1) {
    return Fail(ExitCode::kBadArguments, "backup verify requires exactly one argument: the file of a backup");
  }
  if (const auto refused = RefuseUnknownFormat(session->write_out)) return *refused;
  if (scratch_dir.empty()) {
    const char* temporary = std::getenv("TMPDIR");
    const std::string base = temporary == nullptr || *temporary == '\0' ? "/var/tmp" : temporary;
    scratch_dir = base + "/quorate-verify-" + std::to_string(session->clock.WallNanos());
  }
  const auto verified = offline::VerifyBackup(&session->files, &session->clock, &session->random,
                                              {arguments.values[0], scratch_dir}, session->Report());
  session->StopProgress();
  if (!verified.ok()) return Fail(verified.status());
  if (session->write_out != "simple") {
    return PrintCells(
        session->write_out,
        {Number("revision", "Revision", "revision", verified->revision),
         Number("hash", "Hash", "hash", verified->kv_hash),
         {"hash compared", "Hash compared", "hashCompared", verified->hash_compared ? "true" : "false",
          verified->hash_compared ? "true" : "false"},
         Number("log entries", "Log entries", "logEntries", static_cast<int64_t>(verified->entries)),
         Number("log revision", "Log revision", "logRevision", verified->log_revision)});
  }
  std::printf("%s is good: revision %lld, hash %u (%s)\n", arguments.values[0].c_str(),
              static_cast<long long>(verified->revision), verified->kv_hash,
              verified->hash_compared ? "as the server noted" : "the server noted none");
  if (verified->has_log) {
    std::printf("archived log is good: %llu entries to revision %lld, %llu hashes of later backups agree\n",
                static_cast<unsigned long long>(verified->entries),
                static_cast<long long>(verified->log_revision),
                static_cast<unsigned long long>(verified->hashes_compared));
  }
  return 0;
}

// etcd 3.5's command of this name is for data of the v2 API. Its flags are taken, so that what is said is the
// way out.
CLI::App* AddBackup(CommandTree* tree) {
  const auto of_v2 = std::make_shared<bool>(false);
  const auto command = std::make_shared<CLI::App*>(nullptr);
  *command =
      tree->Add(tree->root(), "backup", "Looks at backups that servers have taken by themselves", "",
                [tree, of_v2, command](const Arguments&) {
                  if (!*of_v2) {
                    std::fputs(tree->HelpText(*command).c_str(), stdout);
                    return 0;
                  }
                  return Fail(ExitCode::kError,
                              "backup is for data of the v2 API, which is not kept here; take a backup "
                              "of a running member with `quoratectl snapshot save FILE`, and bring it "
                              "back with `snapshot restore`");
                });
  for (const char* flag : {"--data-dir", "--wal-dir", "--backup-dir", "--backup-wal-dir"}) {
    (*command)
        ->add_option_function<std::string>(flag, [of_v2](const std::string&) { *of_v2 = true; })
        ->group("");
  }
  (*command)->add_flag_function("--with-v3", [of_v2](int64_t) { *of_v2 = true; })->group("");
  return *command;
}

}  // namespace

void AddBackupCommands(CommandTree* tree, Session* session) {
  AddRestoreToMoment(tree, session);
  CLI::App* backup = AddBackup(tree);
  tree->Add(backup, "list", "Lists the backups of a directory, oldest first", "<backup directory>",
            [session](const Arguments& arguments) { return ListBackups(session, arguments); });
  const auto scratch = std::make_shared<std::string>();
  CLI::App* verify = tree->Add(
      backup, "verify",
      "Tries a backup out: checks its pages, starts a member alone on a copy, compares its hash, and applies "
      "the archived log",
      "<file>",
      [session, scratch](const Arguments& arguments) { return VerifyBackup(session, *scratch, arguments); });
  verify->add_option("--scratch-dir", *scratch,
                     "Where the copies are made, and removed afterwards; twice the backup's size (default: a "
                     "new directory in $TMPDIR, or /var/tmp)");
}

}  // namespace quorate::cmd
