// The mark of a member whose log went back in time, in a file that survives restarts, and what is said of it.
// The mark names the member's ID: after a remove and add under a new ID it means nothing any more.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/env.h"
#include "base/status.h"
#include "server/lost_log.h"

namespace quorate::server {

struct QuarantineMark {
  uint64_t member_id = 0;
  uint64_t cluster_id = 0;
  std::string proof;  // In words.
  // As the disk said when the proof came.
  raft::Term term = 0;
  raft::Index commit = 0;
  raft::Index last_index = 0;
  int64_t since_unix_seconds = 0;

  friend bool operator==(const QuarantineMark&, const QuarantineMark&) = default;
};

std::string EncodeMark(const QuarantineMark& mark);
StatusOr<QuarantineMark> DecodeMark(std::string_view json);

class QuarantineFile {
 public:
  QuarantineFile(FileSystem* files, std::string path) : files_(files), path_(std::move(path)) {}

  // The mark of this member. One of another member is removed. One that can't be read counts: a member that
  // was quarantined once must not forget it for a damaged byte.
  StatusOr<std::optional<QuarantineMark>> Load(uint64_t member_id, uint64_t cluster_id);
  // OK when there is none.
  Status Remove();
  // Durable when it returns.
  Status Store(const QuarantineMark& mark);
  const std::string& path() const { return path_; }

 private:
  FileSystem* const files_;
  const std::string path_;
};

// One line for requests and health checks.
std::string QuarantineReason(const QuarantineMark& mark);
// The commands by which an operator cures it, one each (runbook R5).
std::vector<std::string> WayOut(uint64_t member_id, std::string_view name,
                                const std::vector<std::string>& peer_urls, std::string_view data_dir);
// What every request gets meanwhile. Unavailable, so that clients go to another member.
Status ErrQuarantined(std::string_view reason);

}  // namespace quorate::server
