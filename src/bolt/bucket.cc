#include "bolt/bucket.h"

#include "bolt/tree_node.h"

namespace quorate::bolt {

StatusOr<std::optional<LeafElement>> FindInPages(const PageSource& source, PageId root,
                                                 const PageView& inline_page, std::string_view key) {
  PageView view = inline_page;
  PageId page = root;
  uint32_t i = 0;
  for (int depth = 0; root != 0; ++depth) {
    if (depth > kTreeDepthMax) return source.Damage(page, "the tree runs in a circle");
    if (!source.Load(page, &view)) return source.Damage(page, "no branch or leaf page");
    if (view.is_leaf()) break;
    if (!view.ChildIndex(key, &i)) return source.Damage(page, "a key lies outside");
    page = view.Child(i);
  }
  LeafElement element;
  if (!view.LowerBound(key, &i)) return source.Damage(page, "a key lies outside");
  if (i == view.count()) return std::nullopt;
  if (!view.Leaf(i, &element)) return source.Damage(page, "element " + std::to_string(i) + " lies outside");
  if (element.key != key) return std::nullopt;
  return element;
}

bool Cursor::Frame::is_leaf() const { return node != nullptr ? node->leaf : page.is_leaf(); }

uint32_t Cursor::Frame::count() const {
  return node != nullptr ? static_cast<uint32_t>(node->items.size()) : page.count();
}

Status Cursor::Fail(Status status) {
  valid_ = false;
  stack_.clear();
  return status;
}

Status Cursor::Push(const TreeNode* node, PageId page) {
  if (stack_.size() > kTreeDepthMax) return Fail(source_->Damage(page, "the tree runs in a circle"));
  Frame frame;
  frame.node = node;
  if (node == nullptr && !source_->Load(page, &frame.page)) {
    return Fail(source_->Damage(page, "no branch or leaf page"));
  }
  stack_.push_back(frame);
  return absl::OkStatus();
}

Status Cursor::PushRoot() {
  stack_.clear();
  valid_ = false;
  if (root_.node != nullptr || root_.page != 0) return Push(root_.node, root_.page);
  Frame frame;
  frame.page = root_.inline_page;
  stack_.push_back(frame);
  return absl::OkStatus();
}

Status Cursor::PushChild() {
  const Frame& top = stack_.back();
  if (top.node == nullptr) return Push(nullptr, top.page.Child(top.index));
  return Push(top.node->kids[top.index], top.node->items[top.index].child_or_flags);
}

Status Cursor::DescendToEdge(Edge edge) {
  for (;;) {
    Frame& top = stack_.back();
    top.index = edge == Edge::kFirst || top.count() == 0 ? 0 : top.count() - 1;
    if (top.is_leaf() || top.count() == 0) return absl::OkStatus();
    QUORATE_RETURN_IF_ERROR(PushChild());
  }
}

Status Cursor::LoadElement() {
  const Frame& top = stack_.back();
  if (top.node != nullptr) {
    element_ = top.node->items[top.index].leaf_element();
  } else if (!top.page.Leaf(top.index, &element_)) {
    return Fail(source_->Damage(top.page.id(), "element " + std::to_string(top.index) + " lies outside"));
  }
  valid_ = true;
  return absl::OkStatus();
}

Status Cursor::Settle(Edge edge) {
  valid_ = false;
  // Going back from element 0 wraps the index round to the highest number: outside, too.
  while (stack_.back().index >= stack_.back().count()) {
    do {
      stack_.pop_back();
      if (stack_.empty()) return absl::OkStatus();
      stack_.back().index += edge == Edge::kFirst ? 1 : -1;
    } while (stack_.back().index >= stack_.back().count());
    QUORATE_RETURN_IF_ERROR(PushChild());
    QUORATE_RETURN_IF_ERROR(DescendToEdge(edge));
  }
  return LoadElement();
}

Status Cursor::SeekFirst() {
  QUORATE_RETURN_IF_ERROR(PushRoot());
  QUORATE_RETURN_IF_ERROR(DescendToEdge(Edge::kFirst));
  return Settle(Edge::kFirst);
}

Status Cursor::SeekLast() {
  QUORATE_RETURN_IF_ERROR(PushRoot());
  QUORATE_RETURN_IF_ERROR(DescendToEdge(Edge::kLast));
  return Settle(Edge::kLast);
}

Status Cursor::Seek(std::string_view key) {
  QUORATE_RETURN_IF_ERROR(PushRoot());
  for (;;) {
    Frame& top = stack_.back();
    if (top.count() == 0) break;
    const bool leaf = top.is_leaf();
    if (top.node != nullptr) {
      top.index = leaf ? top.node->LowerBound(key) : top.node->ChildIndex(key);
    } else if (!(leaf ? top.page.LowerBound(key, &top.index) : top.page.ChildIndex(key, &top.index))) {
      return Fail(source_->Damage(top.page.id(), "a key lies outside"));
    }
    if (leaf) break;
    QUORATE_RETURN_IF_ERROR(PushChild());
  }
  return Settle(Edge::kFirst);
}

Status Cursor::Next() {
  ++stack_.back().index;
  return Settle(Edge::kFirst);
}

Status Cursor::Prev() {
  --stack_.back().index;
  return Settle(Edge::kLast);
}

StatusOr<std::optional<std::string_view>> Bucket::Get(std::string_view key) const {
  auto found = FindInPages(*source_, header_.root, header_.inline_page, key);
  if (!found.ok()) return found.status();
  if (!*found || (*found)->is_bucket()) return std::nullopt;
  return (*found)->value;
}

StatusOr<std::optional<Bucket>> Bucket::FindBucket(std::string_view name) const {
  QUORATE_ASSIGN_OR_RETURN(const auto found, FindInPages(*source_, header_.root, header_.inline_page, name));
  if (!found || !found->is_bucket()) return std::nullopt;
  BucketHeader header;
  if (!BucketHeader::Parse(found->value, &header)) {
    return source_->Damage(header_.root, "it holds a bucket that can't be read");
  }
  return Bucket(source_, header);
}

}  // namespace quorate::bolt
