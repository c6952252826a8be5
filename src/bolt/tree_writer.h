// What all trees of one write transaction share: the pages they read, the memory of what they change, the
// pages they give up, and the dirty pages they leave at commit. The writer's thread only.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <span>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "bolt/arena.h"
#include "bolt/page.h"
#include "bolt/pending_pages.h"
#include "bolt/tree_node.h"

namespace quorate::bolt {

// A run of pages to be written. Borrows the page arena.
struct DirtyPages {
  PageId start;
  std::string_view bytes;  // A multiple of the page size.
};

class TreeWriter {
 public:
  // Gives the first of `count` adjacent pages that nothing uses: `wanted.start`, which was reserved, if the
  // counts are equal. Called at commit only.
  using Allocator = std::function<PageId(uint64_t count, const PageSpan& wanted)>;

  // Borrows everything; the arenas are empty.
  TreeWriter(const PageSource& source, Arena* data, Arena* pages, Allocator allocate)
      : source_(source), data_(data), pages_(pages), allocate_(std::move(allocate)) {}

  const PageSource& source() const { return source_; }
  uint32_t page_size() const { return source_.page_size; }

  // A copy that lives as long as the transaction, value right after key.
  const char* Copy(std::string_view key, std::string_view value);

  TreeNode* NewNode(bool leaf);
  // The page's elements, checked: inside the page, keys not empty and in order.
  StatusOr<TreeNode*> LoadNode(PageId page);
  StatusOr<TreeNode*> LoadInline(const PageView& page);

  // A branch or leaf page, for reading.
  StatusOr<PageView> LoadPage(PageId page) const;

  // A change was left half done: the transaction must not be committed.
  void Break(const Status& status) { broken_.Update(status); }
  const Status& broken() const { return broken_; }

  void FreePages(const PageSpan& span) { freed_.push_back(span); }

  // Writes the items as one page (with overflow) into a dirty page; returns its id.
  PageId EmitPage(bool leaf, std::span<const TreeItem> items, uint64_t bytes, const PageSpan& wanted);

  const std::vector<PageSpan>& freed() const { return freed_; }
  std::vector<DirtyPages>& dirty() { return dirty_; }

 private:
  StatusOr<TreeNode*> FromView(const PageView& view, PageId page, uint64_t page_count);

  const PageSource& source_;
  Arena* const data_;
  Arena* const pages_;
  const Allocator allocate_;
  Status broken_;
  std::deque<TreeNode> nodes_;
  std::vector<PageSpan> freed_;
  std::vector<DirtyPages> dirty_;
};

}  // namespace quorate::bolt
