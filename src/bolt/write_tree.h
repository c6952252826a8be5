// The tree of one bucket while it is being changed: changed pages are held as nodes in memory, the rest is
// read from the file. Split and merge happen at the end, when the nodes are written to fresh pages. The
// writer's thread only.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "bolt/bucket.h"
#include "bolt/page.h"
#include "bolt/tree_writer.h"

namespace quorate::bolt {

class WriteTree {
 public:
  WriteTree(TreeWriter* writer, const BucketHeader& header)
      : writer_(writer), page_(header.root), inline_page_(header.inline_page) {}

  StatusOr<std::optional<LeafElement>> Find(std::string_view key) const;
  enum class PutResult { kDone, kHoldsBucket };
  // Inserts or replaces; copies both. A value does not replace a bucket.
  StatusOr<PutResult> Put(std::string_view key, std::string_view value, uint32_t flags);
  // The key exists.
  Status Remove(std::string_view key);
  Cursor NewCursor() const;

  void set_fill_percent(double fraction);
  bool changed() const { return root_ != nullptr || page_changed_; }
  // Of the file: 0 for an inline tree.
  PageId root_page() const { return page_; }

  // Makes the root a node, so that it will be written.
  Status LoadRoot();
  // Has the page written anew, with the path to it, as part of a move. `key` is its first key. `reserve`
  // gives the page that the copy of so many pages shall begin at, nothing when there is none.
  enum class MoveResult { kMoved, kGone, kNoRoom };
  using Reserve = std::function<std::optional<PageId>(uint64_t count)>;
  StatusOr<MoveResult> Move(PageId page, std::string_view key, const Reserve& reserve);

  // Commit, in this order: Rebalance, then Spill or MoveInline.
  // Merges small nodes with a sibling, drops empty ones, and takes one-child roots away.
  Status Rebalance();
  // bbolt's rule: one leaf without nested buckets, at most a quarter of a page.
  bool Inlineable() const;
  // Writes the nodes to dirty pages; root_page() is the new root.
  void Spill();
  // Gives the pages up and appends the leaf as an inline page to `out`.
  void MoveInline(std::string* out);

  // Marks every page of the tree as freed, but not those of nested buckets.
  Status FreePages();

 private:
  struct Step {
    TreeNode* node;
    uint32_t index;  // Of the child taken.
  };

  StatusOr<TreeNode*> Child(TreeNode* node, uint32_t index);
  // The pages spanned by `page` if it is still on the way to the key, else 0.
  StatusOr<uint64_t> SpanOnPath(PageId page, std::string_view key) const;
  // The leaf for `key`, with all nodes above it loaded.
  Status Descend(std::string_view key);
  bool AppendToTail(std::string_view key, std::string_view value, uint32_t flags);
  void SplitLeaf(bool appended);
  Status RebalanceChildren(TreeNode* node);
  Status Merge(TreeNode* left, TreeNode* right);
  void SpillNode(TreeNode* node, std::vector<TreeItem>* out);
  void FreeNodePages(TreeNode* node);
  Status FreeNodesBelow(TreeNode* node, int depth);
  Status FreePagesBelow(PageId page, int depth);

  TreeWriter* const writer_;
  TreeNode* root_ = nullptr;
  PageId page_;
  PageView inline_page_;
  bool page_changed_ = false;
  double fill_percent_ = 0.5;
  TreeNode* tail_ = nullptr;  // The last leaf, if loaded: appending goes straight there.
  TreeNode* leaf_ = nullptr;  // Where Descend arrived; path_ leads there.
  std::vector<Step> path_;
};

}  // namespace quorate::bolt
