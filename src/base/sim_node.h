// The parts of SimFileSystem that files hold: nodes, handles and mappings. For env_sim's own sources only.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/env_sim.h"
#include "base/sparse_bytes.h"

namespace quorate {

// One change of a file's bytes that is not durable yet: a write, or with `size` a new size.
struct ContentChange {
  uint64_t offset = 0;
  std::string bytes;
  std::optional<uint64_t> size;

  void Apply(SparseBytes& image) const {
    if (size) {
      image.Resize(*size);
    } else {
      image.Write(offset, bytes);
    }
  }
};

// A file or a directory. Under the file system's mutex.
struct SimFileSystem::Node {
  bool directory = false;
  uint32_t mode = 0;

  // Of a directory.
  std::map<std::string, NodePtr> children;
  std::map<std::string, NodePtr> children_durable;

  // Of a file.
  SparseBytes image;
  SparseBytes image_durable;
  std::vector<ContentChange> changes;  // What separates the two, oldest first.
  std::vector<SimMapping*> mappings;
  bool cache_lies = false;  // A sync has failed: `image` may show what neither of the others holds.

  // Locks taken in an older epoch are void.
  uint64_t lock_epoch = 0;
  bool flock_exclusive = false;
  size_t flock_shared = 0;
  bool ofd_locked = false;

  void Change(ContentChange change);
  void Sync() {
    for (const ContentChange& change : changes) change.Apply(image_durable);
    changes.clear();
  }
  Status Lock(LockKind kind, uint64_t epoch, const std::string& path);
  void Unlock(LockKind kind, uint64_t epoch);
};

class SimMapping final : public Mapping {
 public:
  SimMapping(SimFileSystem* files, SimFileSystem::NodePtr node, std::string path, size_t length);
  ~SimMapping() override;
  SimMapping(const SimMapping&) = delete;
  SimMapping& operator=(const SimMapping&) = delete;

  const char* data() const override { return data_; }
  size_t size() const override { return size_; }
  bool Resident(size_t offset, size_t length) const override;

  // Under the file system's mutex: copies a range of the file, as far as it is in view.
  void Refresh(uint64_t offset, uint64_t length);
  // Under the file system's mutex: memory beyond the end of the file ends whoever touches it, as SIGBUS does.
  void Expose(uint64_t file_bytes);

 private:
  SimFileSystem* const files_;
  const SimFileSystem::NodePtr node_;
  const std::string path_;
  char* data_;
  const size_t size_;
  size_t exposed_ = 0;  // Bytes that may be touched; whole memory pages.
};

}  // namespace quorate
