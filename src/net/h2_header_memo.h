// The header fields of a connection's last request, each by its place. Clients repeat themselves, and HPACK
// hands out the very buffers of before when they do: such a field was checked already, and its bytes need
// not be looked at again.
#pragma once

#include <nghttp2/nghttp2.h>

#include <array>
#include <cstddef>

namespace quorate::net {

// Owner: the connection, on the loop's thread. Holds a reference to each buffer, so that none is given out
// anew for other bytes while its address is known here.
class H2HeaderMemo {
 public:
  H2HeaderMemo() = default;
  H2HeaderMemo(const H2HeaderMemo&) = delete;
  H2HeaderMemo& operator=(const H2HeaderMemo&) = delete;
  ~H2HeaderMemo() { Clear(); }

  // Whether these were the name and value at this place of the last request that had so many fields.
  bool Knows(size_t place, const nghttp2_rcbuf* name, const nghttp2_rcbuf* value) const {
    return place < fields_.size() && fields_[place].name == name && fields_[place].value == value;
  }
  // To be called with what was found to be good. Places beyond the first few and long fields are not kept.
  void Keep(size_t place, nghttp2_rcbuf* name, nghttp2_rcbuf* value);
  void Clear();

 private:
  static constexpr size_t kPlaces = 12;
  static constexpr size_t kBytesMax = 256;  // Of a name, and of a value.

  struct Field {
    nghttp2_rcbuf* name = nullptr;
    nghttp2_rcbuf* value = nullptr;
  };
  static void Drop(Field* field);

  std::array<Field, kPlaces> fields_;
};

}  // namespace quorate::net
