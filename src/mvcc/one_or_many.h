// A list that most often has one element, and then needs no memory of its own. (absl::InlinedVector would do,
// but GCC 12 takes moving an empty one for a use of uninitialized memory.)
#pragma once

#include <cstddef>
#include <vector>

namespace quorate::mvcc {

template <typename T>
class OneOrMany {
 public:
  void reserve(size_t n) {
    if (n > 1) many_.reserve(n);
  }
  void push_back(const T& value) {
    if (size_ == 0) {
      one_ = value;
    } else {
      if (size_ == 1) many_.push_back(one_);
      many_.push_back(value);
    }
    ++size_;
  }
  void clear() {
    many_.clear();
    size_ = 0;
  }

  size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  const T& operator[](size_t i) const { return begin()[i]; }
  const T& front() const { return *begin(); }
  const T* begin() const { return size_ > 1 ? many_.data() : &one_; }
  const T* end() const { return begin() + size_; }

 private:
  size_t size_ = 0;
  T one_{};
  std::vector<T> many_;  // All of them, if there is more than one.
};

}  // namespace quorate::mvcc
