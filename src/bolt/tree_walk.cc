#include "bolt/tree_walk.h"

#include <algorithm>
#include <utility>

#include "bolt/meta.h"

namespace quorate::bolt {

TreeWalk::TreeWalk(const PageSource& source, Keys keys, PageFn on_page)
    : source_(source), keys_(keys), on_page_(std::move(on_page)), reached_(source.high_water, false) {}

void TreeWalk::Problem(PageId page, std::string_view what) {
  if (problems_.size() < kProblemsMax) problems_.push_back(source_.Damage(page, what));
}

void TreeWalk::Run(const Meta& meta) {
  reached_[0] = reached_[1] = true;
  WalkPage(meta.root, 1, 0, {});
  if (meta.freelist != kFreelistNone) ReadFreelist(meta.freelist);
}

bool TreeWalk::Reach(PageId page, uint64_t span) {
  for (PageId id = page; id < page + span; ++id) {
    if (reached_[id]) {
      Problem(id, "it is reached twice");
      return false;
    }
    reached_[id] = true;
  }
  return true;
}

void TreeWalk::WalkPage(PageId page, int depth, int bucket_depth, const Bounds& bounds) {
  if (ended_) return;
  PageView view;
  if (!source_.Load(page, &view)) return Problem(page, "no branch or leaf page");
  const uint64_t span = view.extent() / source_.page_size;
  // This also ends circles.
  if (!Reach(page, span)) return;
  pages_ += span;
  ended_ = on_page_ && !on_page_(pages_, source_.high_water);
  if (depth > kTreeDepthMax) return Problem(page, "the tree is too deep");
  counts_.depth_max = std::max(counts_.depth_max, depth);
  if (keys_ == Keys::kVerify) VerifyKeys(view, page, bounds);
  if (view.is_leaf()) {
    counts_.leaf_pages += span;
    return WalkLeaf(view, page, bucket_depth);
  }
  counts_.branch_pages += span;
  for (uint32_t i = 0; i < view.count(); ++i) {
    Bounds below;
    if (keys_ == Keys::kVerify) {
      const bool last = i + 1 == view.count();
      if (!view.Key(i, &below.low) || (!last && !view.Key(i + 1, &below.high))) continue;
      if (last) below.high = bounds.high;
    }
    WalkPage(view.Child(i), depth + 1, bucket_depth, below);
  }
}

void TreeWalk::VerifyKeys(const PageView& view, PageId page, const Bounds& bounds) {
  std::string_view before;
  for (uint32_t i = 0; i < view.count(); ++i) {
    LeafElement element;
    const std::string at = "element " + std::to_string(i);
    if (view.is_leaf() ? !view.Leaf(i, &element) : !view.Key(i, &element.key)) {
      Problem(page, at + " lies outside");
      continue;
    }
    const std::string_view key = element.key;
    const char* array_end = view.data() + kPageHeaderBytes + view.count() * kElementBytes;
    if (key.empty()) Problem(page, at + " has no key");
    if (key.data() < array_end) Problem(page, at + " lies among the elements");
    if (i > 0 && key <= before) Problem(page, at + " is out of order");
    if (i == 0 && key < bounds.low) Problem(page, "its first key is below its branch's");
    if (bounds.high.data() != nullptr && key >= bounds.high) Problem(page, at + " belongs to the next page");
    if (view.is_leaf() && (element.flags & ~kBucketElement) != 0) Problem(page, at + " has unknown flags");
    before = key;
  }
}

void TreeWalk::WalkLeaf(const PageView& view, PageId page, int bucket_depth) {
  for (uint32_t i = 0; i < view.count(); ++i) {
    LeafElement element;
    if (!view.Leaf(i, &element)) {
      // Told by VerifyKeys already.
      if (keys_ == Keys::kSkip) Problem(page, "element " + std::to_string(i) + " lies outside");
      continue;
    }
    if (element.is_bucket()) {
      WalkBucket(element.value, page, bucket_depth + 1);
    } else {
      ++counts_.keys;
    }
  }
}

void TreeWalk::WalkBucket(std::string_view value, PageId page, int bucket_depth) {
  BucketHeader header;
  if (bucket_depth > kBucketDepthMax) return Problem(page, "its buckets are nested too deeply");
  if (!BucketHeader::Parse(value, &header)) return Problem(page, "a bucket in it can't be read");
  ++counts_.buckets;
  if (header.root != 0) return WalkPage(header.root, 1, bucket_depth, {});
  ++counts_.inline_buckets;
  if (keys_ == Keys::kVerify) VerifyKeys(header.inline_page, page, {});
  for (uint32_t i = 0; i < header.inline_page.count(); ++i) {
    LeafElement element;
    if (header.inline_page.Leaf(i, &element) && element.is_bucket()) {
      return Problem(page, "a bucket within it nests another");
    }
  }
  counts_.keys += header.inline_page.count();
}

void TreeWalk::ReadFreelist(PageId page) {
  const uint64_t span = source_.Span(page);
  const char* data = source_.base + page * source_.page_size;
  if (span == 0 || PageHeader::Load(data).flags != kFreelistPage) return Problem(page, "no free list page");
  if (!Reach(page, span)) return;
  counts_.freelist_pages = span;
  uint64_t count = PageHeader::Load(data).count;
  const char* ids = data + kPageHeaderBytes;
  uint64_t room = (span * source_.page_size - kPageHeaderBytes) / sizeof(PageId);
  // 0xFFFF: the count did not fit and stands before the ids.
  if (count == UINT16_MAX) {
    count = LoadLittle<uint64_t>(ids);
    ids += sizeof(PageId);
    --room;
  }
  if (count > room) return Problem(page, "the free list is longer than its page");
  listed_free_.reserve(count);
  PageId before = 1;
  for (uint64_t i = 0; i < count; ++i) {
    const auto id = LoadLittle<PageId>(ids + i * sizeof(PageId));
    if (id <= before || id >= source_.high_water)
      return Problem(page, "the free list holds a page id that can't be");
    if (reached_[id])
      return Problem(page, "the free list holds page " + std::to_string(id) + ", which is in use");
    listed_free_.push_back(id);
    before = id;
  }
}

}  // namespace quorate::bolt
