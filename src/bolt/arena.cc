#include "bolt/arena.h"

#include <algorithm>

namespace quorate::bolt {

char* Arena::AllocateSlow(size_t bytes) {
  // A large piece of its own rather than a chunk left half empty.
  if (bytes > kChunkBytes / 4) {
    large_.emplace_back(new char[bytes]);
    return large_.back().get();
  }
  if (chunks_used_ == chunks_.size()) chunks_.emplace_back(new char[kChunkBytes]);
  char* piece = chunks_[chunks_used_++].get();
  next_ = piece + bytes;
  room_ = kChunkBytes - bytes;
  return piece;
}

void Arena::Reset() {
  large_.clear();
  chunks_.resize(std::min(chunks_.size(), kChunksKeptMax));
  chunks_used_ = 0;
  next_ = nullptr;
  room_ = 0;
}

}  // namespace quorate::bolt
