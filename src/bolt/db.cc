#include "bolt/db.h"

#include <algorithm>

#include "base/check.h"
#include "bolt/db_state.h"
#include "bolt/tree_walk.h"

namespace quorate::bolt {
namespace {

constexpr uint64_t kCopyChunkBytes = uint64_t{1} << 20;

}  // namespace

Db::Db(std::shared_ptr<Shared> shared, std::unique_ptr<Writer> writer)
    : shared_(std::move(shared)), writer_(std::move(writer)) {}

Db::~Db() { QUORATE_CHECK(!writer_->open); }

const std::string& Db::path() const { return shared_->path; }

StatusOr<ReadTx> Db::BeginRead() {
  auto state = std::make_unique<ReadTx::State>();
  state->shared = shared_;
  {
    std::lock_guard lock(shared_->mutex);
    state->mapping = shared_->mapping;
    state->meta = shared_->meta;
    Shared::Readers& same = shared_->readers[state->meta.txid];
    ++same.count;
    same.high_water = state->meta.high_water;
  }
  state->source = SourceOf(*state->mapping, state->meta, shared_->path);
  return ReadTx(std::move(state));
}

StatusOr<std::unique_ptr<WriteTx>> Db::BeginWrite() {
  if (writer_->options.read_only) {
    return FailedPrecondition("db file " + path() + " is open for reading only; open it for writing");
  }
  if (writer_->open) {
    return FailedPrecondition("db file " + path() + ": a write transaction is open; commit or drop it first");
  }
  std::vector<uint64_t> readers;
  {
    std::lock_guard lock(shared_->mutex);
    QUORATE_RETURN_IF_ERROR(shared_->failed);
    for (const auto& [txid, same] : shared_->readers) readers.push_back(txid);
  }
  // A reader that begins after this sees the newest state, which uses none of the pages released here.
  writer_->pending.Release(readers, &writer_->free);
  {
    std::lock_guard lock(shared_->mutex);
    shared_->figures.pages_free = writer_->free.count();
    shared_->figures.pages_pending = writer_->pending.count();
  }
  writer_->open = true;
  return std::unique_ptr<WriteTx>(new WriteTx(std::make_unique<WriteTx::State>(shared_, writer_.get())));
}

Stats Db::stats() const {
  std::lock_guard lock(shared_->mutex);
  Stats stats = shared_->figures;
  stats.page_size = shared_->meta.page_size;
  stats.pages_total = shared_->meta.high_water;
  stats.txid = shared_->meta.txid;
  stats.open_reads = 0;
  for (const auto& [txid, same] : shared_->readers) stats.open_reads += same.count;
  return stats;
}

Status Db::VerifyFreePages() {
  QUORATE_CHECK(!writer_->open);
  QUORATE_ASSIGN_OR_RETURN(const ReadTx tx, BeginRead());
  TreeWalk walk(tx.pages(), TreeWalk::Keys::kSkip);
  walk.Run(tx.meta());
  if (!walk.problems().empty()) return walk.problems().front();
  std::vector<bool> used = walk.reached();
  bool twice = false;
  writer_->pending.ForEach([&](const PageSpan& span) {
    for (PageId id = span.start; id < span.start + span.count; ++id) {
      twice = twice || used[id] || writer_->free.Contains(id);
      used[id] = true;
    }
  });
  if (twice) return Internal("db file " + path() + ": a pending page is also in use or free");
  for (PageId id = 0; id < used.size(); ++id) {
    if (used[id] != writer_->free.Contains(id)) continue;
    return Internal("db file " + path() + ": page " + std::to_string(id) + " of " +
                    std::to_string(used.size()) +
                    (used[id] ? " is both in use and free" : " is neither in use nor free"));
  }
  if (writer_->free.end() > used.size()) {
    return Internal("db file " + path() + ": pages beyond the high-water mark are free");
  }
  return absl::OkStatus();
}

ReadTx::ReadTx(std::unique_ptr<State> state) : state_(std::move(state)) {}
ReadTx::ReadTx(ReadTx&&) noexcept = default;

ReadTx& ReadTx::operator=(ReadTx&& other) noexcept {
  const ReadTx ended(std::move(state_));
  state_ = std::move(other.state_);
  return *this;
}

ReadTx::~ReadTx() {
  if (state_ == nullptr) return;
  std::lock_guard lock(state_->shared->mutex);
  const auto it = state_->shared->readers.find(state_->meta.txid);
  if (--it->second.count == 0) state_->shared->readers.erase(it);
}

uint64_t ReadTx::txid() const { return state_->meta.txid; }
uint64_t ReadTx::size_bytes() const { return state_->meta.high_water * state_->meta.page_size; }
const PageSource& ReadTx::pages() const { return state_->source; }
const Meta& ReadTx::meta() const { return state_->meta; }

StatusOr<Bucket> ReadTx::Root() const {
  BucketHeader header;
  header.root = state_->meta.root;
  header.sequence = state_->meta.root_sequence;
  return Bucket(&state_->source, header);
}

StatusOr<std::optional<Bucket>> ReadTx::FindBucket(std::string_view name) const {
  QUORATE_ASSIGN_OR_RETURN(const Bucket root, Root());
  return root.FindBucket(name);
}

Status ReadTx::ForEachBucket(const std::function<Status(std::string_view, const Bucket&)>& fn) const {
  QUORATE_ASSIGN_OR_RETURN(const Bucket root, Root());
  Cursor cursor = root.NewCursor();
  for (Status s = cursor.SeekFirst();; s = cursor.Next()) {
    QUORATE_RETURN_IF_ERROR(s);
    if (!cursor.Valid()) return absl::OkStatus();
    if (!cursor.is_bucket()) continue;
    BucketHeader header;
    if (!BucketHeader::Parse(cursor.value(), &header)) {
      return state_->source.Damage(state_->meta.root, "a bucket below it can't be read");
    }
    QUORATE_RETURN_IF_ERROR(fn(cursor.key(), Bucket(&state_->source, header)));
  }
}

Status ReadTx::CopyTo(const std::function<Status(std::string_view)>& fn, uint64_t begin) const {
  Meta meta = state_->meta;
  const uint64_t page_size = meta.page_size;
  std::string metas(2 * page_size, '\0');
  meta.Store(metas.data(), 0);
  --meta.txid;
  meta.Store(metas.data() + page_size, 1);
  if (begin < metas.size()) QUORATE_RETURN_IF_ERROR(fn(std::string_view(metas).substr(begin)));
  const uint64_t chunk_bytes = std::max(kCopyChunkBytes, page_size);
  // A copy: pages that are free in this state are written to meanwhile, and whoever looks twice at a chunk,
  // to hash it and to send it, must see the same bytes both times.
  std::string chunk;
  for (uint64_t at = std::max<uint64_t>(metas.size(), begin); at < size_bytes();) {
    const uint64_t n = std::min(chunk_bytes, size_bytes() - at);
    chunk.assign(state_->source.base + at, n);
    QUORATE_RETURN_IF_ERROR(fn(chunk));
    at += n;
  }
  return absl::OkStatus();
}

bool ReadTx::ResidentOnPath(const Bucket& bucket, std::string_view key) const {
  const PageSource& source = state_->source;
  PageId page = bucket.header_.root;
  if (page == 0) {
    const PageView& view = bucket.header_.inline_page;
    return state_->mapping->Resident(static_cast<size_t>(view.data() - source.base), view.extent());
  }
  for (int depth = 0; depth <= kTreeDepthMax; ++depth) {
    if (page >= source.high_water) return true;
    const uint64_t offset = page * source.page_size;
    if (!state_->mapping->Resident(offset, source.page_size)) return false;
    PageView view;
    if (!source.Load(page, &view)) return true;
    if (view.extent() > source.page_size && !state_->mapping->Resident(offset, view.extent())) return false;
    uint32_t i = 0;
    if (view.is_leaf() || !view.ChildIndex(key, &i)) return true;
    page = view.Child(i);
  }
  return true;
}

}  // namespace quorate::bolt
