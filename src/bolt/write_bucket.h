// A bucket of the write transaction.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/status.h"
#include "bolt/bucket.h"
#include "bolt/page.h"
#include "bolt/write_tree.h"

namespace quorate::bolt {

// Owned by its transaction (or by the bucket that holds it); the writer's thread only.
class WriteBucket {
 public:
  WriteBucket(TreeWriter* writer, const BucketHeader& header, int depth);
  ~WriteBucket();
  WriteBucket(const WriteBucket&) = delete;
  WriteBucket& operator=(const WriteBucket&) = delete;

  // InvalidArgument for an empty or too long key or value; FailedPrecondition when the key names a nested
  // bucket.
  Status Put(std::string_view key, std::string_view value);
  // OK when the key is missing. FailedPrecondition when it names a nested bucket.
  Status Delete(std::string_view key);
  // Nothing when the key is missing or names a nested bucket. The view lives until the transaction ends.
  StatusOr<std::optional<std::string_view>> Get(std::string_view key) const;
  Cursor NewCursor() const { return tree_.NewCursor(); }

  // How full pages are left when one splits, clamped to [0.1, 1]; 0.5 at first, 0.9 suits ascending keys.
  void set_fill_percent(double fraction) { tree_.set_fill_percent(fraction); }
  // See WriteTree::Move.
  StatusOr<WriteTree::MoveResult> Move(PageId page, std::string_view key, const WriteTree::Reserve& reserve) {
    return tree_.Move(page, key, reserve);
  }
  uint64_t sequence() const { return sequence_; }
  void set_sequence(uint64_t sequence);

  StatusOr<WriteBucket*> CreateBucketIfMissing(std::string_view name);
  StatusOr<WriteBucket*> FindBucket(std::string_view name);  // nullptr when missing.
  Status DeleteBucket(std::string_view name);                // NotFound when missing.

 private:
  friend class WriteTx;

  // Writes this bucket and those below into dirty pages; returns the value that the parent stores.
  StatusOr<std::string> Spill();
  // The same for the file's root bucket, which is never inline; its root is then root_page().
  Status SpillAsRoot();
  Status SpillChildren();
  // Gives up all pages of the bucket and of those below.
  Status FreePages();
  PageId root_page() const { return tree_.root_page(); }
  bool Changed() const;
  StatusOr<WriteBucket*> Adopt(std::string_view name, std::string_view value);

  TreeWriter* const writer_;
  const int depth_;  // 0 is the file's root bucket.
  WriteTree tree_;
  uint64_t sequence_;
  bool sequence_changed_ = false;
  std::map<std::string, std::unique_ptr<WriteBucket>, std::less<>> children_;  // Those opened.
};

}  // namespace quorate::bolt
