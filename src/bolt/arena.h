// Memory handed out in pieces and given back as a whole; kept between uses up to a bound, because touching
// fresh memory costs more than filling it.
#pragma once

#include <cstddef>
#include <memory>
#include <string_view>
#include <vector>

namespace quorate::bolt {

// One thread. Pieces have no alignment and stay where they are until Reset.
class Arena {
 public:
  static constexpr size_t kChunkBytes = size_t{1} << 20;
  // Kept over Reset: one transaction of 10,000 puts of a few hundred bytes.
  static constexpr size_t kChunksKeptMax = 8;

  char* Allocate(size_t bytes) {
    if (bytes > room_) return AllocateSlow(bytes);
    char* piece = next_;
    next_ += bytes;
    room_ -= bytes;
    return piece;
  }
  // Gives everything back.
  void Reset();

 private:
  char* AllocateSlow(size_t bytes);

  char* next_ = nullptr;
  size_t room_ = 0;
  size_t chunks_used_ = 0;
  std::vector<std::unique_ptr<char[]>> chunks_;
  std::vector<std::unique_ptr<char[]>> large_;  // Pieces too big for a chunk.
};

}  // namespace quorate::bolt
