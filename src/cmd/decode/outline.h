// A tree of names and scalars, printed with two spaces for each level:
//   metadata:
//     name: web
//     labels:
//       app: shop
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace quorate::cmd {

// Owned by whoever made it; children in the order in which they were added.
class Outline {
 public:
  Outline() = default;
  explicit Outline(std::string name, std::string value = {})
      : name_(std::move(name)), value_(std::move(value)) {}

  const std::string& name() const { return name_; }
  const std::vector<Outline>& children() const { return children_; }
  // Valid until the next call.
  Outline& Add(std::string name, std::string value = {}) {
    return children_.emplace_back(std::move(name), std::move(value));
  }
  void Add(Outline child) { children_.push_back(std::move(child)); }

  // The children, each line with its end; the outline's own name is not printed.
  std::string Text() const;

 private:
  void AppendTo(std::string* out, size_t depth) const;

  std::string name_;
  std::string value_;
  std::vector<Outline> children_;
};

// A scalar as text: bare where that can't be mistaken, else quoted with escapes, so that no byte of it does
// anything to a terminal.
std::string ScalarText(std::string_view text);
// UTF-8 without control characters other than newline and tab.
bool IsPrintable(std::string_view text);
// "120 B"
std::string SizeText(size_t bytes);

}  // namespace quorate::cmd
