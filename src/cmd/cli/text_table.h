// -w table: boxes of '+', '-' and '|', equal to what etcd's tools print up to 3.6.
//   +------+----------+
//   | HASH | REVISION |
//   +------+----------+
//   |  5be |        3 |
//   +------+----------+
// Source of the rules: github.com/olekukonko/tablewriter 0.0.5 with its defaults: headers in capitals and
// centred, '_' and '.' between words shown as spaces, cells of more than 30 columns wrapped at their spaces.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace quorate::cmd {

enum class CellAlign {
  kNumbersRight,  // Numbers to the right, all else to the left.
  kRight,
};

// A row has as many cells as the header.
std::string TextTable(const std::vector<std::string>& header,
                      const std::vector<std::vector<std::string>>& rows, CellAlign align);

// Columns on a terminal: combining marks take none, East Asian wide characters two.
size_t DisplayWidth(std::string_view text);

// Breaks at spaces into lines of at most `width` columns (more where a word is longer), as even as can be.
std::vector<std::string> WrapWords(std::string_view text, size_t width);

}  // namespace quorate::cmd
