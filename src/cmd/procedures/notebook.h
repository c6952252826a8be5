// What a procedure has to remember should it be interrupted: a small JSON file in the user's state directory
// ($XDG_STATE_HOME/quorate, or ~/.local/state/quorate), one for each cluster and procedure.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace quorate::cmd {

// Names and values.
using Notes = std::map<std::string, std::string>;

class Notebook {
 public:
  // `directory` empty: the user's.
  Notebook(std::string directory, uint64_t cluster_id, const std::string& procedure);

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
std::vector<std::string> InterruptedProcedures(std::string directory, uint64_t cluster_id,
                                               std::string_view prefix);

}  // namespace quorate::cmd
