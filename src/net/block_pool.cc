#include "net/block_pool.h"

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <new>

#include "base/wipe.h"

namespace quorate::net {

BlockPool::BlockPool() {
  mem_.mem_user_data = this;
  mem_.malloc = [](size_t size, void* self) { return static_cast<BlockPool*>(self)->Allocate(size); };
  mem_.free = [](void* block, void* self) { static_cast<BlockPool*>(self)->Free(block); };
  mem_.calloc = [](size_t count, size_t size, void* self) {
    return static_cast<BlockPool*>(self)->AllocateZeroed(count, size);
  };
  mem_.realloc = [](void* block, size_t size, void* self) {
    return static_cast<BlockPool*>(self)->Reallocate(block, size);
  };
}

void BlockPool::Refill(size_t index) {
  const size_t stride = sizeof(Header) + (index + 1) * kStep;
  slabs_.emplace_back(new char[kSlabBytes]);
  char* slab = slabs_.back().get();
  for (size_t at = 0; at + stride <= kSlabBytes; at += stride) {
    auto* header = new (slab + at) Header{(index + 1) * kStep};
    free_[index] = new (header + 1) FreeBlock{free_[index]};
  }
}

void* BlockPool::Allocate(size_t size) {
  if (size > kPooledBytesMax) {
    auto* header = static_cast<Header*>(std::malloc(sizeof(Header) + size));
    if (header == nullptr) return nullptr;
    header->size = size;
    return header + 1;
  }
  const size_t index = size == 0 ? 0 : (size - 1) / kStep;
  if (free_[index] == nullptr) Refill(index);
  FreeBlock* block = free_[index];
  free_[index] = block->next;
  return block;
}

void* BlockPool::AllocateZeroed(size_t count, size_t size) {
  if (size != 0 && count > SIZE_MAX / 2 / size) return nullptr;
  void* block = Allocate(count * size);
  if (block != nullptr) std::memset(block, 0, count * size);
  return block;
}

void* BlockPool::Reallocate(void* block, size_t size) {
  if (block == nullptr) return Allocate(size);
  const size_t old_size = HeaderOf(block)->size;
  if (size <= old_size && old_size <= kPooledBytesMax) return block;
  void* grown = Allocate(size);
  if (grown == nullptr) return nullptr;
  std::memcpy(grown, block, std::min(old_size, size));
  Free(block);
  return grown;
}

void BlockPool::Free(void* block) {
  if (block == nullptr) return;
  const size_t size = HeaderOf(block)->size;
  if (wipes_) Wipe(block, size);
  if (size > kPooledBytesMax) return std::free(HeaderOf(block));
  const size_t index = size / kStep - 1;
  free_[index] = new (block) FreeBlock{free_[index]};
}

}  // namespace quorate::net
