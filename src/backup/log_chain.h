// The archived log behind a backup, put together from the segments of one directory, whoever archived them:
// each next piece is one that shows, by the entry before it or by one that both have, that it goes on where
// the last one ended. Reads files on the caller's thread; the segments may still be written to.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "backup/backup_file.h"
#include "backup/log_segment.h"
#include "base/env.h"
#include "base/status.h"

namespace quorate::backup {

// What follows in the chain.
struct ChainPiece {
  std::string path;
  std::vector<raft::Entry> entries;  // Not empty.
  std::vector<IndexRow> rows;        // Of these entries, and of the one before them.
};

class LogChain {
 public:
  // Segments that began after `until_unix_nanos` are left out. `files` outlives it.
  static StatusOr<LogChain> Begin(FileSystem* files, const std::string& directory, const BackupNote& base,
                                  int64_t until_unix_nanos = INT64_MAX);

  // The next entries; nothing when the chain has ended.
  StatusOr<std::optional<ChainPiece>> Next();

  // The last entry so far.
  uint64_t index() const { return at_.index; }
  // In words, after the end: what is missing before the next thing that is there, and damage on the way.
  // Empty: nothing more was archived.
  std::string WhatIsMissing() const;

 private:
  LogChain(FileSystem* files, std::string directory, EntryMark at)
      : files_(files), directory_(std::move(directory)), at_(at) {}

  bool GoesOn(const Segment& segment) const;

  FileSystem* files_;
  std::string directory_;
  EntryMark at_;
  std::vector<SegmentName> names_;  // That may still be of use, by first index.
  // Of segments that were looked at.
  struct Damage {
    uint64_t lost_until = 0;
    std::string text;
  };
  std::vector<Damage> damage_;
};

}  // namespace quorate::backup
