#include "net/h2_header_memo.h"

namespace quorate::net {

void H2HeaderMemo::Keep(size_t place, nghttp2_rcbuf* name, nghttp2_rcbuf* value) {
  if (place >= fields_.size() || nghttp2_rcbuf_get_buf(name).len > kBytesMax ||
      nghttp2_rcbuf_get_buf(value).len > kBytesMax) {
    return;
  }
  nghttp2_rcbuf_incref(name);
  nghttp2_rcbuf_incref(value);
  Drop(&fields_[place]);
  fields_[place] = {name, value};
}

void H2HeaderMemo::Clear() {
  for (Field& field : fields_) Drop(&field);
}

void H2HeaderMemo::Drop(Field* field) {
  if (field->name == nullptr) return;
  nghttp2_rcbuf_decref(field->name);
  nghttp2_rcbuf_decref(field->value);
  *field = {};
}

}  // namespace quorate::net
