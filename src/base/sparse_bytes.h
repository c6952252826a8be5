// A long string of bytes, mostly zeros, kept by pages: what the simulated files are made of.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

namespace quorate {

// Not thread-safe.
class SparseBytes {
 public:
  static constexpr size_t kPageBytes = 4096;

  SparseBytes() = default;
  SparseBytes(SparseBytes&&) = default;
  SparseBytes& operator=(SparseBytes&&) = default;

  SparseBytes Clone() const;
  uint64_t size() const { return size_; }
  // New bytes are zeros.
  void Resize(uint64_t size);
  // Grows as needed.
  void Write(uint64_t offset, std::string_view data);
  // Up to `length` bytes; fewer only at the end.
  size_t Read(uint64_t offset, char* out, size_t length) const;

 private:
  using Page = std::array<char, kPageBytes>;

  uint64_t size_ = 0;
  std::vector<std::unique_ptr<Page>> pages_;  // Null is a page of zeros. Bytes at and beyond size_ are zero.
};

}  // namespace quorate
