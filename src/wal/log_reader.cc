#include "wal/log_reader.h"

#include <algorithm>
#include <array>
#include <utility>

#include "base/check.h"
#include "base/crc32c.h"
#include "base/endian.h"
#include "base/logging.h"
#include "base/wire.h"
#include "wal/frame.h"

namespace quorate::wal {
namespace {

constexpr size_t kReadBytes = 1 << 20;
// Enough for the fields of a record before its data.
constexpr size_t kHeadBytes = 64;

bool ParseHex16(std::string_view text, uint64_t* value) {
  *value = 0;
  for (const char c : text) {
    int digit;
    if (c >= '0' && c <= '9') {
      digit = c - '0';
    } else if (c >= 'a' && c <= 'f') {
      digit = c - 'a' + 10;
    } else {
      return false;
    }
    *value = *value << 4 | static_cast<uint64_t>(digit);
  }
  return text.size() == 16;
}

bool ParseSegmentName(std::string_view name, SegmentFile* segment) {
  constexpr size_t kLength = 16 + 1 + 16 + 4;
  if (name.size() != kLength || name[16] != '-' || name.substr(33) != ".wal") return false;
  segment->name = name;
  return ParseHex16(name.substr(0, 16), &segment->sequence) &&
         ParseHex16(name.substr(17, 16), &segment->first_index);
}

StatusOr<std::vector<std::unique_ptr<File>>> OpenForRead(FileSystem* files, const std::string& dir,
                                                         const std::vector<SegmentFile>& segments) {
  std::vector<std::unique_ptr<File>> opened;
  for (const SegmentFile& segment : segments) {
    QUORATE_ASSIGN_OR_RETURN(auto file, files->Open(dir + "/" + segment.name, {}));
    opened.push_back(std::move(file));
  }
  return opened;
}

// A record says its length twice: in the frame, and by the length of its data, which comes last. A torn write
// leaves both in place, or loses the whole sector; so where `body` shows, before the end of its first sector,
// that the record is of another length, the frame was damaged.
bool ContradictsLength(std::string_view body, size_t first_sector_bytes, uint64_t record_bytes) {
  const std::string_view head = body.substr(0, first_sector_bytes);
  if (AllZero(head)) return false;
  size_t at = 0;
  const auto read_varint = [&](uint64_t* value) {
    *value = 0;
    for (int shift = 0; shift < 64 && at < head.size(); shift += 7) {
      const auto byte = static_cast<uint8_t>(head[at++]);
      *value |= static_cast<uint64_t>(byte & 0x7f) << shift;
      if (byte < 0x80) return true;
    }
    return false;
  };
  uint64_t tag;
  uint64_t value;
  while (read_varint(&tag)) {
    if (tag == 0) return true;  // Padding: the record ended before.
    if (!read_varint(&value)) return false;
    const auto type = static_cast<wire::Type>(tag & 7);
    if (type == wire::Type::kBytes) return at + value != record_bytes;
    if (type != wire::Type::kVarint) return false;
  }
  return false;
}

std::vector<File*> Pointers(const std::vector<std::unique_ptr<File>>& owned) {
  std::vector<File*> files;
  files.reserve(owned.size());
  for (const auto& file : owned) files.push_back(file.get());
  return files;
}

}  // namespace

StatusOr<std::vector<SegmentFile>> ListSegments(FileSystem* files, const std::string& dir) {
  QUORATE_ASSIGN_OR_RETURN(const std::vector<std::string> names, files->List(dir));
  std::vector<SegmentFile> segments;
  for (const std::string& name : names) {
    SegmentFile segment;
    if (ParseSegmentName(name, &segment)) {
      segments.push_back(std::move(segment));
    } else if (!name.ends_with(".tmp")) {
      LOG_WARN("ignored file in WAL directory", {"path", dir + "/" + name});
    }
  }
  if (segments.empty()) return NotFound("no write-ahead log in " + dir + ": it holds no *.wal file");
  return segments;
}

StatusOr<bool> LogExists(FileSystem* files, const std::string& dir) {
  const auto names = files->List(dir);
  if (absl::IsNotFound(names.status())) return false;
  if (!names.ok()) return names.status();
  return std::any_of(names->begin(), names->end(),
                     [](const std::string& name) { return name.ends_with(".wal"); });
}

RecordReader::RecordReader(std::vector<File*> files) : files_(std::move(files)) {
  QUORATE_CHECK(!files_.empty());
}

RecordReader::~RecordReader() = default;

std::string RecordReader::Where() const {
  return files_[file_index_]->path() + " at offset " + std::to_string(record_offset_);
}

Status RecordReader::Damaged(std::string_view why) const {
  return DataLoss(Where() + ": write-ahead log damaged: " + std::string(why) +
                  "; restore this member from a backup, or remove it from the cluster and add it anew");
}

StatusOr<std::string_view> RecordReader::Peek(size_t length) {
  const uint64_t skip = good_offset_ - buffer_offset_;
  if (skip + length > buffer_.size()) {
    buffer_.erase(0, std::min<uint64_t>(skip, buffer_.size()));
    const size_t have = buffer_.size();
    buffer_offset_ = good_offset_;
    const uint64_t rest = file_bytes_ - std::min(file_bytes_, good_offset_ + have);
    buffer_.resize(have + std::min<uint64_t>(rest, std::max(kReadBytes, length - have)));
    QUORATE_ASSIGN_OR_RETURN(
        const size_t got,
        files_[file_index_]->ReadAt(good_offset_ + have, buffer_.data() + have, buffer_.size() - have));
    buffer_.resize(have + got);
  }
  return std::string_view(buffer_).substr(good_offset_ - buffer_offset_, length);
}

size_t RecordReader::FirstSectorBytes() const {
  return kSectorBytes - (record_offset_ + kFrameFieldBytes) % kSectorBytes;
}

// etcd's rule: of the body, cut at the file's sector boundaries, one piece is all zero. Only the last file
// can be torn.
bool RecordReader::LooksTorn(std::string_view body, uint64_t record_bytes) const {
  if (file_index_ + 1 != files_.size()) return false;
  if (ContradictsLength(body, FirstSectorBytes(), record_bytes)) return false;
  uint64_t offset = record_offset_ + kFrameFieldBytes;
  while (!body.empty()) {
    const size_t piece = std::min<size_t>(kSectorBytes - offset % kSectorBytes, body.size());
    if (AllZero(body.substr(0, piece))) return true;
    body.remove_prefix(piece);
    offset += piece;
  }
  return false;
}

// At a length of 0. A disk loses or keeps whole sectors, so where the rest of the sector is not zero the log
// did not end here: the length itself was damaged. The original takes it for the end and erases all that
// follows.
Status RecordReader::CheckEnd() {
  QUORATE_ASSIGN_OR_RETURN(const std::string_view sector, Peek(kSectorBytes - record_offset_ % kSectorBytes));
  if (AllZero(sector)) return absl::OkStatus();
  return Damaged("a length of 0 with data behind it in the same sector");
}

StatusOr<bool> RecordReader::Torn(std::string_view why) {
  if (file_index_ + 1 != files_.size()) {
    return Damaged(std::string(why) + ", and a later segment follows");
  }
  ended_ = true;
  end_ = LogEnd::kTorn;
  return false;
}

// Gives the record and its padding, or says how the file ended. Damage is a Status.
StatusOr<RecordReader::Frame> RecordReader::ReadFrame(std::string_view* body, uint64_t* record_bytes) {
  if (record_offset_ == 0) {
    QUORATE_ASSIGN_OR_RETURN(file_bytes_, files_[file_index_]->Size());
  }
  QUORATE_ASSIGN_OR_RETURN(const std::string_view field_bytes, Peek(kFrameFieldBytes));
  if (field_bytes.empty()) return Frame::kNextFile;
  if (field_bytes.size() < kFrameFieldBytes) return Frame::kTorn;
  const auto field = LoadLittle<uint64_t>(field_bytes.data());
  if (field == 0) {
    QUORATE_RETURN_IF_ERROR(CheckEnd());
    return Frame::kNextFile;
  }
  const FrameSize size = ParseFrameField(field);
  const uint64_t body_bytes = size.record_bytes + size.pad_bytes;
  const uint64_t used = record_offset_ + kFrameFieldBytes;
  if (used > file_bytes_ || body_bytes > file_bytes_ - used) {
    QUORATE_ASSIGN_OR_RETURN(const std::string_view rest, Peek(kFrameFieldBytes + kHeadBytes));
    const std::string_view head = rest.substr(kFrameFieldBytes);
    const bool torn = !ContradictsLength(head, FirstSectorBytes(), size.record_bytes);
    if (torn && size.record_bytes < kTornRecordBytesMax) return Frame::kTorn;
    return Damaged("a record of " + std::to_string(size.record_bytes) +
                   " bytes would run over the end of the file (" + std::to_string(file_bytes_) + " bytes)");
  }
  QUORATE_ASSIGN_OR_RETURN(const std::string_view whole, Peek(kFrameFieldBytes + body_bytes));
  if (whole.size() < kFrameFieldBytes + body_bytes) return Frame::kTorn;
  *body = whole.substr(kFrameFieldBytes);
  *record_bytes = size.record_bytes;
  return Frame::kRecord;
}

StatusOr<bool> RecordReader::Next(Record* record) {
  while (!ended_) {
    record_offset_ = good_offset_;
    std::string_view body;
    uint64_t record_bytes = 0;
    QUORATE_ASSIGN_OR_RETURN(const Frame frame, ReadFrame(&body, &record_bytes));
    if (frame == Frame::kTorn) return Torn("a record is cut short");
    if (frame == Frame::kNextFile) {
      if (file_index_ + 1 == files_.size()) {
        ended_ = true;
        break;
      }
      ++file_index_;
      good_offset_ = buffer_offset_ = 0;
      buffer_.clear();
      continue;
    }
    if (!DecodeRecord(body.substr(0, record_bytes), record)) {
      if (LooksTorn(body, record_bytes)) return Torn("a record is torn");
      return Damaged("a record cannot be parsed");
    }
    uint32_t crc = record->crc;
    if (record->type == kCrcRecord) {
      // A reader that starts at a later segment has no sum yet and adopts the segment's.
      if (crc_ != 0 && crc_ != crc)
        return Damaged("the checksum chain of the segments does not continue here");
    } else {
      crc = crc32c::Extend(crc_, record->data);
      if (crc != record->crc) {
        if (LooksTorn(body, record_bytes)) return Torn("a record is torn");
        return Damaged("checksum mismatch in a record");
      }
    }
    crc_ = crc;
    good_offset_ += kFrameFieldBytes + body.size();
    return true;
  }
  return false;
}

StatusOr<std::vector<SegmentFile>> SelectSegments(FileSystem* files, const std::string& dir,
                                                  raft::Index index) {
  QUORATE_ASSIGN_OR_RETURN(std::vector<SegmentFile> segments, ListSegments(files, dir));
  size_t first = segments.size();
  while (first > 0 && segments[first - 1].first_index > index) --first;
  if (first == 0) {
    return NotFound("no segment of the write-ahead log in " + dir + " reaches back to index " +
                    std::to_string(index) + "; the oldest is " + segments.front().name);
  }
  segments.erase(segments.begin(), segments.begin() + static_cast<std::ptrdiff_t>(first - 1));
  for (size_t i = 1; i < segments.size(); ++i) {
    if (segments[i].sequence != segments[i - 1].sequence + 1) {
      return NotFound("a segment of the write-ahead log is missing in " + dir + " between " +
                      segments[i - 1].name + " and " + segments[i].name);
    }
  }
  return segments;
}

namespace {

// Builds LogContents from records.
class ContentsBuilder {
 public:
  ContentsBuilder(const RecordReader& reader, const WalSnapshot& start) : reader_(reader), start_(start) {}

