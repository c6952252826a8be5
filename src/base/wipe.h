// Overwriting what must not be found in memory later: passwords, and whatever has carried them. A core dump
// is a copy of the memory, freed blocks included. Thread-safe, as far as the texts are the caller's.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

namespace quorate {

void Wipe(void* bytes, size_t size);
// The text is empty after it.
void Wipe(std::string* text);

// Room for `size` bytes in all; what the text has outgrown is overwritten. The text never lies within the
// string object itself then, so that moving the string leaves no copy behind.
void ReserveWiping(std::string* text, size_t size);
// Appends as ReserveWiping grows.
void AppendWiping(std::string* text, std::string_view bytes);

// A text in memory for as long as it is needed.
class Secret {
 public:
  Secret() = default;
  explicit Secret(std::string_view bytes) { AppendWiping(&bytes_, bytes); }
  ~Secret() { Wipe(&bytes_); }
  Secret(const Secret&) = delete;
  Secret& operator=(const Secret&) = delete;
  std::string_view view() const { return bytes_; }
  // To be filled. Who appends more than is reserved leaves copies behind: see ReserveWiping.
  std::string* mutable_bytes() { return &bytes_; }

 private:
  std::string bytes_;
};

// For containers of others that hold such texts.
template <typename T>
struct WipingAllocator : std::allocator<T> {
  WipingAllocator() = default;
  template <typename U>
  // NOLINTNEXTLINE(google-explicit-constructor): an allocator's, which containers convert.
  WipingAllocator(const WipingAllocator<U>&) {}
  template <typename U>
  struct rebind {
    using other = WipingAllocator<U>;
  };

  void deallocate(T* block, size_t count) {
    Wipe(block, count * sizeof(T));
    std::allocator<T>::deallocate(block, count);
  }
};

}  // namespace quorate
