// What the commands of quorateutl share: the files, the global flags, and how they print.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/env_posix.h"
#include "cmd/cli/command_tree.h"
#include "cmd/cli/exit_code.h"
#include "cmd/cli/output_format.h"
#include "cmd/cli/progress.h"
#include "offline/report.h"
#include "offline/restore.h"

namespace quorate::cmd {

// One thread, one command.
struct Session {
  PosixFileSystem files;
  SystemClock clock;
  SystemRandom random;

  // The global flags.
  std::string write_out = "simple";
  int64_t lock_timeout_nanos = 10'000'000'000;  // 0: for ever.

  // Waits until no other process holds the db file, but not longer than --timeout; whether one still does
  // shows when the file is opened.
  void WaitForDb(const std::string& path, bool exclusive);

  // A bar for each phase. Lives until the session's end or the next call of StopProgress.
  offline::ReportFn Report();
  // Wipes the bar: to be called before anything is printed.
  void StopProgress() { progress_.reset(); }

 private:
  std::unique_ptr<Progress> progress_;
  std::string phase_;
  Progress::Unit unit_ = Progress::Unit::kBytes;
};

// One result in all formats: names and values in order.
struct Cell {
  std::string table_name;  // Header of the column.
  std::string field_name;  // In -w fields.
  std::string json_name;
  std::string shown;  // In tables and lines.
  std::string raw;    // In fields and JSON.
  bool json_string = false;
};

// Prints as etcdutl does: simple is the values with ", " between. Returns the exit code.
int PrintCells(const std::string& write_out, const std::vector<Cell>& cells);

// Several results of the same columns. Simple is a line each, JSON a list.
int PrintRows(const std::string& write_out, const std::vector<std::vector<Cell>>& rows);

// An error for a format that no command has: to be told before the work.
std::optional<int> RefuseUnknownFormat(const std::string& write_out);
// For commands that print lines only: an error for every other format than simple.
std::optional<int> RefuseFormats(const std::string& write_out);

// The work of `defrag`; returns the exit code.
int DefragmentDirectory(Session* session, const std::string& data_dir);

// The flags of `snapshot restore`, and what they mean when they are all read.
void AddRestoreFlags(CLI::App* command, offline::RestoreOptions* options, std::string* peer_urls);
void FinishRestoreFlags(offline::RestoreOptions* options, const std::string& peer_urls);

// status and restore, below `snapshot`: the client of 3.4 and 3.5 has them, too.
void AddSnapshotFileCommands(CommandTree* tree, Session* session, CLI::App* snapshot);

// Each adds its commands to the tree. `session` outlives it.
void AddSnapshotCommands(CommandTree* tree, Session* session);
void AddBackupCommands(CommandTree* tree, Session* session);
void AddMemberCommands(CommandTree* tree, Session* session);
void AddCheckCommands(CommandTree* tree, Session* session);
void AddDumpCommands(CommandTree* tree, Session* session);

}  // namespace quorate::cmd