  Status Add(const Record& record) {
    switch (record.type) {
      case kMetadataRecord:
        return AddMetadata(record.data);
      case kEntryRecord:
        return AddEntry(record.data);
      case kStateRecord: {
        auto state = DecodeHardState(record.data);
        if (!state.ok()) return At(state.status());
        contents_.hard_state = *state;
        return absl::OkStatus();
      }
      case kCrcRecord:
        return absl::OkStatus();
      case kSnapshotRecord:
        return AddSnapshot(record.data);
      default:
        return At(DataLoss("unexpected record type " + std::to_string(record.type)));
    }
  }

  StatusOr<LogContents> Finish() {
    if (contents_.metadata_bytes.empty()) {
      return At(DataLoss("the write-ahead log has no metadata record"));
    }
    if (!matched_) {
      return At(DataLoss("the write-ahead log holds no record of the snapshot at index " +
                         std::to_string(start_.index) + ", term " + std::to_string(start_.term)));
    }
    return std::move(contents_);
  }

 private:
  Status At(const Status& status) const {
    return DataLoss(reader_.Where() + ": " + std::string(Message(status)));
  }

  Status AddMetadata(std::string_view data) {
    if (!contents_.metadata_bytes.empty()) {
      if (contents_.metadata_bytes == data) return absl::OkStatus();
      return At(DataLoss("conflicting metadata: segments of different members or clusters are mixed"));
    }
    auto metadata = DecodeMetadata(data);
    if (!metadata.ok()) return At(metadata.status());
    contents_.metadata = *metadata;
    contents_.metadata_bytes = data;
    return absl::OkStatus();
  }

