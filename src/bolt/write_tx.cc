#include <algorithm>
#include <bit>
#include <cstring>

#include "base/check.h"
#include "bolt/db.h"
#include "bolt/db_state.h"

namespace quorate::bolt {
namespace {

// One write gathers so much at most.
constexpr size_t kStagingBytes = size_t{1} << 20;
// Growth, as bbolt's (db.go, AllocSize): doubling up to here, then by as much ahead.
constexpr uint64_t kGrowthStepBytes = uint64_t{16} << 20;
constexpr uint64_t kFileBytesMin = uint64_t{32} << 10;

BucketHeader RootHeader(const Meta& meta) {
  BucketHeader header;
  header.root = meta.root;
  header.sequence = meta.root_sequence;
  return header;
}

uint64_t FileBytesFor(uint64_t needed) {
  if (needed <= kGrowthStepBytes) return std::max(kFileBytesMin, std::bit_ceil(needed));
  return needed + kGrowthStepBytes;
}

}  // namespace

WriteTx::State::State(std::shared_ptr<Db::Shared> s, Db::Writer* w)
    : shared(std::move(s)),
      writer(w),
      mapping(shared->NewestMapping()),
      before(shared->NewestMeta()),
      source(SourceOf(*mapping, before, shared->path)),
      meta(before),
      mapping_after(mapping),
      tree_writer(source, &w->data, &w->pages,
                  [this](uint64_t count, const PageSpan& wanted) { return Allocate(count, wanted); }),
      root(&tree_writer, RootHeader(before), 0) {
  ++meta.txid;
}

WriteTx::WriteTx(std::unique_ptr<State> state) : txid_(state->meta.txid), state_(std::move(state)) {}

WriteTx::~WriteTx() { End(); }

void WriteTx::End() {
  if (state_ == nullptr) return;
  Db::Writer* const writer = state_->writer;
  state_->ReturnReserved();
  state_.reset();
  writer->data.Reset();
  writer->pages.Reset();
  writer->open = false;
}

WriteBucket& WriteTx::root() {
  QUORATE_CHECK(state_ != nullptr);
  return state_->root;
}

StatusOr<WriteBucket*> WriteTx::CreateBucketIfMissing(std::string_view name) {
  return root().CreateBucketIfMissing(name);
}
StatusOr<WriteBucket*> WriteTx::FindBucket(std::string_view name) { return root().FindBucket(name); }
Status WriteTx::DeleteBucket(std::string_view name) { return root().DeleteBucket(name); }

Status WriteTx::Commit() {
  if (state_ == nullptr) return FailedPrecondition("the write transaction of the db file has ended already");
  const auto write = [](State& s) -> Status {
    QUORATE_RETURN_IF_ERROR(s.tree_writer.broken());
    if (!s.root.Changed() && !s.lower_high_water) return absl::OkStatus();
    QUORATE_RETURN_IF_ERROR(s.SpillTrees());
    QUORATE_RETURN_IF_ERROR(s.CheckFreed());
    s.ReturnReserved();
    if (s.lower_high_water) s.TakeTail();
    QUORATE_RETURN_IF_ERROR(s.Extend());
    QUORATE_RETURN_IF_ERROR(s.WriteDirty());
    QUORATE_RETURN_IF_ERROR(s.Sync());
    QUORATE_RETURN_IF_ERROR(s.WriteMeta());
    QUORATE_RETURN_IF_ERROR(s.Sync());
    s.Publish();
    return absl::OkStatus();
  };
  Status status = write(*state_);
  if (!status.ok()) {
    std::lock_guard lock(state_->shared->mutex);
    state_->shared->failed = MakeStatus(
        status.code(), "db file " + state_->shared->path +
                           " takes no more writes since a commit failed: " + std::string(Message(status)));
  }
  End();
  return status;
}

StatusOr<WriteTx::MoveResult> WriteTx::Move(const TailPage& tail) {
  QUORATE_CHECK(state_ != nullptr);
  WriteBucket* bucket = &state_->root;
  if (!tail.bucket.empty()) {
    QUORATE_ASSIGN_OR_RETURN(bucket, FindBucket(tail.bucket));
    if (bucket == nullptr) return MoveResult::kGone;
  }
  return bucket->Move(tail.page, tail.key, [&](uint64_t count) {
    const std::optional<PageId> to = state_->writer->free.TakeBelow(count, tail.page);
    if (to) state_->reserved.emplace(*to, count);
    return to;
  });
}

void WriteTx::LowerHighWater() {
  QUORATE_CHECK(state_ != nullptr);
  state_->lower_high_water = true;
}

PageId WriteTx::State::Allocate(uint64_t count, const PageSpan& wanted) {
  PageId start;
  if (wanted.count == count && reserved.erase(wanted.start) > 0) {
    start = wanted.start;
  } else if (const auto taken = writer->free.Take(count)) {
    start = *taken;
  } else {
    start = meta.high_water;
    meta.high_water += count;
  }
  if (readers_open) writer->pending.Allocated(start, meta.txid);
  return start;
}

Status WriteTx::State::SpillTrees() {
  {
    std::lock_guard lock(shared->mutex);
    readers_open = !shared->readers.empty();
  }
  QUORATE_RETURN_IF_ERROR(root.SpillAsRoot());
  meta.root = root.root_page();
  meta.root_sequence = root.sequence();
  // A free list in the file would be wrong from now on.
  if (before.freelist != kFreelistNone) {
    const uint64_t span = source.Span(before.freelist);
    if (span == 0) return source.Damage(before.freelist, "no free list page");
    tree_writer.FreePages({before.freelist, span});
    meta.freelist = kFreelistNone;
  }
  return absl::OkStatus();
}

// A page that grew, merged or went meanwhile did not go where its move wanted it.
void WriteTx::State::ReturnReserved() {
  for (const auto& [start, count] : reserved) writer->free.Add(start, count);
  reserved.clear();
}

// No reader sees free pages, so the high-water mark may pass them; a pending one stops it.
void WriteTx::State::TakeTail() { meta.high_water = writer->free.TakeTail(meta.high_water); }

// The walk at open found every page in one place only; this catches bytes that went bad since.
Status WriteTx::State::CheckFreed() const {
  std::vector<PageSpan> spans = tree_writer.freed();
  std::sort(spans.begin(), spans.end(),
            [](const PageSpan& a, const PageSpan& b) { return a.start < b.start; });
  PageId end = 2;
  for (const PageSpan& span : spans) {
    if (span.start < end) return source.Damage(span.start, "it is reached twice");
    end = span.start + span.count;
    for (PageId id = span.start; id < end; ++id) {
      if (writer->free.Contains(id)) return source.Damage(id, "it is in use and free");
    }
  }
  return absl::OkStatus();
}

Status WriteTx::State::Extend() {
  const uint64_t needed = meta.high_water * meta.page_size;
  if (needed > writer->file_bytes) {
    const uint64_t size = FileBytesFor(needed);
    QUORATE_RETURN_IF_ERROR(writer->file->Truncate(size));
    writer->file_bytes = size;
  }
  if (needed > mapping->size()) {
    QUORATE_ASSIGN_OR_RETURN(mapping_after,
                             writer->file->Map(std::max(std::bit_ceil(needed), mapping->size() * 2)));
  }
  return absl::OkStatus();
}

Status WriteTx::State::WriteDirty() {
  std::vector<DirtyPages>& dirty = tree_writer.dirty();
  std::sort(dirty.begin(), dirty.end(),
            [](const DirtyPages& a, const DirtyPages& b) { return a.start < b.start; });
  std::string& staging = writer->staging;
  for (size_t i = 0; i < dirty.size();) {
    const uint64_t offset = dirty[i].start * meta.page_size;
    // As long as neighbours in the file are neighbours in memory, no copy is needed.
    std::string_view run = dirty[i].bytes;
    staging.clear();
    for (++i; i < dirty.size() && dirty[i].start * meta.page_size == offset + run.size(); ++i) {
      const std::string_view next = dirty[i].bytes;
      if (run.size() + next.size() > kStagingBytes) break;
      if (staging.empty() && run.data() + run.size() == next.data()) {
        run = {run.data(), run.size() + next.size()};
        continue;
      }
      if (staging.empty()) staging.assign(run);
      staging.append(next);
      run = staging;
    }
    QUORATE_RETURN_IF_ERROR(writer->file->WriteAt(offset, run));
  }
  return absl::OkStatus();
}

Status WriteTx::State::Sync() { return writer->options.sync ? writer->file->Sync() : absl::OkStatus(); }

Status WriteTx::State::WriteMeta() {
  std::string page(meta.page_size, '\0');
  const PageId id = meta.txid % 2;
  meta.Store(page.data(), id);
  return writer->file->WriteAt(id * meta.page_size, page);
}

void WriteTx::State::Publish() {
  for (const PageSpan& span : tree_writer.freed()) writer->pending.Freed(span, meta.txid);
  writer->high_water_before = before.high_water;
  std::lock_guard lock(shared->mutex);
  shared->meta = meta;
  shared->mapping = mapping_after;
  shared->figures.file_bytes = writer->file_bytes;
  shared->figures.pages_free = writer->free.count();
  shared->figures.pages_pending = writer->pending.count();
}

}  // namespace quorate::bolt
