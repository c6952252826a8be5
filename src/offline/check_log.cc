#include "offline/check_log.h"

#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "cluster/v2_store.h"
#include "offline/request_text.h"
#include "wal/log_reader.h"
#include "wal/snap_files.h"

namespace quorate::offline {
namespace {

// Follows the records of a whole log.
class LogChecker {
 public:
  explicit LogChecker(LogCheck* check) : check_(check) {}

  void BeginSegment(const std::string& path, const wal::SegmentFile& segment) {
    if (sequence_ && segment.sequence != *sequence_ + 1) {
      Damage(path + ": the segment before it is missing (sequence " + std::to_string(*sequence_) +
             " is followed by " + std::to_string(segment.sequence) + ")");
      chain_.reset();
      last_index_.reset();
    }
    sequence_ = segment.sequence;
    segment_records_ = 0;
    ++check_->segments;
  }

  void Add(const wal::Record& record, const std::string& where) {
    ++check_->records;
    CheckHead(record, where);
    ++segment_records_;
    switch (record.type) {
      case wal::kMetadataRecord:
        return AddMetadata(record.data, where);
      case wal::kEntryRecord:
        return AddEntry(record.data, where);
      case wal::kStateRecord:
        return AddState(record.data, where);
      case wal::kCrcRecord:
        return;
      case wal::kSnapshotRecord:
        if (!wal::DecodeWalSnapshot(record.data).ok())
          Damage(where + ": a snapshot record that can't be read");
        return;
      default:
        Damage(where + ": a record of the unknown type " + std::to_string(record.type));
    }
  }

  // `chain`: the checksum at the end of a segment that was read whole; nothing after damage.
  void EndSegment(std::optional<uint32_t> chain) {
    chain_ = chain;
    if (!chain) last_index_.reset();
  }

  void Finish(const std::string& dir) {
    check_->last_index = last_index_.value_or(0);
    if (last_index_ && check_->commit > *last_index_) {
      Damage(dir + ": index " + std::to_string(check_->commit) + " is committed, but the log ends at " +
             std::to_string(*last_index_) + ": it has lost its end");
    }
  }

  void Damage(std::string text) { AddFinding(Finding::Kind::kDamage, std::move(text)); }
  void Note(std::string text) { AddFinding(Finding::Kind::kNote, std::move(text)); }

 private:
  void AddFinding(Finding::Kind kind, std::string text) {
    if (check_->findings.size() < kFindingsMax) check_->findings.push_back({kind, std::move(text)});
  }

  // A segment begins with the checksum at which the one before ended, and the metadata.
  void CheckHead(const wal::Record& record, const std::string& where) {
    if (segment_records_ == 1 && record.type != wal::kMetadataRecord) {
      Damage(where + ": a segment must have the metadata in its second record");
    }
    if (segment_records_ > 0) return;
    if (record.type != wal::kCrcRecord) {
      Damage(where + ": a segment must begin with the checksum of the one before");
    } else if (chain_ && record.crc != *chain_) {
      Damage(where + ": the checksum is not the one at which the segment before ends");
    }
  }

  void AddMetadata(std::string_view data, const std::string& where) {
    if (!wal::DecodeMetadata(data).ok()) return Damage(where + ": metadata that can't be read");
    if (metadata_ && *metadata_ != data) Damage(where + ": metadata of another member or cluster");
    metadata_ = std::string(data);
  }

  void AddEntry(std::string_view data, const std::string& where) {
    ++check_->entries;
    const auto entry = wal::DecodeEntry(data);
    if (!entry.ok()) return Damage(where + ": an entry that can't be read");
    if (last_index_ && entry->index > *last_index_ + 1) {
      Damage(where + ": entries are missing: index " + std::to_string(entry->index) + " follows " +
             std::to_string(*last_index_));
    }
    last_index_ = entry->index;
    const auto text = EntryText(*entry, {});
    if (!text.ok()) {
      Damage(where + ": entry " + std::to_string(entry->index) + " has " +
             std::string(Message(text.status())));
    }
  }

