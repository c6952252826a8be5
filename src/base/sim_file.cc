#include <sys/mman.h>

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <utility>

#include "base/check.h"
#include "base/env_sim.h"
#include "base/sim_node.h"

namespace quorate {
namespace {

// The kernel writes what is old by itself, sooner or later.
constexpr ptrdiff_t kUnsyncedChangesMax = 4096;

Status DeadHandle(const std::string& path) {
  return Unavailable(path + ": opened before the simulated crash; open it again");
}

}  // namespace

void SimFileSystem::Node::Change(ContentChange change) {
  const uint64_t size_before = image.size();
  change.Apply(image);
  for (SimMapping* mapping : mappings) {
    mapping->Expose(image.size());
    const uint64_t start = change.size ? size_before : std::min(change.offset, size_before);
    const uint64_t end = change.size ? *change.size : change.offset + change.bytes.size();
    if (end > start) mapping->Refresh(start, end - start);
  }
  changes.push_back(std::move(change));
  if (std::ssize(changes) < kUnsyncedChangesMax) return;
  const auto old = changes.begin() + kUnsyncedChangesMax / 2;
  for (auto it = changes.begin(); it != old; ++it) it->Apply(image_durable);
  changes.erase(changes.begin(), old);
}

Status SimFileSystem::Node::Lock(LockKind kind, uint64_t epoch, const std::string& path) {
  if (lock_epoch != epoch) {
    lock_epoch = epoch;
    flock_exclusive = ofd_locked = false;
    flock_shared = 0;
  }
  const bool held = (kind == LockKind::kFlock && (flock_exclusive || flock_shared > 0)) ||
                    (kind == LockKind::kFlockShared && flock_exclusive) ||
                    (kind == LockKind::kOpenFileDescription && ofd_locked);
  if (held) return FailedPrecondition("lock " + path + ": Resource temporarily unavailable");
  if (kind == LockKind::kFlock) flock_exclusive = true;
  if (kind == LockKind::kFlockShared) ++flock_shared;
  if (kind == LockKind::kOpenFileDescription) ofd_locked = true;
  return absl::OkStatus();
}

void SimFileSystem::Node::Unlock(LockKind kind, uint64_t epoch) {
  if (lock_epoch != epoch) return;
  if (kind == LockKind::kFlock) flock_exclusive = false;
  if (kind == LockKind::kFlockShared) --flock_shared;
  if (kind == LockKind::kOpenFileDescription) ofd_locked = false;
}

SimMapping::SimMapping(SimFileSystem* files, SimFileSystem::NodePtr node, std::string path, size_t length)
    : files_(files), node_(std::move(node)), path_(std::move(path)), size_(length) {
  void* data = ::mmap(nullptr, length, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  QUORATE_CHECK(data != MAP_FAILED);
  data_ = static_cast<char*>(data);
  Expose(node_->image.size());
  Refresh(0, node_->image.size());
  node_->mappings.push_back(this);
}

SimMapping::~SimMapping() {
  {
    std::lock_guard lock(files_->mutex_);
    std::erase(node_->mappings, this);
  }
  ::munmap(data_, size_);
}

bool SimMapping::Resident(size_t offset, size_t length) const {
  QUORATE_CHECK(offset <= size_);
  QUORATE_CHECK(length <= size_ - offset);
  SimFileSystem::Residency residency;
  {
    std::lock_guard lock(files_->mutex_);
    residency = files_->residency_;
  }
  return !residency || residency(path_, offset, length);
}

void SimMapping::Expose(uint64_t file_bytes) {
  constexpr size_t kMemoryPageBytes = 4096;
  const size_t in_view = static_cast<size_t>(std::min<uint64_t>(file_bytes, size_));
  const size_t end = (in_view + kMemoryPageBytes - 1) / kMemoryPageBytes * kMemoryPageBytes;
  if (end == exposed_) return;
  const size_t begin = std::min(exposed_, end);
  const int access = end > exposed_ ? PROT_READ | PROT_WRITE : PROT_NONE;
  QUORATE_CHECK(::mprotect(data_ + begin, std::max(exposed_, end) - begin, access) == 0);
  exposed_ = end;
}

void SimMapping::Refresh(uint64_t offset, uint64_t length) {
  if (offset >= size_) return;
  node_->image.Read(offset, data_ + offset, static_cast<size_t>(std::min<uint64_t>(length, size_ - offset)));
}

class SimFile final : public File {
 public:
  SimFile(SimFileSystem* files, SimFileSystem::NodePtr node, std::string path, const OpenOptions& options,
          uint64_t epoch)
      : files_(files), node_(std::move(node)), path_(std::move(path)), options_(options), epoch_(epoch) {}
  ~SimFile() override {
    std::lock_guard lock(files_->mutex_);
    node_->Unlock(options_.lock, epoch_);
  }
  SimFile(const SimFile&) = delete;
  SimFile& operator=(const SimFile&) = delete;

  const std::string& path() const override { return path_; }

  StatusOr<size_t> ReadAt(uint64_t offset, char* out, size_t length) override {
    QUORATE_RETURN_IF_ERROR(files_->Before(SimOperation::kRead, path_));
    std::lock_guard lock(files_->mutex_);
    if (Dead()) return DeadHandle(path_);
    return node_->image.Read(offset, out, length);
  }

  Status WriteAt(uint64_t offset, std::string_view data) override {
    QUORATE_RETURN_IF_ERROR(files_->Before(SimOperation::kWrite, path_));
    std::lock_guard lock(files_->mutex_);
    QUORATE_RETURN_IF_ERROR(Writable("write"));
    const uint64_t end_max = SizeMax();
    if (data.empty()) return absl::OkStatus();
    const bool fits = offset + data.size() <= end_max;
    if (!fits) data = data.substr(0, offset < end_max ? static_cast<size_t>(end_max - offset) : 0);
    if (!data.empty()) node_->Change({offset, std::string(data), std::nullopt});
    return fits ? absl::OkStatus() : Full("write");
  }

  Status Sync() override {
    Status before = files_->Before(SimOperation::kSync, path_);
    {
      std::lock_guard lock(files_->mutex_);
      if (Dead()) return DeadHandle(path_);
      if (before.ok()) {
        node_->Sync();
        return before;
      }
      files_->SurviveInPart(*node_);
      node_->cache_lies = files_->cache_lies_ = true;
    }
    if (files_->on_failed_sync_) files_->on_failed_sync_(path_);
    return before;
  }

  Status Truncate(uint64_t size) override {
    QUORATE_RETURN_IF_ERROR(files_->Before(SimOperation::kTruncate, path_));
    std::lock_guard lock(files_->mutex_);
    QUORATE_RETURN_IF_ERROR(Writable("truncate"));
    if (size > SizeMax()) return Full("truncate");
    node_->Change({0, {}, size});
    return absl::OkStatus();
  }

  Status Allocate(uint64_t size) override {
    QUORATE_RETURN_IF_ERROR(files_->Before(SimOperation::kAllocate, path_));
    std::lock_guard lock(files_->mutex_);
    QUORATE_RETURN_IF_ERROR(Writable("allocate"));
    if (size > SizeMax()) return Full("allocate");
    if (size > node_->image.size()) node_->Change({0, {}, size});
    return absl::OkStatus();
  }

  StatusOr<uint64_t> Size() override {
    QUORATE_RETURN_IF_ERROR(files_->Before(SimOperation::kSize, path_));
    std::lock_guard lock(files_->mutex_);
    if (Dead()) return DeadHandle(path_);
    return node_->image.size();
  }

  StatusOr<std::unique_ptr<Mapping>> Map(size_t length) override {
    QUORATE_RETURN_IF_ERROR(files_->Before(SimOperation::kMap, path_));
    std::lock_guard lock(files_->mutex_);
    if (Dead()) return DeadHandle(path_);
    if (length == 0) return InvalidArgument("map " + path_ + ": the length must be above zero");
    return std::unique_ptr<Mapping>(new SimMapping(files_, node_, path_, length));
  }

 private:
  bool Dead() const { return epoch_ != files_->epoch_; }
  Status Writable(std::string_view action) const {
    if (Dead()) return DeadHandle(path_);
    if (options_.write) return absl::OkStatus();
    return PermissionDenied(std::string(action) + " " + path_ + ": opened for reading only");
  }
  // The size the file may grow to on this disk.
  uint64_t SizeMax() const {
    const uint64_t room = files_->RoomBytes();
    return room > UINT64_MAX - node_->image.size() ? UINT64_MAX : node_->image.size() + room;
  }
  Status Full(std::string_view action) const {
    return ResourceExhausted(std::string(action) + " " + path_ + ": No space left on device");
  }

  SimFileSystem* const files_;
  const SimFileSystem::NodePtr node_;
  const std::string path_;
  const OpenOptions options_;
  const uint64_t epoch_;
};

std::unique_ptr<File> SimFileSystem::NewFile(NodePtr node, const std::string& path,
                                             const OpenOptions& options) {
  return std::make_unique<SimFile>(this, std::move(node), path, options, epoch_);
}

}  // namespace quorate
