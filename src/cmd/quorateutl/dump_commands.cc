// dump wal, dump db, dump snap.
#include <cstdio>
#include <memory>

#include "cmd/quorateutl/session.h"
#include "offline/data_directory.h"
#include "offline/dump.h"

namespace quorate::cmd {
namespace {

Status PrintLine(std::string_view line) {
  std::fwrite(line.data(), 1, line.size(), stdout);
  // A closed pipe (`| head`) ends the program by its signal; a full disk shows here.
  if (std::fputc('\n', stdout) == EOF) return Unknown("can't write to the standard output");
  return absl::OkStatus();
}

struct DumpFlags {
  std::string data_dir;
  std::string wal_dir;
  offline::LogDumpOptions log;
  offline::BucketDumpOptions bucket;
};

int DumpWal(Session* session, const DumpFlags& flags, const Arguments& arguments) {
  if (const auto refused = RefuseFormats(session->write_out)) return *refused;
  const size_t places = arguments.values.size() + (flags.data_dir.empty() && flags.wal_dir.empty() ? 0 : 1);
  if (places != 1)
    return Fail(ExitCode::kBadArguments, "name one log: a directory, or --data-dir, or --wal-dir");
  const std::string dir =
      arguments.values.empty() ? offline::LocateData(flags.data_dir, flags.wal_dir).wal : arguments.values[0];
  const Status status = offline::DumpLog(&session->files, dir, flags.log, PrintLine);
  return status.ok() ? 0 : Fail(status);
}

int DumpDb(Session* session, DumpFlags flags, const Arguments& arguments) {
  if (const auto refused = RefuseFormats(session->write_out)) return *refused;
  const size_t count = arguments.values.size();
  if (count < 1 || count > 2) {
    return Fail(ExitCode::kBadArguments, "dump db requires a file, and the name of a bucket to see its rows");
  }
  const std::string& path = arguments.values[0];
  session->WaitForDb(path, false);
  flags.bucket.text = flags.log.text;
  Status status;
  if (count == 1) {
    status = offline::DumpBuckets(&session->files, path, PrintLine);
  } else {
    flags.bucket.bucket = arguments.values[1];
    status = offline::DumpBucket(&session->files, path, flags.bucket, PrintLine);
  }
  return status.ok() ? 0 : Fail(status);
}

int DumpSnapFile(Session* session, const Arguments& arguments) {
  if (const auto refused = RefuseFormats(session->write_out)) return *refused;
  if (arguments.values.empty()) return Fail(ExitCode::kBadArguments, "dump snap requires a file");
  for (const std::string& path : arguments.values) {
    if (arguments.values.size() > 1) std::printf("%s:\n", path.c_str());
    if (const Status status = offline::DumpSnap(&session->files, path, PrintLine); !status.ok())
      return Fail(status);
  }
  return 0;
}

}  // namespace

void AddDumpCommands(CommandTree* tree, Session* session) {
  const auto flags = std::make_shared<DumpFlags>();
  const auto add_secrets = [&flags](CLI::App* command) {
    command->add_flag("--show-secrets", flags->log.text.show_secrets,
                      "Show the values of Kubernetes' secrets, too (passwords and tokens stay hidden)");
  };
  CLI::App* dump =
      tree->Add(tree->root(), "dump", "Shows what a log or a database holds, in readable form", "", {});
  CLI::App* wal = tree->Add(dump, "wal", "Shows the records of a write-ahead log", "[directory]",
                            [=](const Arguments& arguments) { return DumpWal(session, *flags, arguments); });
  wal->add_option("--data-dir", flags->data_dir, "Path to the data directory");
  wal->add_option("--wal-dir", flags->wal_dir, "Path to the WAL directory");
  wal->add_option("--start-index", flags->log.first_index, "The first entry to show");
  wal->add_option("--end-index", flags->log.last_index, "The last entry to show");
  wal->add_flag("--entries-only", flags->log.entries_only, "Leave out all records that are no entries");
  add_secrets(wal);
  CLI::App* db = tree->Add(dump, "db", "Shows the buckets of a db file or snapshot file, or the rows of one",
                           "<filename> [bucket]",
                           [=](const Arguments& arguments) { return DumpDb(session, *flags, arguments); });
  db->add_option("--limit", flags->bucket.rows_max, "The most rows to show");
  db->add_flag("--newest-first", flags->bucket.newest_first, "Begin with the last row");
  add_secrets(db);
  tree->Add(dump, "snap", "Shows what .snap files hold", "<filename>...",
            [=](const Arguments& arguments) { return DumpSnapFile(session, arguments); });
}

}  // namespace quorate::cmd
