// Plain HTTP requests on an HTTP/2 connection.
#include <algorithm>
#include <utility>

#include "base/check.h"
#include "net/http2_connection.h"
#include "net/http_date.h"
#include "net/loop_impl.h"
#include "net/server_impl.h"

namespace quorate::net {
namespace {

// How long an answer without a body keeps its end back: see EndHttp.
constexpr int64_t kEndHeldBackNanos = 1'000'000'000;
constexpr std::string_view kUnread = "too much of what was answered is not read yet: read that first\n";

nghttp2_nv Header(std::string_view name, std::string_view value) {
  return {reinterpret_cast<uint8_t*>(const_cast<char*>(name.data())),
          reinterpret_cast<uint8_t*>(const_cast<char*>(value.data())), name.size(), value.size(),
          NGHTTP2_NV_FLAG_NONE};
}

}  // namespace

HttpRequest Http2Connection::BuildHttp(const H2Stream& s) const {
  HttpRequest request;
  request.version = 20;
  request.method = s.post ? "POST" : s.method_name;
  request.SetTarget(s.path);
  request.peer = connection_->peer();
  request.secure = connection_->secure();
  request.tls_common_name = connection_->tls_common_name().value_or("");
  const std::string_view bytes = s.header_bytes;
  for (const H2Stream::HeaderRef& h : s.headers) {
    const std::string_view name = bytes.substr(h.name, h.name_size);
    const std::string_view value = bytes.substr(h.value, h.value_size);
    if (name == ":authority" || (name == "host" && request.host.empty())) request.host = value;
    if (!name.starts_with(':')) request.headers.emplace_back(name, value);
  }
  return request;
}

HttpReply Http2Connection::BeginExchange(H2Stream* s) {
  auto exchange = std::make_shared<Http2Exchange>(this, s);
  s->exchange = exchange.get();
  return HttpReply(std::move(exchange));
}

void Http2Connection::DispatchHttp(H2Stream* s) {
  if (!server_->http_handler) return RefuseHttp(s, 404, "404 page not found\n");
  if (HoldsTooMuchOutput(0)) return RefuseHttp(s, 503, kUnread);
  HttpRequest request = BuildHttp(*s);
  HoldRequest(s->body.size(), 0);
  request.body = std::exchange(s->body, {});
  server_->http_handler(std::move(request), BeginExchange(s));
}

void Http2Connection::OfferBody(H2Stream* s) {
  if (!server_->http_body_handler) return;
  worked_ = true;
  const std::shared_ptr<HttpBodySink> sink = server_->http_body_handler(BuildHttp(*s));
  if (sink == nullptr) return;
  s->sink = sink;
  // Refused at its head: the body may have no end. Without an exchange the sink gets nothing of it.
  if (HoldsTooMuchOutput(0)) return RefuseHttp(s, 503, kUnread);
  sink->OnBegin(BeginExchange(s));
}

void Http2Connection::TakeBody(H2Stream* s, std::string_view bytes) {
  if (s->exchange == nullptr) return;  // Answered: nobody wants more of it.
  worked_ = true;
  const std::shared_ptr<HttpBodySink> sink = s->sink;
  sink->OnBytes(bytes);
  CountPart(s, sink->part().bytes);
  if (s->part_bytes == 0 || !HoldsTooMuchRequest()) return;
  CountPart(s, 0);
  if (s->exchange != nullptr) s->exchange->Lose();
  if (s->head_sent) return ResetHttp(s);
  RefuseHttp(s, 503, "too many partly received requests\n");
}

void Http2Connection::EndRequest(H2Stream* s) {
  if (!s->timer.idle()) {
    server_->loop_impl()->CancelTimer(&s->timer);
    EndHttp(s);
  }
  if (s->sink != nullptr) return EndBody(s);
  if (!s->head_sent) DispatchHttp(s);
}

void Http2Connection::EndBody(H2Stream* s) {
  CountPart(s, 0);
  const std::shared_ptr<HttpBodySink> sink = std::move(s->sink);
  s->sink = nullptr;
  if (s->exchange != nullptr) sink->OnEnd();
}

void Http2Connection::CountPart(H2Stream* s, size_t bytes) {
  HoldRequest(std::exchange(s->part_bytes, bytes), bytes);
}

// The client may fill its stream's window, and gets none of it back until then.
void Http2Connection::PauseBody(H2Stream* s, bool paused) {
  if (s->sink == nullptr) return;
  s->body_paused = paused;
  if (paused || s->unreturned == 0) return;
  if (nghttp2_session_consume_stream(session_, s->id, std::exchange(s->unreturned, 0)) != 0) failed_ = true;
  connection_->MarkDirty();
}

void Http2Connection::EndEarly(H2Stream* s) {
  if (s->kind != H2Stream::Kind::kHttp || draining_) return ResetEarly(s);
  Linger(s, server_->options().early_end_grace.count());
}

void Http2Connection::Linger(H2Stream* s, int64_t nanos) {
  PauseBody(s, false);
  s->timer.context = s;
  s->timer.fire = [](void* context) {
    auto* stream = static_cast<H2Stream*>(context);
    stream->connection->EndLingering(stream);
  };
  LoopImpl* const loop = server_->loop_impl();
  loop->SetTimer(&s->timer, loop->now() + nanos);
}

void Http2Connection::EndLingering(H2Stream* s) {
  if (s->ended) return ResetEarly(s);
  s->ended = true;
  ResumeData(s);
  connection_->MarkDirty();
}

void Http2Connection::ResetEarly(H2Stream* s) {
  nghttp2_submit_rst_stream(session_, NGHTTP2_FLAG_NONE, s->id, NGHTTP2_NO_ERROR);
  connection_->MarkDirty();
}

void Http2Connection::EndAllLingering() {
  for (H2Stream* s = streams_; s != nullptr; s = s->next) {
    if (s->kind != H2Stream::Kind::kHttp || s->timer.idle()) continue;
    server_->loop_impl()->CancelTimer(&s->timer);
    EndLingering(s);
  }
}

void Http2Connection::RefuseHttp(H2Stream* s, int status, std::string_view text) {
  BeginHttp(s, status, {{"content-type", "text/plain; charset=utf-8"}}, text.size());
  if (!s->no_body) QueueHttp(s, text);  // However much waits: it is short.
  EndHttp(s);
}

void Http2Connection::BeginHttp(H2Stream* s, int status, const HttpHeaders& headers,
                                std::optional<size_t> length) {
  s->head_sent = true;
  s->bare = true;
  NoteEarlyEnd(s);
  HttpHeaders lower = headers;
  for (auto& [name, value] : lower) {
    for (char& c : name) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  }
  std::erase_if(lower,
                [](const auto& h) { return h.first == "connection" || h.first == "transfer-encoding"; });
  if (length) lower.emplace_back("content-length", std::to_string(*length));
  lower.emplace_back("date", HttpDate());
  const std::string status_text = std::to_string(status);
  std::vector<nghttp2_nv> head = {Header(":status", status_text)};
  for (const auto& [name, value] : lower) head.push_back(Header(name, value));
  nghttp2_data_provider provider;
  provider.source.ptr = s;
  provider.read_callback = &Http2Connection::ReadData;
  s->no_body = s->head_request || length == size_t{0};
  const bool whole = s->no_body && s->remote_closed;
  const int rc =
      nghttp2_submit_response(session_, s->id, head.data(), head.size(), whole ? nullptr : &provider);
  // A header with bytes that HTTP/2 forbids is the service's mistake and costs the stream.
  if (rc != 0) ResetHttp(s);
  s->ended = whole;
  connection_->MarkDirty();
}

void Http2Connection::WriteHttp(H2Stream* s, std::string_view bytes) {
  if (s->ended || s->no_body || bytes.empty() || !MayQueue(s, bytes.size())) return;
  QueueHttp(s, bytes);
}

void Http2Connection::QueueHttp(H2Stream* s, std::string_view bytes) {
  s->out.Append(bytes);
  HoldOutput(bytes.size());
  ResumeData(s);
  Full(s);
  connection_->MarkDirty();
}

void Http2Connection::EndHttp(H2Stream* s) {
  if (s->overfull) return;  // Being reset; an end would call the answer whole.
  // In the middle of its body curl 7.88 overlooks an end that comes together with the headers, and waits for
  // ever. When it has read those it ends its body.
  if (s->no_body && !s->remote_closed && !draining_) return Linger(s, kEndHeldBackNanos);
  s->ended = true;
  ResumeData(s);
  connection_->MarkDirty();
}

void Http2Connection::ResetHttp(H2Stream* s) {
  nghttp2_submit_rst_stream(session_, NGHTTP2_FLAG_NONE, s->id, NGHTTP2_INTERNAL_ERROR);
  connection_->MarkDirty();
}

Http2Exchange::~Http2Exchange() {
  if (stream_ == nullptr) return;
  if (begun_) {
    connection_->ResetHttp(stream_);
  } else {
    connection_->BeginHttp(stream_, 500, {}, 0);
    connection_->EndHttp(stream_);
  }
  Detach();
}

void Http2Exchange::Detach() {
  HoldRequest(0);
  HoldOutput(0);
  stream_->exchange = nullptr;
  stream_ = nullptr;
}

void Http2Exchange::Begin(int status, const HttpHeaders& headers, std::optional<size_t> length) {
  if (stream_ == nullptr || std::exchange(begun_, true)) return;
  connection_->BeginHttp(stream_, status, headers, length);
}

void Http2Exchange::Write(std::string_view bytes) {
  if (stream_ != nullptr && begun_) connection_->WriteHttp(stream_, bytes);
}

void Http2Exchange::End() {
  if (stream_ == nullptr || !begun_) return;
  connection_->EndHttp(stream_);
  Detach();
  on_closed = nullptr;
  on_writable = nullptr;
}

size_t Http2Exchange::pending_bytes() const {
  return stream_ == nullptr ? 0 : connection_->pending_bytes(stream_);
}

bool Http2Exchange::HoldRequest(size_t bytes) {
  if (stream_ == nullptr) return true;
  const size_t before = std::exchange(held_request_, bytes);
  connection_->HoldRequest(before, bytes);
  return bytes <= before || !connection_->HoldsTooMuchRequest();
}

void Http2Exchange::HoldOutput(size_t bytes) {
  if (stream_ == nullptr) return;
  connection_->ReleaseOutput(std::exchange(held_output_, bytes));
  connection_->HoldOutput(bytes);
}

bool Http2Exchange::MayTake(size_t bytes) {
  return stream_ == nullptr || !connection_->HoldsTooMuchOutput(bytes);
}

void Http2Exchange::Lose() {
  Detach();
  const std::function<void()> fn = std::exchange(on_closed, nullptr);
  on_writable = nullptr;
  if (fn) fn();
}

}  // namespace quorate::net
