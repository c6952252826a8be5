// A piece of the archived log: committed entries, and an index that says which revision was reached when.
//
//   log-<UTC>-i<first index>-m<member>-c<cluster>.log      the bytes kMagic, then frames
//   the same with .index                                   rows of text, one a line
//
//   frame    length u32 | CRC-32C of the payload u32 | payload; little-endian
//   payload  of the first frame: SegmentHeader; of the others: raftpb.Entry, as in the write-ahead log
//   row      "<UTC> <raft index> <revision> <CRC-32C of what stands before, in hex>\n"
//
// Frozen: on disk. A row is durable only after the entries up to its index are; so a segment may end in a
// torn frame or row, and what stands before it is good. Any thread, one at a time.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/env.h"
#include "base/status.h"
#include "raft/types.h"

namespace quorate::backup {

constexpr std::string_view kLogSuffix = ".log";
constexpr std::string_view kIndexSuffix = ".index";

struct SegmentName {
  int64_t started_unix_nanos = 0;  // To the millisecond.
  uint64_t first_index = 0;
  uint64_t member_id = 0;
  uint64_t cluster_id = 0;

  friend bool operator==(const SegmentName&, const SegmentName&) = default;
};
// Without a suffix.
std::string SegmentStem(const SegmentName& name);
std::optional<SegmentName> ParseSegmentName(std::string_view file_name, std::string_view suffix);

// What an entry is known by: two logs that have the same at one index are the same up to there, because each
// proposal carries an ID of its own.
struct EntryMark {
  uint64_t index = 0;
  uint64_t term = 0;
  std::optional<uint32_t> crc;  // CRC-32C of the data; unknown in some notes of backups.

  bool Matches(const EntryMark& other) const {
    return index == other.index && term == other.term && (!crc || !other.crc || *crc == *other.crc);
  }
};
EntryMark MarkOf(const raft::Entry& entry);

struct SegmentHeader {
  SegmentName name;
  // The entry before the first; unknown after a start and after a gap.
  std::optional<EntryMark> before;
};

// The state at a moment of the member's clock.
struct IndexRow {
  int64_t unix_nanos = 0;
  uint64_t index = 0;
  int64_t revision = 0;

  friend bool operator==(const IndexRow&, const IndexRow&) = default;
};
std::string EncodeRow(const IndexRow& row);
std::optional<IndexRow> DecodeRow(std::string_view line);

// Writing. After an error the segment is not to be written to any more.
class SegmentWriter {
 public:
  // Makes both files, durable; neither is left after an error.
  static StatusOr<std::unique_ptr<SegmentWriter>> Create(FileSystem* files, const std::string& directory,
                                                         const SegmentHeader& header);
  // Entries that follow each other; durable when it returns, and then the row. After an error what it wrote
  // of them is cut off, and a segment without entries is removed, as far as that goes.
  Status Append(const std::vector<raft::Entry>& entries, const std::optional<IndexRow>& row);
  uint64_t size_bytes() const { return log_bytes_; }
  const std::string& path() const { return log_->path(); }

 private:
  SegmentWriter(FileSystem* files, std::string directory) : files_(files), directory_(std::move(directory)) {}

  Status Begin(const SegmentHeader& header);
  Status Write(const std::vector<raft::Entry>& entries, const std::optional<IndexRow>& row);
  void CutOff();

  FileSystem* const files_;
  const std::string directory_;
  std::unique_ptr<File> log_;
  std::unique_ptr<File> index_;
  uint64_t begin_bytes_ = 0;  // Of the log, before its first entry.
  uint64_t log_bytes_ = 0;    // Durable.
  uint64_t index_bytes_ = 0;
};

// Reading.
struct Segment {
  SegmentHeader header;
  std::vector<raft::Entry> entries;  // From header.name.first_index on, without a gap.
  std::vector<IndexRow> rows;        // Those whose index the entries reach.
  // A row names this index, and the entries up to it can't be read: the file was damaged. What a crash tore
  // has no row yet. 0: all is there.
  uint64_t lost_until = 0;
  std::string damage;  // In words, then.
};
// Whole into memory. What a crash tore off its end is left out; DataLoss for a header that can't be read,
// when rows say that there were entries.
StatusOr<Segment> ReadSegment(FileSystem* files, const std::string& directory, const SegmentName& name);

// Of a cluster (0: of all), by start. NotFound when the directory is not there.
StatusOr<std::vector<SegmentName>> ListSegments(FileSystem* files, const std::string& directory,
                                                uint64_t cluster_id);

}  // namespace quorate::backup
