// Bytes appended at the back and taken from the front, contiguous in memory. Not initialised beforehand, and
// never shrunk by taking, so that a pooled queue allocates nothing once warm.
//
// InputQueue is for what clients say, which may be a password: bytes that have left it are overwritten.
#pragma once

#include <cstddef>
#include <cstring>
#include <memory>
#include <string_view>

#include "base/check.h"
#include "base/wipe.h"

namespace quorate::net {

template <bool kWipes>
class BasicByteQueue {
 public:
  BasicByteQueue() = default;
  BasicByteQueue(const BasicByteQueue&) = delete;
  BasicByteQueue& operator=(const BasicByteQueue&) = delete;
  ~BasicByteQueue() { Clear(); }

  const char* data() const { return data_.get() + begin_; }
  size_t size() const { return end_ - begin_; }
  bool empty() const { return begin_ == end_; }
  std::string_view view() const { return {data(), size()}; }

  // Room for n bytes at the back, counted as appended; valid until the next call that is not const.
  char* Extend(size_t n) {
    if (capacity_ - end_ < n) MakeRoom(n);
    char* out = data_.get() + end_;
    end_ += n;
    return out;
  }
  void Append(std::string_view bytes) {
    if (!bytes.empty()) std::memcpy(Extend(bytes.size()), bytes.data(), bytes.size());
  }
  void Consume(size_t n) {
    QUORATE_CHECK(n <= size());
    Forget(n);
    begin_ += n;
    if (begin_ == end_) begin_ = end_ = 0;
  }
  void Clear() {
    Forget(size());
    begin_ = end_ = 0;
  }
  // Empties it, and gives memory back if it holds more than `keep`.
  void Recycle(size_t keep) {
    Clear();
    if (capacity_ > keep) {
      data_.reset();
      capacity_ = 0;
    }
  }

 private:
  // The first n bytes are not needed any more where they lie.
  void Forget(size_t n) {
    if constexpr (kWipes) Wipe(data_.get() + begin_, n);
  }
  void MakeRoom(size_t n) {
    const size_t used = size();
    if (capacity_ - used >= n && begin_ >= used) {
      std::memcpy(data_.get(), data_.get() + begin_, used);
      Forget(used);
    } else {
      size_t capacity = capacity_ * 2 > 256 ? capacity_ * 2 : 256;
      while (capacity - used < n) capacity *= 2;
      std::unique_ptr<char[]> grown(new char[capacity]);
      if (used > 0) std::memcpy(grown.get(), data_.get() + begin_, used);
      Forget(used);
      data_ = std::move(grown);
      capacity_ = capacity;
    }
    begin_ = 0;
    end_ = used;
  }

  std::unique_ptr<char[]> data_;
  size_t begin_ = 0;
  size_t end_ = 0;
  size_t capacity_ = 0;
};

using ByteQueue = BasicByteQueue<false>;
using InputQueue = BasicByteQueue<true>;

}  // namespace quorate::net
