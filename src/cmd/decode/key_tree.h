// Keys as a tree, cut at '/': how many there are below each part, and how large their values are. Pure.
//
//   /registry            3 keys, 1.2 kB
//   ├── pods             2 keys, 900 B
//   │   └── default      2 keys, 900 B
//   │       ├── a        400 B
//   │       └── b        500 B
//   └── nodes            1 key, 300 B
//       └── n1           300 B
#pragma once

#include <cstddef>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace quorate::cmd {

// One thread.
class KeyTree {
 public:
  void Add(std::string_view key, size_t value_bytes);
  // Down to so many levels; 0: all.
  std::string Text(size_t levels_max) const;

 private:
  struct Node {
    std::map<std::string, Node, std::less<>> children;
    bool is_key = false;
    size_t value_bytes = 0;  // Of the key itself.
    size_t keys = 0;         // With those below.
    size_t bytes = 0;
  };
  struct Line {
    std::string name;
    std::string size;
  };

  static void Collect(const Node& node, const std::string& indent, size_t levels, std::vector<Line>* lines);
  static std::string Sizes(const Node& node);

  Node root_;
};

}  // namespace quorate::cmd
