// Reading a log: the record stream with its checks, and the whole log as raft needs it at start. Read-only:
// takes no lock, repairs nothing, so it serves inspection of a directory that a live server has open, too.
// Any thread.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/env.h"
#include "base/status.h"
#include "raft/types.h"
#include "wal/codec.h"

namespace quorate::wal {

struct SegmentFile {
  std::string name;
  uint64_t sequence = 0;
  raft::Index first_index = 0;  // Of the first entry expected in it.
};

// The *.wal files of a directory whose names have the right form, ascending. NotFound when there are none.
StatusOr<std::vector<SegmentFile>> ListSegments(FileSystem* files, const std::string& dir);
// Whether `dir` exists and holds a *.wal file: the member was initialised.
StatusOr<bool> LogExists(FileSystem* files, const std::string& dir);

// How the records ended.
enum class LogEnd {
  kClean,  // At a zero length field or at the end of the file.
  kTorn,   // In a record of the last file that was cut short or lost whole sectors.
};

// Walks the records of some open segments in order, checking frames and the CRC chain.
class RecordReader {
 public:
  // The files are read from their beginning. They must outlive the reader; `files` ascending, at least one.
  explicit RecordReader(std::vector<File*> files);
  ~RecordReader();

  // True: *record holds the next one; its data is valid until the next call. False: the log ended, see end().
  // DataLoss (file, offset, reason) when bytes are damaged in a way that no torn write explains.
  StatusOr<bool> Next(Record* record);

  LogEnd end() const { return end_; }
  // Position of the record that Next() just gave, or of the end.
  size_t file_index() const { return file_index_; }
  uint64_t record_offset() const { return record_offset_; }
  // Just behind the last good record of the current file.
  uint64_t good_offset() const { return good_offset_; }
  uint32_t crc() const { return crc_; }
  // "path at offset N", for the errors of who interprets the data.
  std::string Where() const;

 private:
  enum class Frame { kRecord, kNextFile, kTorn };
  StatusOr<Frame> ReadFrame(std::string_view* body, uint64_t* record_bytes);
  Status CheckEnd();
  StatusOr<bool> Torn(std::string_view why);
  // Makes `length` bytes at the read position available as a view; fewer only at the end of the file.
  StatusOr<std::string_view> Peek(size_t length);
  Status Damaged(std::string_view why) const;
  // Of the body of the current record.
  size_t FirstSectorBytes() const;
  bool LooksTorn(std::string_view body, uint64_t record_bytes) const;

  const std::vector<File*> files_;
  size_t file_index_ = 0;
  uint64_t file_bytes_ = 0;  // Size of the current file.
  uint64_t record_offset_ = 0;
  uint64_t good_offset_ = 0;
  uint32_t crc_ = 0;
  LogEnd end_ = LogEnd::kClean;
  bool ended_ = false;

  // buffer_ holds the bytes [buffer_offset_, +size) of the current file.
  std::string buffer_;
  uint64_t buffer_offset_ = 0;
};

// What a log says, from one snapshot on.
struct LogContents {
  WalMetadata metadata;
  std::string metadata_bytes;  // Verbatim.
  raft::HardState hard_state;  // The last one; empty when there is none.
  // start.index + 1, + 2, ...: later records of an index replace it and all after it.
  std::vector<raft::Entry> entries;
  std::vector<WalSnapshot> snapshots;  // All snapshot records in the files read, in order.
  // Index of the last entry record (or newer snapshot record), whatever was replaced: names the next segment.
  raft::Index last_index = 0;
  LogEnd end = LogEnd::kClean;
  bool repaired = false;  // Wal::Open cut a torn tail off.

  // Behind the last good record of the last file; the CRC chain there; the last file.
  uint64_t good_offset = 0;
  uint32_t crc = 0;
  SegmentFile tail;
};

// Which segments must be read to start at `index`: from the last one named <= index on, with consecutive
// sequences.
StatusOr<std::vector<SegmentFile>> SelectSegments(FileSystem* files, const std::string& dir,
                                                  raft::Index index);

// Reads open segments, checking all that Wal::Open checks. `names` are those of `files`.
StatusOr<LogContents> ReadContents(const std::vector<File*>& files, const std::vector<SegmentFile>& names,
                                   const WalSnapshot& start);

// Reads the log of `dir` from the snapshot {start.index, start.term} on, without lock or repair.
StatusOr<LogContents> ReadLog(FileSystem* files, const std::string& dir, const WalSnapshot& start);

// The snapshot records a start may use: those with an index <= the commit of the last hard state. Which one
// to take is the .snap files' matter (SnapshotFiles::LoadNewest).
StatusOr<std::vector<WalSnapshot>> ValidSnapshots(FileSystem* files, const std::string& dir);

// For inspection: every record of every segment of `dir` in order, even when older segments were purged.
class WalReader {
 public:
  static StatusOr<std::unique_ptr<WalReader>> Open(FileSystem* files, const std::string& dir);

  // As RecordReader::Next.
  StatusOr<bool> Next(Record* record) { return reader_.Next(record); }
  LogEnd end() const { return reader_.end(); }
  const SegmentFile& segment() const { return segments_[reader_.file_index()]; }
  uint64_t record_offset() const { return reader_.record_offset(); }

 private:
  WalReader(std::vector<SegmentFile> segments, std::vector<std::unique_ptr<File>> owned,
            std::vector<File*> files)
      : segments_(std::move(segments)), owned_(std::move(owned)), reader_(std::move(files)) {}

  std::vector<SegmentFile> segments_;
  std::vector<std::unique_ptr<File>> owned_;
  RecordReader reader_;
};

}  // namespace quorate::wal
