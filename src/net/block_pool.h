// Small blocks for nghttp2, kept in free lists by size. A read of many requests allocates hundreds of stream
// and frame objects before any is freed; malloc's per-thread cache holds seven of a size.
#pragma once

#include <nghttp2/nghttp2.h>

#include <array>
#include <cstddef>
#include <memory>
#include <vector>

namespace quorate::net {

// Not thread-safe: one per server. Must outlive the sessions that use it. Blocks above kPooledBytesMax are
// malloc's.
class BlockPool {
 public:
  BlockPool();
  BlockPool(const BlockPool&) = delete;
  BlockPool& operator=(const BlockPool&) = delete;

  nghttp2_mem* mem() { return &mem_; }

  // From now on blocks are overwritten when they are given back: a header field with a password came.
  void WipeFreed() { wipes_ = true; }

  // As malloc, calloc, realloc and free, aligned for anything.
  void* Allocate(size_t size);
  void* AllocateZeroed(size_t count, size_t size);
  void* Reallocate(void* block, size_t size);
  void Free(void* block);

 private:
  static constexpr size_t kStep = 64;
  static constexpr size_t kPooledBytesMax = 1024;
  static constexpr size_t kClasses = kPooledBytesMax / kStep;
  static constexpr size_t kSlabBytes = 64 * 1024;

  // Before each block; keeps the alignment of what follows.
  struct alignas(std::max_align_t) Header {
    size_t size;  // Usable bytes.
  };
  struct FreeBlock {
    FreeBlock* next;
  };

  static Header* HeaderOf(void* block) { return static_cast<Header*>(block) - 1; }
  void Refill(size_t index);

  std::array<FreeBlock*, kClasses> free_{};
  std::vector<std::unique_ptr<char[]>> slabs_;
  nghttp2_mem mem_;
  bool wipes_ = false;
};

}  // namespace quorate::net
