#include "net/h2_stream.h"

#include <cstring>

#include "base/check.h"
#include "base/wipe.h"

namespace quorate::net {

// A stream may stay for ever, and be sent nothing large again.
void H2Stream::ConsumeOutput(size_t bytes) {
  constexpr size_t kKeepOutputBytes = 16 * 1024;
  out.Consume(bytes);
  if (out.empty()) out.Recycle(kKeepOutputBytes);
}

void H2Stream::AddHeader(std::string_view name, std::string_view value) {
  const auto at = static_cast<uint32_t>(header_bytes.size());
  ReserveWiping(&header_bytes, header_bytes.size() + name.size() + value.size());
  header_bytes.append(name).append(value);
  headers.push_back({at, static_cast<uint32_t>(name.size()), at + static_cast<uint32_t>(name.size()),
                     static_cast<uint32_t>(value.size())});
}

void H2Stream::DropHeaders() {
  Wipe(&header_bytes);
  for (std::string* text : {&header_bytes, &path, &method_name, &encoding, &content_type, &bad_timeout})
    *text = std::string();
  headers = {};
  odd_bytes = 0;
}

std::optional<std::string_view> H2Stream::FindHeader(std::string_view name) const {
  const char* const bytes = header_bytes.data();
  for (const HeaderRef& h : headers) {
    if (h.name_size != name.size() || std::memcmp(bytes + h.name, name.data(), name.size()) != 0) continue;
    return std::string_view(bytes + h.value, h.value_size);
  }
  return std::nullopt;
}

H2Stream* StreamPool::Acquire() {
  if (free_ == nullptr) {
    slabs_.push_back(std::make_unique<H2Stream[]>(kSlab));
    for (size_t i = kSlab; i-- > 0;) {
      slabs_.back()[i].next = free_;
      free_ = &slabs_.back()[i];
    }
  }
  H2Stream* s = free_;
  free_ = s->next;
  s->next = s->previous = nullptr;
  return s;
}

void StreamPool::Release(H2Stream* s) {
  QUORATE_CHECK(!s->open && s->timer.idle() && s->handler == nullptr && s->exchange == nullptr &&
                s->sink == nullptr);
  s->carrier = nullptr;
  s->connection = nullptr;
  s->kind = H2Stream::Kind::kNew;
  s->dispatched = s->remote_closed = s->head_sent = s->deferred = s->ended = s->bare = false;
  s->wants_writable = s->has_timeout = s->grpc_content = s->post = s->head_request = false;
  s->unknown_encoding = s->gzip = s->overfull = s->body_paused = s->no_body = false;
  s->header_rules = {};
  s->code = Code::kOk;
  s->method = nullptr;
  s->deadline = 0;
  // They may have carried credentials.
  Wipe(&s->header_bytes);
  Wipe(&s->body);
  for (std::string* text : {&s->header_bytes, &s->path, &s->method_name, &s->encoding, &s->content_type,
                            &s->bad_timeout, &s->body, &s->message}) {
    if (text->capacity() > kKeepBytes) {
      *text = std::string();
    } else {
      text->clear();
    }
  }
  s->head_bytes = s->odd_bytes = s->part_bytes = s->unreturned = 0;
  if (s->headers.capacity() * sizeof(H2Stream::HeaderRef) > kKeepBytes) s->headers = {};
  s->headers.clear();
  s->out.Recycle(kKeepBytes);
  s->reader.Recycle(kKeepBytes);
  s->next = free_;
  free_ = s;
}

}  // namespace quorate::net
