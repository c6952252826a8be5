#include "bolt/page_fill.h"

#include <algorithm>
#include <string_view>
#include <vector>

namespace quorate::bolt {
namespace {

// The ids of all leaves of a tree of more than one page.
class LeafList {
 public:
  explicit LeafList(const PageSource& source) : source_(source) {}

  Status Collect(PageId page, int depth = 0) {
    PageView view;
    if (depth > kTreeDepthMax) return source_.Damage(page, "the tree runs in a circle");
    if (!source_.Load(page, &view)) return source_.Damage(page, "no branch or leaf page");
    if (view.is_leaf()) {
      above_leaves_ = true;
      return absl::OkStatus();
    }
    // All leaves are at one depth: the first child tells for its siblings, which need not be read.
    above_leaves_ = false;
    QUORATE_RETURN_IF_ERROR(Collect(view.Child(0), depth + 1));
    if (above_leaves_) {
      for (uint32_t i = 0; i < view.count(); ++i) leaves_.push_back(view.Child(i));
    } else {
      for (uint32_t i = 1; i < view.count(); ++i) QUORATE_RETURN_IF_ERROR(Collect(view.Child(i), depth + 1));
    }
    above_leaves_ = false;
    return absl::OkStatus();
  }
  const std::vector<PageId>& leaves() const { return leaves_; }

 private:
  const PageSource& source_;
  bool above_leaves_ = false;  // The page that was read last is a leaf.
  std::vector<PageId> leaves_;
};

// What could be added to the leaf.
StatusOr<uint64_t> Room(const PageSource& source, PageId page, double fill_percent) {
  PageView view;
  if (!source.Load(page, &view)) return source.Damage(page, "no branch or leaf page");
  if (view.extent() > source.page_size) return uint64_t{0};
  uint64_t bytes = kPageHeaderBytes;
  for (uint32_t i = 0; view.is_leaf() && i < view.count(); ++i) {
    LeafElement element;
    if (!view.Leaf(i, &element)) return source.Damage(page, "element " + std::to_string(i) + " lies outside");
    bytes += kElementBytes + element.key.size() + element.value.size();
  }
  const auto full = static_cast<uint64_t>(source.page_size * fill_percent);
  return full - std::min(full, bytes);
}

}  // namespace

StatusOr<uint64_t> PackableBytes(const ReadTx& tx, double fill_percent, size_t samples_max) {
  const PageSource& source = tx.pages();
  uint64_t packable = 0;
  const Status status = tx.ForEachBucket([&](std::string_view, const Bucket& bucket) -> Status {
    if (bucket.root_page() == 0) return absl::OkStatus();
    LeafList list(source);
    QUORATE_RETURN_IF_ERROR(list.Collect(bucket.root_page()));
    const size_t count = list.leaves().size();
    const size_t stride = count / samples_max + 1;
    uint64_t room = 0;
    uint64_t samples = 0;
    for (size_t i = stride / 2; i < count; i += stride) {
      QUORATE_ASSIGN_OR_RETURN(const uint64_t free, Room(source, list.leaves()[i], fill_percent));
      room += free;
      ++samples;
    }
    if (samples > 0) packable += room / samples * count;
    return absl::OkStatus();
  });
  if (!status.ok()) return status;
  return static_cast<uint64_t>(static_cast<double>(packable) / fill_percent);
}

}  // namespace quorate::bolt
