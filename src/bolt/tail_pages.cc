#include "bolt/tail_pages.h"

#include <algorithm>
#include <functional>
#include <string_view>

#include "bolt/meta.h"

namespace quorate::bolt {
namespace {

// The stride at which reading touches every page of memory.
constexpr uint64_t kMemoryPageBytes = 4096;

class TailSearch {
 public:
  TailSearch(const PageSource& source, PageId from, size_t count_max)
      : source_(source), from_(from), count_max_(count_max) {}

  Status Search(std::string_view bucket, PageId root) {
    if (root == 0) return absl::OkStatus();
    leaf_depth_ = 0;
    PageId page = root;
    for (;; ++leaf_depth_) {
      if (leaf_depth_ > kTreeDepthMax) return source_.Damage(page, "the tree runs in a circle");
      PageView view;
      QUORATE_RETURN_IF_ERROR(Load(page, &view));
      if (view.is_leaf()) break;
      page = view.Child(0);
    }
    Found(bucket, root, {});
    return leaf_depth_ == 0 ? absl::OkStatus() : SearchBelow(bucket, root, 0);
  }

  std::vector<TailPage> Take() {
    Cut();
    std::sort(found_.begin(), found_.end(), HigherPage);
    return std::move(found_);
  }

 private:
  static bool HigherPage(const TailPage& a, const TailPage& b) { return a.page > b.page; }

  Status Load(PageId page, PageView* view) const {
    return source_.Load(page, view) ? absl::OkStatus() : source_.Damage(page, "no branch or leaf page");
  }

  // All leaves of a tree are at one depth, so it is known without reading them. Where a damaged or foreign
  // file has it otherwise, a page is missed, or its move finds that it is not there.
  Status SearchBelow(std::string_view bucket, PageId page, int depth) {
    PageView view;
    QUORATE_RETURN_IF_ERROR(Load(page, &view));
    if (view.is_leaf()) return absl::OkStatus();
    for (uint32_t i = 0; i < view.count(); ++i) {
      std::string_view key;
      if (!view.Key(i, &key)) return source_.Damage(page, "a key lies outside");
      Found(bucket, view.Child(i), key);
      if (depth + 1 < leaf_depth_) QUORATE_RETURN_IF_ERROR(SearchBelow(bucket, view.Child(i), depth + 1));
    }
    return absl::OkStatus();
  }

  void Found(std::string_view bucket, PageId page, std::string_view key) {
    if (page < from_) return;
    found_.push_back({page, std::string(bucket), std::string(key)});
    if (found_.size() >= 2 * count_max_) Cut();
  }

  void Cut() {
    if (found_.size() <= count_max_) return;
    std::nth_element(found_.begin(), found_.begin() + static_cast<ptrdiff_t>(count_max_ - 1), found_.end(),
                     HigherPage);
    found_.resize(count_max_);
    // Nothing below the lowest that is kept will be.
    from_ = std::max(from_, found_.back().page);
  }

  const PageSource& source_;
  PageId from_;
  const size_t count_max_;
  int leaf_depth_ = 0;
  std::vector<TailPage> found_;
};

}  // namespace

StatusOr<std::vector<TailPage>> FindTailPages(const ReadTx& tx, PageId from, size_t count_max) {
  TailSearch search(tx.pages(), from, count_max);
  QUORATE_RETURN_IF_ERROR(search.Search({}, tx.meta().root));
  QUORATE_RETURN_IF_ERROR(tx.ForEachBucket(
      [&](std::string_view name, const Bucket& bucket) { return search.Search(name, bucket.root_page()); }));
  return search.Take();
}

StatusOr<uint64_t> TouchTailPage(const ReadTx& tx, const TailPage& tail) {
  const PageSource& source = tx.pages();
  PageId page = tx.meta().root;
  if (!tail.bucket.empty()) {
    QUORATE_ASSIGN_OR_RETURN(const std::optional<Bucket> bucket, tx.FindBucket(tail.bucket));
    if (!bucket) return uint64_t{0};
    page = bucket->root_page();
  }
  for (int depth = 0; page != 0; ++depth) {
    if (depth > kTreeDepthMax) return source.Damage(page, "the tree runs in a circle");
    PageView view;
    if (!source.Load(page, &view)) return source.Damage(page, "no branch or leaf page");
    if (page == tail.page) {
      volatile char sink = 0;
      for (uint64_t at = 0; at < view.extent(); at += kMemoryPageBytes) sink = view.data()[at];
      static_cast<void>(sink);
      return view.extent();
    }
    uint32_t i = 0;
    if (view.is_leaf()) return uint64_t{0};
    if (!view.ChildIndex(tail.key, &i)) return source.Damage(page, "a key lies outside");
    page = view.Child(i);
  }
  return uint64_t{0};
}

}  // namespace quorate::bolt
