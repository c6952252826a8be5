// The places of a member's files. Pure functions.
#pragma once

#include <string>

namespace quorate::offline {

struct DataDirectory {
  std::string root;    // --data-dir.
  std::string member;  // <root>/member
  std::string wal;     // --wal-dir, or <root>/member/wal
  std::string snap;    // <root>/member/snap
  std::string db;      // <root>/member/snap/db
};

// `wal_dir` may be empty. Slashes at the ends are dropped.
DataDirectory LocateData(std::string data_dir, std::string wal_dir);

// The directory that holds `path`: "." for a bare name.
std::string ParentOf(const std::string& path);

}  // namespace quorate::offline
