#include "base/wipe.h"

#include <string.h>

#include <algorithm>
#include <utility>

namespace quorate {
namespace {

// More than a string object holds in itself.
constexpr size_t kReserveBytesMin = 64;

}  // namespace

void Wipe(void* bytes, size_t size) {
  // Of nothing there need be no address. The compiler may not leave this out, as it may a memset before a
  // free.
  if (size > 0) ::explicit_bzero(bytes, size);
}

void Wipe(std::string* text) {
  Wipe(text->data(), text->size());
  text->clear();
}

void ReserveWiping(std::string* text, size_t size) {
  if (text->capacity() >= std::max(size, kReserveBytesMin)) return;
  std::string grown;
  grown.reserve(std::max({size, 2 * text->size(), kReserveBytesMin}));
  grown.append(*text);
  Wipe(text);
  *text = std::move(grown);
}

void AppendWiping(std::string* text, std::string_view bytes) {
  ReserveWiping(text, text->size() + bytes.size());
  text->append(bytes);
}

}  // namespace quorate
