#include "wal/wal.h"

#include <algorithm>
#include <cinttypes>
#include <cstdio>
#include <utility>

#include "base/check.h"
#include "base/crc32c.h"
#include "base/endian.h"
#include "base/logging.h"
#include "base/wire.h"
#include "wal/frame.h"
#include "wal/segments.h"

namespace quorate::wal {
namespace {

constexpr uint32_t kDirectoryMode = 0700;
constexpr size_t kCopyBytes = 1 << 20;
// Written batches give their buffers back; more than this many are not kept, nor ones larger than that.
constexpr size_t kSpareBuffersMax = 4;
constexpr size_t kSpareBufferBytesMax = 4 << 20;

// Frame field, record type, crc, tag and length of data.
constexpr size_t kRecordHeadBytesMax = kFrameFieldBytes + 2 + 1 + wire::kVarintMax + 1 + wire::kVarintMax;

std::string Parent(const std::string& dir) {
  const size_t slash = dir.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : dir.substr(0, slash);
}

std::string WithoutTrailingSlash(std::string dir) {
  while (dir.size() > 1 && dir.back() == '/') dir.pop_back();
  return dir;
}

// A copy with the same bytes and size; runs of zeros are left as holes.
Status CopyFile(FileSystem* files, File& from, const std::string& to) {
  OpenOptions open;
  open.write = open.create = open.truncate = true;
  QUORATE_ASSIGN_OR_RETURN(const auto copy, files->Open(to, open));
  QUORATE_ASSIGN_OR_RETURN(const uint64_t size, from.Size());
  std::string buffer(kCopyBytes, '\0');
  for (uint64_t at = 0; at < size;) {
    QUORATE_ASSIGN_OR_RETURN(const size_t got, from.ReadAt(at, buffer.data(), buffer.size()));
    if (got == 0) break;
    const std::string_view piece(buffer.data(), got);
    if (!AllZero(piece)) QUORATE_RETURN_IF_ERROR(copy->WriteAt(at, piece));
    at += got;
  }
  QUORATE_RETURN_IF_ERROR(copy->Truncate(size));
  return copy->Sync();
}

// The torn record was never acknowledged; a copy of the file is kept for whoever wants to look.
Status RepairTail(FileSystem* files, const std::string& dir, File& tail, const LogContents& contents) {
  const std::string path = dir + "/" + contents.tail.name;
  LOG_INFO("repairing", {"path", path});
  QUORATE_RETURN_IF_ERROR(CopyFile(files, tail, path + ".broken"));
  QUORATE_RETURN_IF_ERROR(files->SyncDirectory(dir));
  QUORATE_RETURN_IF_ERROR(tail.Truncate(contents.good_offset));
  QUORATE_RETURN_IF_ERROR(tail.Sync());
  LOG_INFO("repaired", {"path", path}, {"error", "unexpected EOF"});
  return absl::OkStatus();
}

// Zeros everything behind the last record: leftovers there would damage the log once new records end among
// them.
Status ZeroBehind(File& tail, uint64_t offset) {
  QUORATE_ASSIGN_OR_RETURN(const uint64_t size, tail.Size());
  if (size == offset) return absl::OkStatus();
  QUORATE_RETURN_IF_ERROR(tail.Truncate(offset));
  return tail.Allocate(size);
}

Status RemoveSpares(FileSystem* files, const std::string& dir) {
  QUORATE_ASSIGN_OR_RETURN(const std::vector<std::string> names, files->List(dir));
  for (const std::string& name : names) {
    if (name.ends_with(".tmp")) QUORATE_RETURN_IF_ERROR(files->Remove(dir + "/" + name));
  }
  return absl::OkStatus();
}

Status CheckMayCreate(FileSystem* files, const std::string& dir) {
  const auto names = files->List(dir);
  if (absl::IsNotFound(names.status())) return absl::OkStatus();
  if (!names.ok()) return names.status();
  for (const std::string& name : *names) {
    if (name.ends_with(".wal")) return AlreadyExists(dir + " already holds a write-ahead log");
    if (!name.ends_with(".tmp")) {
      return FailedPrecondition(dir + " holds " + name +
                                " and no write-ahead log: move it away, or name another directory");
    }
  }
  return absl::OkStatus();
}

}  // namespace

std::string SegmentName(uint64_t sequence, raft::Index first_index) {
  char name[64];
  std::snprintf(name, sizeof name, "%016" PRIx64 "-%016" PRIx64 ".wal", sequence, first_index);
  return name;
}

Wal::Wal(FileSystem* files, std::string dir, WalOptions options)
    : dir_(std::move(dir)),
      options_(std::move(options)),
      segments_(std::make_unique<Segments>(files, dir_, options_)) {}

Wal::~Wal() = default;

StatusOr<std::unique_ptr<Wal>> Wal::Create(FileSystem* files, std::string dir, const WalMetadata& metadata,
                                           WalOptions options) {
  dir = WithoutTrailingSlash(std::move(dir));
  QUORATE_RETURN_IF_ERROR(CheckMayCreate(files, dir));
  const std::string building = dir + ".tmp";
  QUORATE_RETURN_IF_ERROR(files->RemoveAll(building));
  QUORATE_RETURN_IF_ERROR(files->CreateDirectories(building, kDirectoryMode));

  auto wal = std::unique_ptr<Wal>(new Wal(files, dir, std::move(options)));
  OpenOptions open;
  open.write = open.create = true;
  open.lock = LockKind::kOpenFileDescription;
  QUORATE_ASSIGN_OR_RETURN(auto file, files->Open(building + "/" + SegmentName(0, 0), open));
  QUORATE_RETURN_IF_ERROR(file->Allocate(wal->options_.segment_bytes));
  std::vector<Segments::Locked> locked;
  locked.push_back({std::move(file), 0, 0});
  wal->segments_->Adopt(std::move(locked));

  wal->metadata_ = metadata;
  AppendMetadata(wal->metadata_bytes_, metadata);
  wal->EncodeRecord(kCrcRecord, {});
  wal->EncodeRecord(kMetadataRecord, wal->metadata_bytes_);
  wal->SaveSnapshotRecord({});
  QUORATE_RETURN_IF_ERROR(wal->segments_->WriteAndSync(wal->TakeBatch()));
  QUORATE_RETURN_IF_ERROR(files->SyncDirectory(building));

  QUORATE_RETURN_IF_ERROR(files->RemoveAll(dir));
  QUORATE_RETURN_IF_ERROR(files->Rename(building, dir));
  QUORATE_RETURN_IF_ERROR(files->SyncDirectory(Parent(dir)));
  return wal;
}

StatusOr<std::unique_ptr<Wal>> Wal::Open(FileSystem* files, std::string dir, const WalSnapshot& start,
                                         WalOptions options, LogContents* contents) {
  dir = WithoutTrailingSlash(std::move(dir));
  QUORATE_ASSIGN_OR_RETURN(const std::vector<SegmentFile> names, SelectSegments(files, dir, start.index));
  std::vector<Segments::Locked> locked;
  std::vector<File*> pointers;
  for (const SegmentFile& name : names) {
    OpenOptions open;
    open.write = true;
    open.lock = LockKind::kOpenFileDescription;
    const std::string path = dir + "/" + name.name;
    auto file = files->Open(path, open);
    if (absl::IsFailedPrecondition(file.status())) {
      return FailedPrecondition(path +
                                " is locked: another process runs on this data directory; stop it first");
    }
    if (!file.ok()) return file.status();
    pointers.push_back(file->get());
    locked.push_back({*std::move(file), name.sequence, name.first_index});
  }
  QUORATE_ASSIGN_OR_RETURN(*contents, ReadContents(pointers, names, start));
  if (options.accept) QUORATE_RETURN_IF_ERROR(options.accept(*contents));

  File& tail = *pointers.back();
  if (contents->end == LogEnd::kTorn) {
    QUORATE_RETURN_IF_ERROR(RepairTail(files, dir, tail, *contents));
    contents->repaired = true;
  } else {
    QUORATE_RETURN_IF_ERROR(ZeroBehind(tail, contents->good_offset));
  }
  QUORATE_RETURN_IF_ERROR(RemoveSpares(files, dir));
  // What was read counts as durable from now on. A process that was killed may have left it, and the tail's
  // name, in memory only.
  if (options.sync) {
    QUORATE_RETURN_IF_ERROR(tail.Sync());
    QUORATE_RETURN_IF_ERROR(files->SyncDirectory(dir));
  }

  auto wal = std::unique_ptr<Wal>(new Wal(files, std::move(dir), std::move(options)));
  wal->segments_->Adopt(std::move(locked));
  wal->metadata_ = contents->metadata;
  wal->metadata_bytes_ = contents->metadata_bytes;
  wal->state_ = contents->hard_state;
  wal->last_index_ = contents->last_index;
  wal->crc_ = contents->crc;
  wal->sequence_ = contents->tail.sequence;
  wal->tail_base_ = wal->pending_.offset = contents->good_offset;
  return wal;
}

void Wal::EncodeRecord(RecordType type, std::string_view data) {
  crc_ = crc32c::Extend(crc_, data);
  std::string& out = pending_.bytes;
  const size_t frame_at = out.size();
  out.append(kFrameFieldBytes, '\0');
  AppendRecord(out, {type, crc_, data});
  const size_t record_bytes = out.size() - frame_at - kFrameFieldBytes;
  StoreLittle(out.data() + frame_at, FrameField(record_bytes));
  out.append(FramePadding(record_bytes), '\0');
}

// EncodeRecord for the hot path: the checksum stands before the data, so it is run over the parts first and
// each part is copied once, to its final place.
void Wal::EncodeEntry(const raft::Entry& entry) {
  char entry_head[kEntryHeaderBytesMax];
  const size_t entry_head_bytes = WriteEntryHeader(entry_head, entry);
  const std::string_view data = entry.data.view();
  crc_ = crc32c::Extend(crc32c::Extend(crc_, {entry_head, entry_head_bytes}), data);

  char head[kRecordHeadBytesMax];
  char* p = head + kFrameFieldBytes;
  *p++ = static_cast<char>(wire::Tag(1, wire::Type::kVarint));
  *p++ = static_cast<char>(kEntryRecord);
  *p++ = static_cast<char>(wire::Tag(2, wire::Type::kVarint));
  p = wire::WriteVarint(p, crc_);
  *p++ = static_cast<char>(wire::Tag(3, wire::Type::kBytes));
  p = wire::WriteVarint(p, entry_head_bytes + data.size());
  const auto head_bytes = static_cast<size_t>(p - head);
  const size_t record_bytes = head_bytes - kFrameFieldBytes + entry_head_bytes + data.size();
  StoreLittle(head, FrameField(record_bytes));

  std::string& out = pending_.bytes;
  out.append(head, head_bytes);
  out.append(entry_head, entry_head_bytes);
  out.append(data);
  out.append(FramePadding(record_bytes), '\0');
  last_index_ = entry.index;
}

void Wal::EncodeState() {
  if (state_.empty()) return;
  scratch_.clear();
  AppendHardState(scratch_, state_);
  EncodeRecord(kStateRecord, scratch_);
}

void Wal::Append(std::span<const raft::Entry> entries, const raft::HardState& state) {
  if (entries.empty() && state.empty()) return;
  for (const raft::Entry& entry : entries) EncodeEntry(entry);
  if (!entries.empty()) {
    pending_.must_sync = true;
    pending_.last_index = entries.back().index;
    pending_.last_term = entries.back().term;
  }
  if (!state.empty()) {
    if (state.term != state_.term || state.vote != state_.vote) pending_.must_sync = true;
    state_ = state;
    EncodeState();
  }
  CutIfFull();
}

void Wal::CutIfFull() {
  if (tail_offset() < options_.segment_bytes) return;
  WalBatch::Cut cut;
  cut.at = pending_.bytes.size();
  cut.first_index = last_index_ + 1;
  cut.sequence = ++sequence_;
  EncodeRecord(kCrcRecord, {});
  EncodeRecord(kMetadataRecord, metadata_bytes_);
  EncodeState();
  cut.head = pending_.bytes.size() - cut.at;
  tail_base_ = uint64_t{0} - cut.at;
  pending_.cuts.push_back(cut);
  pending_.must_sync = true;
}

void Wal::SaveSnapshotRecord(const WalSnapshot& snapshot) {
  scratch_.clear();
  AppendWalSnapshot(scratch_, snapshot);
  EncodeRecord(kSnapshotRecord, scratch_);
  last_index_ = std::max(last_index_, snapshot.index);
  pending_.must_sync = true;
}

WalBatch Wal::TakeBatch() {
  WalBatch fresh;
  if (!spare_buffers_.empty()) {
    fresh.bytes = std::move(spare_buffers_.back());
    spare_buffers_.pop_back();
  }
  tail_base_ = fresh.offset = tail_offset();
  return std::exchange(pending_, std::move(fresh));
}

void Wal::Recycle(WalBatch batch) {
  if (spare_buffers_.size() >= kSpareBuffersMax || batch.bytes.capacity() > kSpareBufferBytesMax) return;
  batch.bytes.clear();
  spare_buffers_.push_back(std::move(batch.bytes));
}

Status Wal::WriteAndSync(const WalBatch& batch) { return segments_->WriteAndSync(batch); }
Status Wal::ReleaseTo(raft::Index index) { return segments_->ReleaseTo(index); }
Status Wal::Close() { return segments_->Close(); }
Status Wal::PrepareSpare() { return segments_->PrepareSpare(); }

}  // namespace quorate::wal
