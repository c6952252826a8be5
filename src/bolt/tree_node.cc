#include "bolt/tree_node.h"

#include <algorithm>

namespace quorate::bolt {

uint32_t TreeNode::LowerBound(std::string_view key) const {
  const auto it = std::lower_bound(items.begin(), items.end(), key,
                                   [](const TreeItem& item, std::string_view k) { return item.key() < k; });
  return static_cast<uint32_t>(it - items.begin());
}

uint32_t TreeNode::ChildIndex(std::string_view key) const {
  const auto it = std::upper_bound(items.begin() + 1, items.end(), key,
                                   [](std::string_view k, const TreeItem& item) { return k < item.key(); });
  return static_cast<uint32_t>(it - items.begin()) - 1;
}

char* StorePage(char* out, const PageHeader& header, std::span<const TreeItem> items) {
  header.Store(out);
  char* element = out + kPageHeaderBytes;
  char* data = element + items.size() * kElementBytes;
  for (const TreeItem& item : items) {
    const auto pos = static_cast<uint32_t>(data - element);
    if (header.flags == kLeafPage) {
      StoreLittle(element, static_cast<uint32_t>(item.child_or_flags));
      StoreLittle(element + 4, pos);
      StoreLittle(element + 8, item.key_size);
      StoreLittle(element + 12, item.value_size);
    } else {
      StoreLittle(element, pos);
      StoreLittle(element + 4, item.key_size);
      StoreLittle(element + 8, item.child_or_flags);
    }
    const size_t size = size_t{item.key_size} + item.value_size;
    std::memcpy(data, item.data, size);
    data += size;
    element += kElementBytes;
  }
  return data;
}

}  // namespace quorate::bolt
