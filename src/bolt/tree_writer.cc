#include "bolt/tree_writer.h"

#include <cstring>

#include "base/check.h"

namespace quorate::bolt {

const char* TreeWriter::Copy(std::string_view key, std::string_view value) {
  char* out = data_->Allocate(key.size() + value.size());
  std::memcpy(out, key.data(), key.size());
  if (!value.empty()) std::memcpy(out + key.size(), value.data(), value.size());
  return out;
}

TreeNode* TreeWriter::NewNode(bool leaf) {
  TreeNode* node = &nodes_.emplace_back();
  node->leaf = leaf;
  return node;
}

StatusOr<PageView> TreeWriter::LoadPage(PageId page) const {
  PageView view;
  if (!source_.Load(page, &view)) return source_.Damage(page, "no branch or leaf page");
  return view;
}

StatusOr<TreeNode*> TreeWriter::LoadNode(PageId page) {
  QUORATE_ASSIGN_OR_RETURN(const PageView view, LoadPage(page));
  return FromView(view, page, view.extent() / page_size());
}

StatusOr<TreeNode*> TreeWriter::LoadInline(const PageView& page) { return FromView(page, 0, 0); }

StatusOr<TreeNode*> TreeWriter::FromView(const PageView& view, PageId page, uint64_t page_count) {
  TreeNode* node = NewNode(view.is_leaf());
  node->page = page;
  node->page_count = page_count;
  node->items.resize(view.count());
  std::string_view before;
  for (uint32_t i = 0; i < view.count(); ++i) {
    LeafElement element;
    const bool inside = view.is_leaf() ? view.Leaf(i, &element) : view.Key(i, &element.key);
    if (!inside) return source_.Damage(page, "element " + std::to_string(i) + " lies outside");
    if (element.key <= before)
      return source_.Damage(page, "key " + std::to_string(i) + " is empty or out of order");
    before = element.key;
    node->items[i] = {element.key.data(), static_cast<uint32_t>(element.key.size()),
                      static_cast<uint32_t>(element.value.size()),
                      view.is_leaf() ? element.flags : view.Child(i)};
    node->bytes += node->items[i].bytes();
  }
  if (!node->leaf) node->kids.resize(node->items.size());
  return node;
}

PageId TreeWriter::EmitPage(bool leaf, std::span<const TreeItem> items, uint64_t bytes,
                            const PageSpan& wanted) {
  QUORATE_CHECK(items.size() < UINT16_MAX);
  const uint64_t page_count = (bytes + page_size() - 1) / page_size();
  QUORATE_CHECK(page_count <= UINT32_MAX);
  const uint64_t room = page_count * page_size();
  char* out = pages_->Allocate(room);
  const PageId id = allocate_(page_count, wanted);
  const PageHeader header{id, leaf ? kLeafPage : kBranchPage, static_cast<uint16_t>(items.size()),
                          static_cast<uint32_t>(page_count - 1)};
  char* end = StorePage(out, header, items);
  QUORATE_CHECK(end == out + bytes);
  std::memset(end, 0, static_cast<size_t>(out + room - end));
  dirty_.push_back({id, {out, room}});
  return id;
}

}  // namespace quorate::bolt