  Status AddEntry(std::string_view data) {
    auto entry = DecodeEntry(data);
    if (!entry.ok()) return At(entry.status());
    contents_.last_index = entry->index;
    if (entry->index <= start_.index) return absl::OkStatus();
    auto& entries = contents_.entries;
    const uint64_t position = entry->index - start_.index - 1;
    if (position > entries.size()) {
      return At(DataLoss("entries are missing: index " + std::to_string(entry->index) + " follows " +
                         std::to_string(start_.index + entries.size())));
    }
    entries.resize(position);
    entries.push_back(*std::move(entry));
    return absl::OkStatus();
  }

  Status AddSnapshot(std::string_view data) {
    auto snapshot = DecodeWalSnapshot(data);
    if (!snapshot.ok()) return At(snapshot.status());
    if (snapshot->index == start_.index) {
      if (snapshot->term != start_.term) {
        return At(DataLoss("snapshot mismatch: the snapshot at index " + std::to_string(start_.index) +
                           " has term " + std::to_string(start_.term) + ", the write-ahead log says " +
                           std::to_string(snapshot->term)));
      }
      matched_ = true;
    }
    contents_.last_index = std::max(contents_.last_index, snapshot->index);
    contents_.snapshots.push_back(*std::move(snapshot));
    return absl::OkStatus();
  }

