// gRPC calls on an HTTP/2 connection: dispatch, messages in, messages and status out, cancellation.
#include <array>
#include <cstring>
#include <utility>

#include "base/check.h"
#include "base/wipe.h"
#include "net/http2_connection.h"
#include "net/loop_impl.h"
#include "net/server_impl.h"

namespace quorate::net {
namespace {

// Of a dispatched unary call.
constexpr size_t kKeptRequestBytes = 4096;
// A longer one is not said again.
constexpr size_t kContentTypeBytesMax = 64;

constexpr uint8_t kStatic = NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE;

nghttp2_nv Header(std::string_view name, std::string_view value, uint8_t flags) {
  // nghttp2 takes pointers to bytes that it does not change.
  return {reinterpret_cast<uint8_t*>(const_cast<char*>(name.data())),
          reinterpret_cast<uint8_t*>(const_cast<char*>(value.data())), name.size(), value.size(), flags};
}

// "0" to "16", for grpc-status.
std::string_view CodeText(Code code) {
  static constexpr std::array<std::string_view, 17> kTexts = {
      "0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12", "13", "14", "15", "16"};
  const auto index = static_cast<size_t>(code);
  QUORATE_CHECK(index < kTexts.size());
  return kTexts[index];
}

const nghttp2_nv kStatusOk = Header(":status", "200", kStatic);

nghttp2_nv ContentType(const H2Stream& s) {
  return s.content_type.empty() ? Header("content-type", kGrpcContentType, kStatic)
                                : Header("content-type", s.content_type, NGHTTP2_NV_FLAG_NONE);
}

}  // namespace

void Http2Connection::Dispatch(H2Stream* s) {
  if (s->grpc_content) {
    DispatchGrpc(s);
  } else {
    s->kind = H2Stream::Kind::kHttp;
    OfferBody(s);
  }
}

// It is said again in the answer, as by grpc-go: with TLS in the client's words, in clear text after a plus.
void Http2Connection::TakeSubtype(H2Stream* s, std::string_view content_type) {
  const size_t empty = connection_->secure() ? kGrpcContentType.size() : kGrpcContentType.size() + 1;
  if (content_type.size() <= empty || content_type.size() > kContentTypeBytesMax) return;
  TakeOdd(s, &s->content_type, content_type);
  if (!connection_->secure()) s->content_type[kGrpcContentType.size()] = '+';
}

void Http2Connection::DispatchGrpc(H2Stream* s) {
  s->kind = H2Stream::Kind::kUnary;
  OpenCall(s);
  if (!s->post) {
    s->kind = H2Stream::Kind::kHttp;
    s->open = false;
    return RefuseHttp(s, 405, "gRPC calls are POST requests");
  }
  if (s->unknown_encoding) {
    return Finish(s, Code::kUnimplemented,
                  "grpc: Decompressor is not installed for grpc-encoding " + GoQuote(s->encoding));
  }
  if (!s->bad_timeout.empty()) {
    return Finish(s, Code::kInternal, "malformed grpc-timeout: " + GoQuote(s->bad_timeout));
  }
  if (s->method == nullptr) return Finish(s, Code::kUnimplemented, server_->UnknownMethodText(s->path));
  if (HoldsTooMuchOutput(0)) return RefuseUnread(s);
  if (s->has_timeout && s->timeout <= 0) {
    return Finish(s, Code::kDeadlineExceeded, "context deadline exceeded");
  }
  if (s->has_timeout) {
    s->deadline = server_->loop_impl()->now() + s->timeout;
    server_->loop_impl()->SetTimer(&s->timer, s->deadline);
  }
  s->reader.Reset(s->gzip);
  if (s->method->unary) return;
  s->kind = H2Stream::Kind::kStreaming;
  worked_ = true;
  const uint64_t generation = s->generation;
  std::unique_ptr<StreamHandler> handler = s->method->streaming(StreamCall(s, generation, s->method->index));
  if (s->open && s->generation == generation) {
    QUORATE_CHECK_MSG(handler != nullptr, "a stream factory gave no handler for a call that is not finished");
    s->handler = std::move(handler);
  } else if (handler != nullptr) {
    server_->Bury(std::move(handler));
  }
}

void Http2Connection::RefuseUnread(H2Stream* s) {
  Finish(s, Code::kResourceExhausted,
         "transport: " + std::to_string(queued_bytes_) +
             " bytes of responses wait for this client's flow control window: read them first");
}

void Http2Connection::OpenCall(H2Stream* s) {
  s->open = true;
  s->timer.context = s;
  s->timer.fire = [](void* context) {
    auto* stream = static_cast<H2Stream*>(context);
    stream->connection->Refuse(stream, Code::kDeadlineExceeded, "context deadline exceeded");
  };
}

std::string_view Http2Connection::TakeData(H2Stream* s, std::string_view bytes) {
  if (WorkEnds()) return bytes;
  if (s->kind == H2Stream::Kind::kHttp) {
    s->sink != nullptr ? TakeBody(s, bytes) : CollectBody(s, bytes);
    return {};
  }
  if (!s->open || s->dispatched) return {};
  const size_t before = s->reader.buffered_bytes();
  const std::string_view rest = TakeMessages(s, bytes);
  HoldRequest(before, s->reader.buffered_bytes());
  if (s->open && s->reader.mid_message() && HoldsTooMuchRequest()) {
    HoldRequest(s->reader.buffered_bytes(), 0);
    s->reader.Recycle(0);
    Refuse(s, Code::kResourceExhausted, "transport: too many partly received messages on this connection");
  }
  return rest;
}

void Http2Connection::CollectBody(H2Stream* s, std::string_view bytes) {
  if (s->head_sent) return;  // Refused.
  AppendWiping(&s->body, bytes);
  HoldRequest(0, bytes.size());
  if (s->body.size() > server_->options().http_body_bytes_max) {
    RefuseHttp(s, 413, "request body too large");
  } else if (HoldsTooMuchRequest()) {
    RefuseHttp(s, 503, "too many partly received requests\n");
  } else {
    return;
  }
  HoldRequest(s->body.size(), 0);
  Wipe(&s->body);
  s->body = std::string();
}

std::string_view Http2Connection::TakeMessages(H2Stream* s, std::string_view bytes) {
  const size_t max = server_->options().message_bytes_max;
  const uint64_t generation = s->generation;
  while (s->open && s->generation == generation) {
    // At the end of its input the reader gives back what it does not need.
    if (!bytes.empty() && WorkEnds()) return bytes;
    std::string_view message;
    switch (s->reader.Next(&bytes, max, &server_->scratch(), &message)) {
      case MessageReader::Result::kNeedMore:
        return {};
      case MessageReader::Result::kError: {
        const CallError error = s->reader.error();
        Refuse(s, error.code, error.message);
        return {};
      }
      case MessageReader::Result::kMessage:
        break;
    }
    worked_ = true;
    server_->stats.grpc_received_bytes += message.size();
    if (s->kind == H2Stream::Kind::kUnary) {
      s->dispatched = true;
      s->method->unary(UnaryCall(s, generation, s->method->index), message);
      Wipe(&server_->scratch());
      // What follows the one message is not read; a call that waits long must not keep the request's memory.
      s->reader.Recycle(kKeptRequestBytes);
      return {};
    }
    s->handler->OnMessage(message);
    Wipe(&server_->scratch());
  }
  return {};
}

void Http2Connection::OnHalfClose(H2Stream* s) {
  if (s->kind != H2Stream::Kind::kHttp && (!s->open || s->dispatched)) return;
  worked_ = true;
  if (s->kind == H2Stream::Kind::kHttp) return EndRequest(s);
  if (s->reader.mid_message()) return Refuse(s, Code::kInternal, "unexpected EOF");
  if (s->kind == H2Stream::Kind::kUnary)
    return Refuse(s, Code::kInternal, "EOF: a request without its message");
  s->handler->OnHalfClose();
}

void Http2Connection::EndCall(H2Stream* s) {
  QUORATE_CHECK(s->open);
  s->open = false;
  ++s->generation;
  server_->loop_impl()->CancelTimer(&s->timer);
  s->on_cancel = nullptr;
  s->wants_writable = false;
  HoldRequest(std::exchange(s->held_bytes, 0), 0);
  if (s->handler != nullptr) server_->Bury(std::move(s->handler));
}

void Http2Connection::Cancel(H2Stream* s, Code code) {
  const std::function<void(Code)> on_cancel = std::exchange(s->on_cancel, nullptr);
  std::unique_ptr<StreamHandler> handler = std::move(s->handler);
  EndCall(s);
  if (on_cancel) on_cancel(code);
  if (handler != nullptr) {
    handler->OnClosed(code);
    server_->Bury(std::move(handler));
  }
}

void Http2Connection::Refuse(H2Stream* s, Code code, std::string_view message) {
  const std::function<void(Code)> on_cancel = std::exchange(s->on_cancel, nullptr);
  std::unique_ptr<StreamHandler> handler = std::move(s->handler);
  Finish(s, code, message);
  if (on_cancel) on_cancel(code);
  if (handler != nullptr) {
    handler->OnClosed(code);
    server_->Bury(std::move(handler));
  }
}

char* Http2Connection::AppendMessage(H2Stream* s, size_t size) {
  char* out = s->out.Extend(kMessageHeaderBytes + size);
  WriteMessageHeader(out, size);
  HoldOutput(kMessageHeaderBytes + size);
  server_->stats.grpc_sent_bytes += size;
  connection_->MarkDirty();
  return out + kMessageHeaderBytes;
}

char* Http2Connection::RespondInPlace(H2Stream* s, size_t size) {
  if (size > kAnswerBytesMax) {
    Finish(s, Code::kResourceExhausted, AnswerTooLarge(size));
    return nullptr;
  }
  // Asked for before what is queued now was. Small ones pass: a write that is done should be acknowledged.
  if (size > kAnswerAlwaysBytes && HoldsTooMuchOutput(size)) {
    RefuseUnread(s);
    return nullptr;
  }
  char* out = AppendMessage(s, size);
  s->ended = true;
  s->code = Code::kOk;
  EndCall(s);
  SubmitHead(s);
  NoteEarlyEnd(s);
  return out;
}

char* Http2Connection::SendInPlace(H2Stream* s, size_t size) {
  if (!MayQueue(s, size)) return nullptr;
  char* out = AppendMessage(s, size);
  if (!s->head_sent) {
    SubmitHead(s);
  } else {
    ResumeData(s);
  }
  Full(s);
  return out;
}

bool Http2Connection::Full(H2Stream* s) {
  if (pending_bytes(s) < kStreamPendingHigh && !s->overfull && !ShouldWait()) return false;
  if (!std::exchange(s->wants_writable, true)) writable_owed_.push_back({s, s->generation});
  return true;
}

void Http2Connection::Finish(H2Stream* s, Code code, std::string_view message) {
  EndCall(s);
  s->ended = true;
  s->code = code;
  s->message = EncodeGrpcMessage(message);
  NoteEarlyEnd(s);
  if (s->head_sent) {
    ResumeData(s);
  } else {
    SubmitTrailersOnly(s);
  }
  connection_->MarkDirty();
}

void Http2Connection::NoteEarlyEnd(H2Stream* s) {
  if (!s->remote_closed) ++early_ends_;
}

void Http2Connection::ResumeData(H2Stream* s) {
  if (!std::exchange(s->deferred, false)) return;
  nghttp2_session_resume_data(session_, s->id);
}

void Http2Connection::SubmitHead(H2Stream* s) {
  s->head_sent = true;
  const std::array<nghttp2_nv, 2> head = {kStatusOk, ContentType(*s)};
  nghttp2_data_provider provider;
  provider.source.ptr = s;
  provider.read_callback = &Http2Connection::ReadData;
  if (nghttp2_submit_response(session_, s->id, head.data(), head.size(), &provider) != 0) failed_ = true;
}

void Http2Connection::SubmitTrailersOnly(H2Stream* s) {
  s->head_sent = true;
  std::array<nghttp2_nv, 5> head = {kStatusOk, ContentType(*s),
                                    Header("grpc-status", CodeText(s->code), kStatic)};
  size_t n = 3;
  if (!s->message.empty()) head[n++] = Header("grpc-message", s->message, NGHTTP2_NV_FLAG_NO_INDEX);
  if (s->unknown_encoding) head[n++] = Header("grpc-accept-encoding", "gzip", kStatic);
  if (nghttp2_submit_response(session_, s->id, head.data(), n, nullptr) != 0) failed_ = true;
}

void Http2Connection::SubmitTrailers(H2Stream* s) {
  std::array<nghttp2_nv, 2> trailers = {Header("grpc-status", CodeText(s->code), kStatic)};
  size_t n = 1;
  if (!s->message.empty()) trailers[n++] = Header("grpc-message", s->message, NGHTTP2_NV_FLAG_NO_INDEX);
  if (nghttp2_submit_trailer(session_, s->id, trailers.data(), n) != 0) failed_ = true;
}

}  // namespace quorate::net
