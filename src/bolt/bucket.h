// Reading one bucket of one transaction: point look-ups and ordered scans, in place, without allocation.
// Views of keys and values point into the mapping (or, for a write transaction, into its memory) and live as
// long as the transaction. A damaged page gives DataLoss naming file, page and offset; never a crash.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "absl/container/inlined_vector.h"
#include "base/status.h"
#include "bolt/page.h"

namespace quorate::bolt {

struct TreeNode;

// Where a tree starts: a node of a write transaction, an inline page, or a page of the file.
struct TreeRoot {
  const TreeNode* node = nullptr;
  PageView inline_page;
  PageId page = 0;  // 0: inline.
};

// Looks the key up in the tree at `root` (0: in `inline_page`).
StatusOr<std::optional<LeafElement>> FindInPages(const PageSource& source, PageId root,
                                                 const PageView& inline_page, std::string_view key);

// Walks the elements in order of their keys. Starts invalid: seek first. Copyable, cheap. One thread at a
// time. A cursor of a write transaction is void after any change through the bucket.
class Cursor {
 public:
  Cursor(const PageSource* source, const TreeRoot& root) : source_(source), root_(root) {}

  Status SeekFirst();
  Status SeekLast();
  // The first element whose key is >= `key`.
  Status Seek(std::string_view key);
  // Valid() before the call. Past either end the cursor is invalid and needs a new seek.
  Status Next();
  Status Prev();

  // False past the end, before the first seek, and after an error.
  bool Valid() const { return valid_; }
  // Valid() only.
  std::string_view key() const { return element_.key; }
  std::string_view value() const { return element_.value; }
  bool is_bucket() const { return element_.is_bucket(); }

 private:
  struct Frame {
    const TreeNode* node = nullptr;  // Else `page`.
    PageView page;
    uint32_t index = 0;

    bool is_leaf() const;
    uint32_t count() const;
  };
  enum class Edge { kFirst, kLast };

  Status Push(const TreeNode* node, PageId page);
  Status PushRoot();
  Status PushChild();
  Status DescendToEdge(Edge edge);
  // From the leaf on top of the stack, whose index may lie outside it, to the nearest element in the
  // direction.
  Status Settle(Edge edge);
  Status LoadElement();
  Status Fail(Status status);

  const PageSource* source_;
  TreeRoot root_;
  absl::InlinedVector<Frame, 6> stack_;  // Root first.
  LeafElement element_;
  bool valid_ = false;
};

// A bucket of a read transaction. A value: copy freely; any thread, while the transaction lives.
class Bucket {
 public:
  Bucket(const PageSource* source, const BucketHeader& header) : source_(source), header_(header) {}

  // Nothing when the key is missing or names a nested bucket.
  StatusOr<std::optional<std::string_view>> Get(std::string_view key) const;
  Cursor NewCursor() const { return Cursor(source_, {nullptr, header_.inline_page, header_.root}); }
  StatusOr<std::optional<Bucket>> FindBucket(std::string_view name) const;
  uint64_t sequence() const { return header_.sequence; }
  // 0 when it lies within its parent's page.
  PageId root_page() const { return header_.root; }

 private:
  friend class ReadTx;

  const PageSource* source_;
  BucketHeader header_;
};

}  // namespace quorate::bolt
