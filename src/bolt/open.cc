#include <algorithm>
#include <array>
#include <bit>
#include <optional>
#include <string>

#include "bolt/db.h"
#include "bolt/db_state.h"
#include "bolt/tree_walk.h"

namespace quorate::bolt {
namespace {

constexpr std::string_view kWayOut =
    "; restore this member from a snapshot, or remove it and add it anew so that it copies another member";
constexpr uint32_t kFileMode = 0600;

// What bbolt makes of an empty file (db.go, init), but that the free list is not stored: metas 0 and 1, a
// free page, and an empty leaf as the root.
std::string NewFile(uint32_t page_size) {
  constexpr PageId kRoot = 3;
  std::string bytes(4 * size_t{page_size}, '\0');
  for (PageId id = 0; id < 2; ++id) {
    Meta meta;
    meta.page_size = page_size;
    meta.root = kRoot;
    meta.high_water = 4;
    meta.txid = id;
    meta.Store(bytes.data() + id * page_size, id);
  }
  PageHeader{kRoot, kLeafPage, 0, 0}.Store(bytes.data() + kRoot * page_size);
  return bytes;
}

StatusOr<std::optional<Meta>> ReadMeta(File& file, uint64_t offset) {
  std::array<char, kPageHeaderBytes + Meta::kBytes> bytes;
  QUORATE_ASSIGN_OR_RETURN(const size_t n, file.ReadAt(offset, bytes.data(), bytes.size()));
  if (n < bytes.size()) return std::nullopt;
  return Meta::Parse(bytes.data());
}

struct Metas {
  Meta newest;
  std::optional<Meta> other;
};

// The valid metas. Where the first is invalid its page size is unknown, so the second is looked for at
// every place where it could be.
StatusOr<Metas> ChooseMeta(File& file) {
  QUORATE_ASSIGN_OR_RETURN(const std::optional<Meta> first, ReadMeta(file, 0));
  std::optional<Meta> second;
  if (first) {
    QUORATE_ASSIGN_OR_RETURN(second, ReadMeta(file, first->page_size));
    if (second && second->page_size != first->page_size) second.reset();
  }
  for (uint64_t offset = kPageBytesMin; !first && !second && offset <= kPageBytesMax; offset *= 2) {
    QUORATE_ASSIGN_OR_RETURN(second, ReadMeta(file, offset));
    if (second && second->page_size != offset) second.reset();
  }
  if (!first && !second) {
    return DataLoss("db file " + file.path() + ": neither meta page (at byte 0 and one page on) is valid" +
                    std::string(kWayOut));
  }
  if (first && second) {
    return first->txid > second->txid ? Metas{*first, second} : Metas{*second, first};
  }
  return Metas{first ? *first : *second, std::nullopt};
}

Status CreateIfEmpty(FileSystem& files, const std::string& path, const Options& options) {
  const StatusOr<FileInfo> info = files.Stat(path);
  if (info.ok() && info->size > 0) return absl::OkStatus();
  if (!info.ok() && info.status().code() != absl::StatusCode::kNotFound) return info.status();
  if (!std::has_single_bit(options.page_size) || options.page_size < kPageBytesMin ||
      options.page_size > kPageBytesMax) {
    return InvalidArgument("db file " + path + ": a page size of " + std::to_string(options.page_size) +
                           " bytes; it must be a power of two from " + std::to_string(kPageBytesMin) +
                           " to " + std::to_string(kPageBytesMax));
  }
  return files.WriteAtomically(path, NewFile(options.page_size), kFileMode);
}

// Marks what is not reachable as free.
Status FindFreePages(const PageSource& source, const Meta& meta, FreePages* free) {
  TreeWalk walk(source, TreeWalk::Keys::kSkip);
  walk.Run(meta);
  if (!walk.problems().empty()) return walk.problems().front();
  const std::vector<bool>& reached = walk.reached();
  for (PageId id = 2; id < reached.size();) {
    PageId end = id;
    while (end < reached.size() && !reached[end]) ++end;
    if (end > id) free->Add(id, end - id);
    id = end + 1;
  }
  return absl::OkStatus();
}

}  // namespace

StatusOr<std::unique_ptr<Db>> Db::Open(FileSystem& files, const std::string& path, const Options& options) {
  if (!options.read_only) QUORATE_RETURN_IF_ERROR(CreateIfEmpty(files, path, options));
  OpenOptions open;
  open.write = !options.read_only;
  open.lock = options.read_only && options.lock == LockKind::kFlock ? LockKind::kFlockShared : options.lock;
  auto writer = std::make_unique<Writer>();
  auto shared = std::make_shared<Shared>(options.shown_path.empty() ? path : options.shown_path);
  QUORATE_ASSIGN_OR_RETURN(writer->file, files.Open(path, open));
  QUORATE_ASSIGN_OR_RETURN(writer->file_bytes, writer->file->Size());
  QUORATE_ASSIGN_OR_RETURN(const Metas metas, ChooseMeta(*writer->file));
  shared->meta = metas.newest;
  if (metas.other) writer->high_water_before = metas.other->high_water;
  const Meta& meta = shared->meta;
  if (meta.high_water * meta.page_size > writer->file_bytes) {
    return DataLoss("db file " + path + " ends at byte " + std::to_string(writer->file_bytes) + ", but its " +
                    std::to_string(meta.high_water) + " pages reach to byte " +
                    std::to_string(meta.high_water * meta.page_size) + std::string(kWayOut));
  }
  const uint64_t map_bytes = options.map_bytes == 0 ? kMapBytesDefault : options.map_bytes;
  QUORATE_ASSIGN_OR_RETURN(shared->mapping, writer->file->Map(std::max(map_bytes, writer->file_bytes)));
  if (!options.read_only) {
    QUORATE_RETURN_IF_ERROR(
        FindFreePages(SourceOf(*shared->mapping, meta, shared->path), meta, &writer->free));
  }
  writer->options = options;
  shared->figures.file_bytes = writer->file_bytes;
  shared->figures.pages_free = writer->free.count();
  return std::unique_ptr<Db>(new Db(std::move(shared), std::move(writer)));
}

}  // namespace quorate::bolt
