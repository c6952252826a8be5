// Walks every page of a committed state: to learn at open which pages are free, and to check a file.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "bolt/page.h"

namespace quorate::bolt {

struct Meta;

// What was met on the way.
struct TreeCounts {
  uint64_t branch_pages = 0;  // With their overflow pages, as in the next two.
  uint64_t leaf_pages = 0;
  uint64_t freelist_pages = 0;
  uint64_t keys = 0;     // Those of nested buckets included; a bucket's name is no key.
  uint64_t buckets = 0;  // The root bucket is not counted.
  uint64_t inline_buckets = 0;
  int depth_max = 0;  // Levels of the deepest single tree.
};

// One thread, one walk.
class TreeWalk {
 public:
  enum class Keys { kSkip, kVerify };
  static constexpr size_t kProblemsMax = 100;

  // After each page: how many have been read, and how many there are; false ends the walk.
  using PageFn = std::function<bool(uint64_t pages, uint64_t pages_total)>;

  // With kVerify keys are checked to be non-empty, in order and within the bounds of their branch.
  TreeWalk(const PageSource& source, Keys keys, PageFn on_page = {});

  // The tree, and the pages of the stored free list if there is one.
  void Run(const Meta& meta);

  // In the order of discovery; at most kProblemsMax. A page that is damaged is not followed.
  const std::vector<Status>& problems() const { return problems_; }
  const TreeCounts& counts() const { return counts_; }
  // By PageFn: what the walk found is worthless.
  bool ended() const { return ended_; }
  // Of [0, high water); the metas count as reached.
  const std::vector<bool>& reached() const { return reached_; }
  // The ids in the stored free list, ascending; empty without one.
  const std::vector<PageId>& listed_free() const { return listed_free_; }

 private:
  // Keys in [low, high); high.data() null: no bound.
  struct Bounds {
    std::string_view low;
    std::string_view high;
  };

  void Problem(PageId page, std::string_view what);
  bool Reach(PageId page, uint64_t span);
  void WalkPage(PageId page, int depth, int bucket_depth, const Bounds& bounds);
  void WalkLeaf(const PageView& view, PageId page, int bucket_depth);
  void WalkBucket(std::string_view value, PageId page, int bucket_depth);
  void VerifyKeys(const PageView& view, PageId page, const Bounds& bounds);
  void ReadFreelist(PageId page);

  const PageSource& source_;
  const Keys keys_;
  const PageFn on_page_;
  uint64_t pages_ = 0;
  bool ended_ = false;
  std::vector<bool> reached_;
  std::vector<PageId> listed_free_;
  std::vector<Status> problems_;
  TreeCounts counts_;
};

}  // namespace quorate::bolt
