#include "cmd/decode/key_tree.h"

#include <algorithm>

#include "cmd/cli/text_table.h"
#include "cmd/decode/outline.h"

namespace quorate::cmd {
namespace {

// A key with more parts keeps the rest in one: no key may make the tree as deep as it is long.
constexpr size_t kDepthMax = 64;

}  // namespace

void KeyTree::Add(std::string_view key, size_t value_bytes) {
  Node* node = &root_;
  root_.keys += 1;
  root_.bytes += value_bytes;
  for (size_t depth = 0;; ++depth) {
    // The slash belongs to what stands behind it, so that "/a" and "a" are two.
    const size_t slash = depth + 1 < kDepthMax ? key.find('/', 1) : std::string_view::npos;
    const std::string_view part = key.substr(0, slash);
    auto child = node->children.find(part);
    if (child == node->children.end()) child = node->children.emplace(std::string(part), Node()).first;
    node = &child->second;
    node->keys += 1;
    node->bytes += value_bytes;
    if (slash == std::string_view::npos || slash >= key.size()) break;
    key.remove_prefix(slash);
  }
  node->is_key = true;
  node->value_bytes += value_bytes;
}

std::string KeyTree::Sizes(const Node& node) {
  if (node.children.empty()) return SizeText(node.bytes);
  std::string text =
      std::to_string(node.keys) + (node.keys == 1 ? " key, " : " keys, ") + SizeText(node.bytes);
  return node.is_key ? text + " (" + SizeText(node.value_bytes) + " of its own)" : text;
}

void KeyTree::Collect(const Node& node, const std::string& indent, size_t levels, std::vector<Line>* lines) {
  if (levels == 0) return;
  for (auto child = node.children.begin(); child != node.children.end(); ++child) {
    const bool last = std::next(child) == node.children.end();
    // Below the first part the slash is drawn by the tree.
    std::string_view name = child->first;
    if (name.size() > 1 && name[0] == '/') name.remove_prefix(1);
    lines->push_back({indent + (last ? "└── " : "├── ") + ScalarText(name), Sizes(child->second)});
    Collect(child->second, indent + (last ? "    " : "│   "), levels - 1, lines);
  }
}

std::string KeyTree::Text(size_t levels_max) const {
  std::vector<Line> lines;
  const size_t levels = levels_max == 0 ? kDepthMax : levels_max;
  for (const auto& [name, node] : root_.children) {
    lines.push_back({ScalarText(name), Sizes(node)});
    Collect(node, "", levels - 1, &lines);
  }
  size_t columns = 0;
  for (const Line& line : lines) columns = std::max(columns, DisplayWidth(line.name));
  std::string out;
  for (const Line& line : lines) {
    out += line.name + std::string(columns - DisplayWidth(line.name) + 2, ' ') + line.size + "\n";
  }
  return out + std::to_string(root_.keys) + (root_.keys == 1 ? " key, " : " keys, ") + SizeText(root_.bytes) +
         "\n";
}

}  // namespace quorate::cmd