  const RecordReader& reader_;
  const WalSnapshot start_;
  LogContents contents_;
  bool matched_ = false;
};

}  // namespace

StatusOr<LogContents> ReadContents(const std::vector<File*>& files, const std::vector<SegmentFile>& names,
                                   const WalSnapshot& start) {
  QUORATE_CHECK(files.size() == names.size());
  RecordReader reader(files);
  ContentsBuilder builder(reader, start);
  Record record;
  for (;;) {
    QUORATE_ASSIGN_OR_RETURN(const bool more, reader.Next(&record));
    if (!more) break;
    QUORATE_RETURN_IF_ERROR(builder.Add(record));
  }
  QUORATE_ASSIGN_OR_RETURN(LogContents contents, builder.Finish());
  contents.end = reader.end();
  contents.good_offset = reader.good_offset();
  contents.crc = reader.crc();
  contents.tail = names.back();
  return contents;
}

StatusOr<LogContents> ReadLog(FileSystem* files, const std::string& dir, const WalSnapshot& start) {
  QUORATE_ASSIGN_OR_RETURN(const std::vector<SegmentFile> segments, SelectSegments(files, dir, start.index));
  QUORATE_ASSIGN_OR_RETURN(const auto opened, OpenForRead(files, dir, segments));
  return ReadContents(Pointers(opened), segments, start);
}

StatusOr<std::vector<WalSnapshot>> ValidSnapshots(FileSystem* files, const std::string& dir) {
  QUORATE_ASSIGN_OR_RETURN(const std::unique_ptr<WalReader> reader, WalReader::Open(files, dir));
  std::vector<WalSnapshot> snapshots;
  raft::HardState state;
  Record record;
  for (;;) {
    QUORATE_ASSIGN_OR_RETURN(const bool more, reader->Next(&record));
    if (!more) break;
    if (record.type == kSnapshotRecord) {
      QUORATE_ASSIGN_OR_RETURN(WalSnapshot snapshot, DecodeWalSnapshot(record.data));
      snapshots.push_back(std::move(snapshot));
    } else if (record.type == kStateRecord) {
      QUORATE_ASSIGN_OR_RETURN(state, DecodeHardState(record.data));
    }
  }
  std::erase_if(snapshots, [&](const WalSnapshot& s) { return s.index > state.commit; });
  return snapshots;
}

StatusOr<std::unique_ptr<WalReader>> WalReader::Open(FileSystem* files, const std::string& dir) {
  QUORATE_ASSIGN_OR_RETURN(std::vector<SegmentFile> segments, ListSegments(files, dir));
  QUORATE_ASSIGN_OR_RETURN(auto opened, OpenForRead(files, dir, segments));
  std::vector<File*> pointers = Pointers(opened);
  return std::unique_ptr<WalReader>(
      new WalReader(std::move(segments), std::move(opened), std::move(pointers)));
}

}  // namespace quorate::wal
