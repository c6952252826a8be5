#include "bolt/page.h"

namespace quorate::bolt {

bool PageView::Parse(const char* data, uint64_t extent, PageView* out) {
  if (extent < kPageHeaderBytes) return false;
  const PageHeader header = PageHeader::Load(data);
  if (header.flags != kBranchPage && header.flags != kLeafPage) return false;
  if (Offset(header.count) > extent) return false;
  if (header.flags == kBranchPage && header.count == 0) return false;
  out->data_ = data;
  out->extent_ = extent;
  out->id_ = header.id;
  out->count_ = header.count;
  out->leaf_ = header.flags == kLeafPage;
  return true;
}

bool PageView::LowerBound(std::string_view key, uint32_t* index) const {
  uint32_t low = 0;
  uint32_t high = count_;
  while (low < high) {
    const uint32_t middle = low + (high - low) / 2;
    std::string_view at;
    if (!Key(middle, &at)) return false;
    if (at < key) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  *index = low;
  return true;
}

bool PageView::ChildIndex(std::string_view key, uint32_t* index) const {
  // The last child whose key is <= `key`; the first child also takes what is smaller than all.
  uint32_t low = 1;
  uint32_t high = count_;
  while (low < high) {
    const uint32_t middle = low + (high - low) / 2;
    std::string_view at;
    if (!Key(middle, &at)) return false;
    if (at <= key) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  *index = low - 1;
  return true;
}

uint64_t PageSource::Span(PageId id) const {
  // Pages 0 and 1 are the metas.
  if (id < 2 || id >= high_water) return 0;
  const PageHeader header = PageHeader::Load(base + id * page_size);
  const uint64_t span = uint64_t{1} + header.overflow;
  if (header.id != id || span > high_water - id) return 0;
  return span;
}

bool PageSource::Load(PageId id, PageView* out) const {
  const uint64_t span = Span(id);
  return span != 0 && PageView::Parse(base + id * page_size, span * page_size, out);
}

Status PageSource::Damage(PageId id, std::string_view what) const {
  std::string text = "db file " + *path + ": ";
  text += id == 0 ? "a bucket within a page" : "page " + std::to_string(id);
  if (id != 0 && id < high_water) text += " at byte " + std::to_string(id * page_size);
  text += " is damaged (";
  text += what;
  text +=
      "); restore this member from a snapshot, or remove it and add it anew so that it copies another member";
  return DataLoss(text);
}

bool BucketHeader::Parse(std::string_view value, BucketHeader* out) {
  if (value.size() < kBucketHeaderBytes) return false;
  out->root = LoadLittle<uint64_t>(value.data());
  out->sequence = LoadLittle<uint64_t>(value.data() + 8);
  if (out->root != 0) return true;
  value.remove_prefix(kBucketHeaderBytes);
  return PageView::Parse(value.data(), value.size(), &out->inline_page) && out->inline_page.is_leaf();
}

}  // namespace quorate::bolt