  void AddState(std::string_view data, const std::string& where) {
    const auto state = wal::DecodeHardState(data);
    if (!state.ok()) return Damage(where + ": a state that can't be read");
    if (state->term < check_->term) {
      Damage(where + ": the term goes back from " + std::to_string(check_->term) + " to " +
             std::to_string(state->term));
    }
    check_->term = state->term;
    check_->commit = state->commit;
  }

  LogCheck* const check_;
  std::optional<uint64_t> sequence_;
  std::optional<uint32_t> chain_;
  std::optional<uint64_t> last_index_;
  std::optional<std::string> metadata_;
  uint64_t segment_records_ = 0;
};

// Damage is a finding; a Status is an error of the disk.
Status CheckSegment(File* file, bool last, LogChecker* checker) {
  wal::RecordReader reader({file});
  wal::Record record;
  for (;;) {
    const auto more = reader.Next(&record);
    if (!more.ok()) {
      if (more.status().code() != absl::StatusCode::kDataLoss) return more.status();
      checker->Damage(std::string(Message(more.status())));
      checker->EndSegment(std::nullopt);
      return absl::OkStatus();
    }
    if (!*more) break;
    checker->Add(record, reader.Where());
  }
  if (reader.end() == wal::LogEnd::kTorn) {
    if (last) {
      checker->Note(reader.Where() +
                    ": the last record was cut short by a crash; the server cuts it off when it starts");
    } else {
      checker->Damage(reader.Where() + ": a record is cut short, and a later segment follows");
    }
  }
  checker->EndSegment(last || reader.end() == wal::LogEnd::kClean ? std::optional(reader.crc())
                                                                  : std::nullopt);
  return absl::OkStatus();
}

}  // namespace

StatusOr<LogCheck> CheckLog(FileSystem* files, const std::string& wal_dir, const ReportFn& report) {
  QUORATE_ASSIGN_OR_RETURN(const auto segments, wal::ListSegments(files, wal_dir));
  LogCheck check;
  LogChecker checker(&check);
  uint64_t total = 0;
  std::vector<std::unique_ptr<File>> opened;
  for (const wal::SegmentFile& segment : segments) {
    QUORATE_ASSIGN_OR_RETURN(auto file, files->Open(wal_dir + "/" + segment.name, {}));
    QUORATE_ASSIGN_OR_RETURN(const uint64_t size, file->Size());
    total += size;
    opened.push_back(std::move(file));
  }
  uint64_t done = 0;
  for (size_t i = 0; i < segments.size(); ++i) {
    checker.BeginSegment(opened[i]->path(), segments[i]);
    QUORATE_RETURN_IF_ERROR(CheckSegment(opened[i].get(), i + 1 == segments.size(), &checker));
    QUORATE_ASSIGN_OR_RETURN(const uint64_t size, opened[i]->Size());
    done += size;
    if (report) report("reading the log", done, total);
  }
  checker.Finish(wal_dir);
  return check;
}

StatusOr<SnapCheck> CheckSnapFiles(FileSystem* files, const std::string& snap_dir) {
  SnapCheck check;
  QUORATE_ASSIGN_OR_RETURN(const auto names, wal::SnapshotFiles(files, snap_dir).List());
  for (const std::string& name : names) {
    ++check.files;
    const std::string path = snap_dir + "/" + name;
    const auto snapshot = wal::ReadSnapshotFile(files, path);
    if (!snapshot.ok()) {
      check.findings.push_back({Finding::Kind::kDamage, std::string(Message(snapshot.status()))});
      continue;
    }
    if (wal::SnapshotName(snapshot->metadata.term, snapshot->metadata.index) != name) {
      check.findings.push_back({Finding::Kind::kDamage, path + ": it holds the snapshot of index " +
                                                            std::to_string(snapshot->metadata.index) +
                                                            ", term " +
                                                            std::to_string(snapshot->metadata.term)});
    }
    const auto store = cluster::V2Store::Parse(snapshot->data);
    if (!store.ok()) {
      check.findings.push_back({Finding::Kind::kDamage, path + ": " + std::string(Message(store.status()))});
    }
  }
  return check;
}

}  // namespace quorate::offline
