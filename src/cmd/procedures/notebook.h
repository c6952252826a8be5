// What a procedure has to remember should it be interrupted: a small JSON file in the user's state directory
// ($XDG_STATE_HOME/quorate, or ~/.local/state/quorate), one for each cluster and procedure. Notes are acted
// upon later, so they are believed only where nobody but their user (or root) could have written them.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace quorate::cmd {

// Names and values.
using Notes = std::map<std::string, std::string>;

// Where notes are: `given`, or where that is empty the user's. FailedPrecondition: the user has no home.
StatusOr<std::string> NotesDirectory(const std::string& given);

class Notebook {
 public:
  Notebook(const std::string& directory, uint64_t cluster_id, const std::string& procedure);

  const std::string& path() const { return path_; }
  // Nothing: there is no file. An error: there is one, and it can't be read.
  StatusOr<std::optional<Notes>> Read() const;
  // Written aside, synced, renamed.
  Status Write(const Notes& notes) const;
  Status Remove() const;

 private:
  std::string path_;
};

// What follows `prefix` in the names of this cluster's procedures that were interrupted: "m1" for
// "replace-m1".
StatusOr<std::vector<std::string>> InterruptedProcedures(const std::string& directory, uint64_t cluster_id,
                                                         std::string_view prefix);

// At most one procedure at a time changes a cluster from one notes' directory: a lock on a file there, which
// ends with the object, or the process. It does not hold between machines or users.
class ProcedureLock {
 public:
  // FailedPrecondition, and who has it, when it is held. `procedure`: for others to see.
  static StatusOr<std::unique_ptr<ProcedureLock>> Take(const std::string& directory, uint64_t cluster_id,
                                                       const std::string& procedure);
  ~ProcedureLock();
  ProcedureLock(const ProcedureLock&) = delete;
  ProcedureLock& operator=(const ProcedureLock&) = delete;

 private:
  explicit ProcedureLock(int fd) : fd_(fd) {}

  const int fd_;
};

}  // namespace quorate::cmd
