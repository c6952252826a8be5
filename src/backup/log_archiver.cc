#include "backup/log_archiver.h"

#include <algorithm>
#include <map>
#include <utility>

#include "backup/backup_directory.h"
#include "base/crc32c.h"
#include "base/logging.h"
#include "server/member.h"

namespace quorate::backup {
namespace {

constexpr int64_t kSecondNanos = 1'000'000'000;
constexpr int64_t kRowNanos = kSecondNanos;
constexpr int64_t kRetryNanosMin = 5 * kSecondNanos;
constexpr int64_t kRetryNanosMax = 60 * kSecondNanos;
// Written before the second is over.
constexpr uint64_t kFlushBytes = uint64_t{4} << 20;
// Of entries that wait for a disk that does not take them; with half of it waiting no pause is longer than
// the shortest.
constexpr uint64_t kPendingBytesMax = uint64_t{64} << 20;
constexpr uint64_t kSegmentBytesMax = uint64_t{64} << 20;
constexpr int64_t kSegmentNanosMax = 3'600 * kSecondNanos;
// What an entry costs beyond its data.
constexpr uint64_t kEntryOverheadBytes = 64;
// Of the clocks of members that share a directory, where only names tell the time.
constexpr int64_t kNameSkewNanos = 3'600 * kSecondNanos;
// What is larger than the beginning of a segment can be has entries.
constexpr uint64_t kEmptySegmentBytesMax = 128;

uint64_t EntryBytes(const raft::Entry& entry) { return entry.data.size() + kEntryOverheadBytes; }

}  // namespace

// What the writes have for themselves, off the core, one after the other.
struct LogArchiver::Sink {
  FileSystem* files = nullptr;
  std::string directory;
  std::unique_ptr<SegmentWriter> writer;
  int64_t segment_started_unix_nanos = 0;
  bool cleaned = false;  // Of what earlier lives of the member left.
};

struct LogArchiver::Batch {
  std::vector<raft::Entry> entries;  // Follow each other.
  std::optional<EntryMark> before;   // The entry before the first, if it is known.
  std::optional<IndexRow> row;
  uint64_t bytes = 0;
  SegmentName name;  // Of the segment that begins with it, if one does.
  bool new_segment = false;

