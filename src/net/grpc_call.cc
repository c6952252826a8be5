#include <cstring>

#include "net/call_carrier.h"
#include "net/grpc.h"
#include "net/h2_stream.h"

namespace quorate::net {
namespace {

size_t TotalSize(std::span<const std::string_view> pieces) {
  size_t n = 0;
  for (const std::string_view piece : pieces) n += piece.size();
  return n;
}

void CopyPieces(char* out, std::span<const std::string_view> pieces) {
  for (const std::string_view piece : pieces) {
    if (piece.empty()) continue;
    std::memcpy(out, piece.data(), piece.size());
    out += piece.size();
  }
}

}  // namespace

H2Stream* CallHandle::live() const {
  return stream_ != nullptr && stream_->generation == generation_ && stream_->open ? stream_ : nullptr;
}

bool CallHandle::closed() const { return live() == nullptr; }

std::optional<std::string_view> CallHandle::metadata(std::string_view name) const {
  const H2Stream* s = live();
  return s == nullptr ? std::nullopt : s->FindHeader(name);
}

std::string_view CallHandle::peer() const {
  const H2Stream* s = live();
  return s == nullptr ? std::string_view() : s->carrier->peer();
}

std::optional<std::string_view> CallHandle::tls_common_name() const {
  const H2Stream* s = live();
  return s == nullptr ? std::nullopt : s->carrier->tls_common_name();
}

std::optional<int64_t> CallHandle::deadline() const {
  const H2Stream* s = live();
  return s == nullptr || !s->has_timeout ? std::nullopt : std::optional<int64_t>(s->deadline);
}

bool CallHandle::HoldRequest(size_t bytes) {
  H2Stream* s = live();
  return s == nullptr || s->carrier->Hold(s, bytes);
}

void UnaryCall::Respond(std::string_view message) { Respond(std::span<const std::string_view>(&message, 1)); }

void UnaryCall::Respond(std::span<const std::string_view> pieces) {
  char* out = RespondInPlace(TotalSize(pieces));
  if (out != nullptr) CopyPieces(out, pieces);
}

char* UnaryCall::RespondInPlace(size_t size) {
  H2Stream* s = live();
  return s == nullptr ? nullptr : s->carrier->RespondInPlace(s, size);
}

void UnaryCall::Fail(Code code, std::string_view message) {
  H2Stream* s = live();
  if (s != nullptr) s->carrier->Finish(s, code, message);
}

void UnaryCall::OnCancel(std::function<void(Code)> fn) {
  H2Stream* s = live();
  if (s != nullptr) s->on_cancel = std::move(fn);
}

void StreamCall::Send(std::string_view message) { Send(std::span<const std::string_view>(&message, 1)); }

void StreamCall::Send(std::span<const std::string_view> pieces) {
  char* out = SendInPlace(TotalSize(pieces));
  if (out != nullptr) CopyPieces(out, pieces);
}

char* StreamCall::SendInPlace(size_t size) {
  H2Stream* s = live();
  return s == nullptr ? nullptr : s->carrier->SendInPlace(s, size);
}

bool StreamCall::full() const {
  H2Stream* s = live();
  return s != nullptr && s->carrier->Full(s);
}

size_t StreamCall::pending_bytes() const {
  const H2Stream* s = live();
  return s == nullptr ? 0 : s->carrier->pending_bytes(s);
}

void StreamCall::Finish(Code code, std::string_view message) {
  H2Stream* s = live();
  if (s != nullptr) s->carrier->Finish(s, code, message);
}

}  // namespace quorate::net