  Status Write(Sink& sink) {
    const bool full = sink.writer != nullptr &&
                      (sink.writer->size_bytes() >= kSegmentBytesMax ||
                       name.started_unix_nanos - sink.segment_started_unix_nanos >= kSegmentNanosMax);
    // A row alone belongs behind its entries.
    if (!entries.empty() && (new_segment || full)) sink.writer = nullptr;
    if (sink.writer == nullptr) {
      if (entries.empty()) return absl::OkStatus();
      if (!sink.cleaned)
        QUORATE_RETURN_IF_ERROR(RemoveEmptySegments(sink.files, sink.directory, name.member_id));
      sink.cleaned = true;
      QUORATE_ASSIGN_OR_RETURN(sink.writer,
                               SegmentWriter::Create(sink.files, sink.directory, {name, before}));
      sink.segment_started_unix_nanos = name.started_unix_nanos;
    }
    Status status = sink.writer->Append(entries, row);
    // After a failed write or sync nobody knows what stands there: what follows goes into another file.
    if (!status.ok()) sink.writer = nullptr;
    return status;
  }
};

LogArchiver::LogArchiver(server::Member* member, const Env& env, std::string directory)
    : member_(*member), env_(env), sink_(std::make_shared<Sink>()) {
  sink_->files = env.files;
  sink_->directory = std::move(directory);
}

LogArchiver::~LogArchiver() = default;

void LogArchiver::OnApplied(const raft::Entry& entry) {
  // A leader's snapshot has taken the place of what lies between.
  if (last_ && entry.index != last_->index + 1) ++figures_.gaps;
  last_ = entry;
  const uint64_t bytes = EntryBytes(entry);
  if (pending_bytes_ + bytes > kPendingBytesMax) {
    if (!pending_.empty()) {
      LOG_WARN("the archive of the log can't keep up: entries are dropped, and it has a gap",
               {"first-dropped-index", pending_.front().index},
               {"last-dropped-index", pending_.back().index});
      ++figures_.gaps;
    }
    DropPending();
  }
  pending_.push_back(entry);
  pending_bytes_ += bytes;
}

void LogArchiver::DropPending() {
  figures_.dropped_entries += pending_.size();
  pending_.clear();
  pending_bytes_ = 0;
  taken_.reset();
}

std::optional<uint32_t> LogArchiver::CrcAt(uint64_t index) const {
  if (!last_ || last_->index != index) return std::nullopt;
  return crc32c::Value(last_->data.view());
}

void LogArchiver::Tick() {
  figures_.pending_bytes = pending_bytes_;
  WatchDisk();
  if (writing_) return;
  const bool many = pending_bytes_ >= (failing_ ? kPendingBytesMax / 2 : kFlushBytes);
  const int64_t earliest =
      failing_ && many ? next_flush_nanos_ - retry_nanos_ + kRetryNanosMin : next_flush_nanos_;
  if (member_.now() < earliest && (failing_ || !many)) return;
  next_flush_nanos_ = member_.now() + kRowNanos;
  Flush();
}

void LogArchiver::WatchDisk() {
  const bool hung = std::exchange(hangs_, disk_.Hangs(member_.now()));
  if (hung || !hangs_) return;
  ++figures_.failures;
  LOG_WARN("the disk of the archived log has not answered for a minute", {"path", sink_->directory});
}

void LogArchiver::Flush() {
  const uint64_t applied = member_.applied_index();
  // Entries that a start applies again are older than the state: no row can be given for them.
  const bool current = last_ && last_->index == applied && member_.backend().consistent_index() == applied;
  const bool row_due = current && applied != row_index_;
  if (pending_.empty() && !row_due) return;
  const auto batch = std::make_shared<Batch>();
  TakeRun(batch.get());
  const int64_t wall = env_.clock->WallNanos();
  if (row_due && pending_.empty()) batch->row = IndexRow{wall, applied, member_.store().current_revision()};
  if (!batch->entries.empty()) {
    const uint64_t first = batch->entries.front().index;
    if (taken_ && taken_->index + 1 == first) batch->before = taken_;
    batch->new_segment = rotate_ || !batch->before;
    batch->name = {wall - wall % 1'000'000, first, member_.id(), member_.cluster_id()};
    taken_ = MarkOf(batch->entries.back());
    rotate_ = false;
  }
  writing_ = true;
  disk_.Begin(member_.now());
  const auto status = std::make_shared<Status>();
  env_.executor->Submit(
      Lane::kLog, [sink = sink_, batch, status] { *status = batch->Write(*sink); },
      [this, batch, status, alive = std::weak_ptr(alive_)] {
        if (!alive.expired()) OnWritten(batch, *status);
      });
}

// Up to the first gap.
void LogArchiver::TakeRun(Batch* batch) {
  size_t count = 0;
  while (count < pending_.size() && (count == 0 || pending_[count].index == pending_[count - 1].index + 1)) {
    batch->bytes += EntryBytes(pending_[count++]);
  }
  const auto end = pending_.begin() + static_cast<ptrdiff_t>(count);
  batch->entries.assign(pending_.begin(), end);
  pending_.erase(pending_.begin(), end);
  pending_bytes_ -= batch->bytes;
  if (!pending_.empty()) next_flush_nanos_ = 0;
}

void LogArchiver::OnWritten(const std::shared_ptr<Batch>& batch, const Status& status) {
  writing_ = false;
  disk_.End(member_.now());
  if (status.ok()) {
    if (failing_) LOG_INFO("the archive of the log is written again");
    failing_ = false;
    retry_nanos_ = 0;
    if (!batch->entries.empty()) figures_.last_index = batch->entries.back().index;
    if (batch->row) {
      row_index_ = batch->row->index;
      figures_.last_revision = batch->row->revision;
    }
    return;
  }
  ++figures_.failures;
  if (!failing_) LOG_WARN("failed to archive the log; trying again", {"error", Message(status)});
  failing_ = true;
  retry_nanos_ = std::clamp(2 * retry_nanos_, kRetryNanosMin, kRetryNanosMax);
  next_flush_nanos_ = member_.now() + retry_nanos_;
  TryAgain(batch.get());
}

// Into a new segment, which knows what came before.
void LogArchiver::TryAgain(Batch* batch) {
  rotate_ = true;
  if (!batch->entries.empty()) {
    batch->entries.insert(batch->entries.end(), pending_.begin(), pending_.end());
    pending_ = std::move(batch->entries);
    pending_bytes_ += batch->bytes;
    taken_ = batch->before;
    return;
  }
  if (!pending_.empty() || !last_) return;
  // Only the row was lost: it needs an entry to stand behind.
  pending_ = {*last_};
  pending_bytes_ = EntryBytes(*last_);
  taken_.reset();
}

namespace {

// Segments that ended before both are of no use.
struct KeptFrom {
  int64_t unix_nanos = 0;
  uint64_t index = UINT64_MAX;
};

StatusOr<KeptFrom> WhatIsKept(FileSystem* files, const std::string& directory, uint64_t cluster_id,
                              const Outlived& outlived) {
  QUORATE_ASSIGN_OR_RETURN(const auto backups, ListBackups(files, directory, cluster_id));
  if (backups.empty()) return KeptFrom{outlived.before_unix_nanos, UINT64_MAX};
  const BackupName& oldest = backups.front();
  const auto note = ReadNote(files, directory, oldest);
  // Without a note the name has to do, which knows the time only.
  KeptFrom kept = note.ok() ? KeptFrom{oldest.taken_unix_nanos, note->raft_index}
                            : KeptFrom{oldest.taken_unix_nanos - kNameSkewNanos, UINT64_MAX};
  if (outlived.others_have_newer && outlived.before_unix_nanos > kept.unix_nanos) {
    kept = {outlived.before_unix_nanos, UINT64_MAX};
  }
  return kept;
}

Status RemoveSegment(FileSystem* files, const std::string& stem) {
  for (const std::string_view suffix : {kIndexSuffix, kLogSuffix}) {
    const Status gone = files->Remove(stem + std::string(suffix));
    if (!gone.ok() && !absl::IsNotFound(gone)) return gone;
  }
  return absl::OkStatus();
}

}  // namespace

StatusOr<std::vector<std::string>> RemoveOldSegments(FileSystem* files, const std::string& directory,
                                                     uint64_t cluster_id, const Outlived& outlived) {
  QUORATE_ASSIGN_OR_RETURN(const KeptFrom kept, WhatIsKept(files, directory, cluster_id, outlived));
  QUORATE_ASSIGN_OR_RETURN(const auto segments, ListSegments(files, directory, cluster_id));
  std::map<uint64_t, SegmentName> next;  // By member: the segment after the one looked at.
  std::vector<std::string> removed;
  for (auto segment = segments.rbegin(); segment != segments.rend(); ++segment) {
    const auto after = next.find(segment->member_id);
    // The next one of the same member begins where it ends; by its age the last one has ended, too.
    const bool ended = after != next.end()
                           ? after->second.started_unix_nanos <= kept.unix_nanos &&
                                 after->second.first_index - 1 <= kept.index
                           : segment->started_unix_nanos + 2 * kSegmentNanosMax < kept.unix_nanos;
    next[segment->member_id] = *segment;
    if (!ended) continue;
    const std::string stem = directory + "/" + SegmentStem(*segment);
    QUORATE_RETURN_IF_ERROR(RemoveSegment(files, stem));
    removed.push_back(stem + std::string(kLogSuffix));
  }
  return removed;
}

Status RemoveEmptySegments(FileSystem* files, const std::string& directory, uint64_t member_id) {
  QUORATE_ASSIGN_OR_RETURN(const auto segments, ListSegments(files, directory, 0));
  size_t removed = 0;
  for (const SegmentName& name : segments) {
    const std::string stem = directory + "/" + SegmentStem(name);
    if (name.member_id != member_id) continue;
    const auto info = files->Stat(stem + std::string(kLogSuffix));
    if (!info.ok() || info->size > kEmptySegmentBytesMax) continue;
    const auto segment = ReadSegment(files, directory, name);
    if (!segment.ok() || !segment->entries.empty() || segment->lost_until > 0) continue;
    QUORATE_RETURN_IF_ERROR(RemoveSegment(files, stem));
    ++removed;
  }
  if (removed > 0) {
    LOG_INFO("removed archived logs that hold nothing", {"backup-dir", directory}, {"count", removed});
  }
  return absl::OkStatus();
}

}  // namespace quorate::backup
