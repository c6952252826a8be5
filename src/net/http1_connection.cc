#include "net/http1_connection.h"

#include <boost/asio/buffer.hpp>

#include <algorithm>
#include <cstdio>
#include <iterator>
#include <utility>

#include "base/check.h"
#include "base/wipe.h"
#include "net/http1_parser.h"
#include "net/http1_rules.h"
#include "net/http_date.h"
#include "net/loop_impl.h"
#include "net/server_impl.h"

namespace quorate::net {
namespace http = boost::beast::http;

namespace {

// Input beyond this is left in the socket while a request is being answered.
constexpr size_t kPipelinedBytesMax = 64 * 1024;
// Of each buffer, while it is empty.
constexpr size_t kKeepBytes = 16 * 1024;
// What the sink of a connection that was taken over gets between two looks at the clock: each few bytes of it
// may be a request.
constexpr size_t kRawBytesMax = 256;
// Beast holds no field of 64 KiB or more (it throws), so the whole header must stay below that.
constexpr size_t kHttp1HeaderBytesMax = 63 * 1024;

template <typename V>
std::string_view StdView(V v) {
  return {v.data(), v.size()};
}

bool StatusWithoutBody(int status) { return status < 200 || status == 204 || status == 304; }

}  // namespace

Http1Connection::Http1Connection(Connection* connection, ServerImpl* server)
    : connection_(connection), server_(server) {
  timer_.context = this;
  timer_.fire = [](void* self) { static_cast<Http1Connection*>(self)->connection_->Close(); };
}

Http1Connection::~Http1Connection() { QUORATE_CHECK(exchange_ == nullptr && timer_.idle()); }

bool Http1Connection::OnBytes(std::string_view* bytes) {
  if (closing_) return false;
  in_.Append(std::exchange(*bytes, {}));
  ProcessInput();
  CountHeld();
  ShedInput();
  return !closing_;
}

void Http1Connection::ShedInput() {
  const bool incomplete =
      exchange_ == nullptr ? parser_ != nullptr : sink_ != nullptr && sink_->part().bytes > 0;
  if (!incomplete || closing_ ||
      !server_->OverShare(counted_request_bytes_, server_->stats.request_bytes_held,
                          server_->options().request_bytes_in_all_max)) {
    return;
  }
  if (raw_) return BreakOff();
  RefuseInput(503);
  in_.Recycle(0);
  CountHeld();
}

void Http1Connection::CountHeld() {
  const size_t body = parser_ == nullptr ? 0 : parser_->beast.get().body().text.size();
  const size_t part = sink_ == nullptr ? 0 : sink_->part().bytes;
  const size_t request = lost_ ? 0 : in_.size() + body + part + held_request_;
  const size_t output = lost_ ? 0 : out_.size() + held_output_;
  server_->stats.request_bytes_held += request - std::exchange(counted_request_bytes_, request);
  server_->stats.output_bytes_held += output - std::exchange(counted_output_bytes_, output);
}

// A client that closes its side while a service says it waits for that (OnClosed) has gone away; otherwise it
// may be one that has sent all it has to say, and gets its answer.
bool Http1Connection::OnEndOfInput() {
  closing_ = true;
  keep_alive_ = false;
  if (exchange_ == nullptr) return !out_.empty();
  if (sink_ != nullptr) return false;  // In the middle of a body.
  return !exchange_->begun() && !exchange_->on_closed;
}

bool Http1Connection::FillOutput(ByteQueue* out, size_t limit) {
  if (broken_off_) return false;
  if (out->size() >= limit) return !out_.empty();
  const size_t n = std::min(limit - out->size(), out_.size());
  out->Append(out_.view().substr(0, n));
  out_.Consume(n);
  return !out_.empty();
}

void Http1Connection::AfterFlush() {
  if (broken_off_) return connection_->Close();
  if (wants_writable_ && exchange_ != nullptr && pending_bytes() <= kStreamPendingLow && !ShouldWait()) {
    wants_writable_ = false;
    const std::function<void()> fn = exchange_->on_writable;
    if (fn) fn();
  }
  const bool may_go_on = !closing_ && ((exchange_ == nullptr && out_.empty()) || sink_ != nullptr);
  if (may_go_on && input_waits_ && !body_paused_) connection_->AskTurn();
  // A large request or answer is over; the connection may live on for long.
  if (in_.empty()) in_.Recycle(kKeepBytes);
  if (out_.empty()) out_.Recycle(kKeepBytes);
  CountHeld();
}

bool Http1Connection::WantsInput() const {
  // Who takes no answers gets to ask for no more: a ping, say, has one.
  if (raw_ && connection_->blocked() && out_.size() > kPipelinedBytesMax) return false;
  if (sink_ != nullptr) return !body_paused_;
  return (exchange_ == nullptr && !connection_->blocked()) || in_.size() < kPipelinedBytesMax;
}

void Http1Connection::OnLost() {
  lost_ = true;
  server_->loop_impl()->CancelTimer(&timer_);
  closing_ = true;
  LoseExchange();
  CountHeld();
}

// The exchange first: a sink that goes takes its reply with it.
void Http1Connection::LoseExchange() {
  Http1Exchange* exchange = std::exchange(exchange_, nullptr);
  DropHeld();
  if (exchange != nullptr) exchange->Lose();
  sink_.reset();
}

void Http1Connection::PauseBody(bool paused) {
  if (sink_ == nullptr || body_paused_ == paused) return;
  body_paused_ = paused;
  if (raw_) return connection_->MarkDirty();
  if (paused) {
    server_->loop_impl()->CancelTimer(&timer_);
    timed_part_ = 0;
  } else {
    TimeBody();
    connection_->MarkDirty();  // AfterFlush goes on.
  }
}

bool Http1Connection::TakeOver(const HttpHeaders& headers, std::shared_ptr<HttpBodySink> sink) {
  if (http10_ || sink_ != nullptr || closing_) return false;
  raw_ = true;
  sink_ = std::move(sink);
  chunked_ = no_body_ = false;
  AppendHead(101, HttpReason(101), headers, std::nullopt, true);
  keep_alive_ = false;
  connection_->MarkDirty();
  return true;
}

void Http1Connection::SetInputTimer() {
  LoopImpl* loop = server_->loop_impl();
  loop->SetTimer(&timer_, loop->now() + server_->options().header_timeout.count());
}

void Http1Connection::Drain() {
  draining_ = true;
  keep_alive_ = false;
  if (exchange_ == nullptr && parser_ == nullptr) closing_ = true;
}

void Http1Connection::ProcessInput() {
  if (std::exchange(processing_, true)) return;
  bool whole = true;  // The last request.
  while ((exchange_ == nullptr || sink_ != nullptr) && !closing_ && !lost_ && !in_.empty()) {
    whole = ParseOne();
    // AfterFlush goes on.
    if (!whole || out_.size() > kStreamPendingHigh || (!in_.empty() && connection_->TurnIsOver())) break;
  }
  input_waits_ = !in_.empty() && (whole || body_paused_);
  processing_ = false;
}

void Http1Connection::TakeRaw() {
  const std::shared_ptr<HttpBodySink> sink = sink_;
  const size_t n = std::min(in_.size(), kRawBytesMax);
  sink->OnBytes(in_.view().substr(0, n));
  in_.Consume(n);
  if (!lost_) TimePart();
}

void Http1Connection::TimeBody() { sink_ != nullptr && sink_->open_ended() ? TimePart() : SetInputTimer(); }

void Http1Connection::TimePart() {
  const HttpBodySink::Part part = sink_ == nullptr ? HttpBodySink::Part() : sink_->part();
  const uint64_t number = part.bytes == 0 ? 0 : part.number;
  if (std::exchange(timed_part_, number) == number) return;
  if (number == 0) {
    server_->loop_impl()->CancelTimer(&timer_);
  } else {
    SetInputTimer();
  }
}

bool Http1Connection::ParseOne() {
  if (raw_) return TakeRaw(), true;
  if (parser_ == nullptr) {
    parser_ =
        std::make_unique<Http1Parser>(std::min(server_->options().header_bytes_max, kHttp1HeaderBytesMax));
    // Whether the body is limited is known when the headers are: OnHeader.
    parser_->beast.body_limit(boost::none);
    parser_->beast.get().body().sink = &sink_;
    parser_->beast.get().body().over = &closing_;
    continue_sent_ = header_taken_ = body_paused_ = false;
    SetInputTimer();
  } else if (sink_ != nullptr && !sink_->open_ended() && !body_paused_) {
    SetInputTimer();  // A large body may take its time, as long as it comes.
  }
  while (!in_.empty() && !parser_->beast.is_done() && !body_paused_) {
    boost::system::error_code error;
    const size_t n = parser_->Put(in_.view(), error);
    in_.Consume(n);
    if (closing_) return EndBody(), false;
    if (error == http::error::need_more) break;
    if (error) {
      const bool header = error == http::error::header_limit;
      RefuseInput(error == http::error::body_limit ? 413 : header ? 431 : 400);
      return false;
    }
    if (parser_->beast.is_header_done() && !std::exchange(header_taken_, true) && !OnHeader()) return false;
    if (n == 0) break;
  }
  if (parser_->beast.is_done()) {
    sink_ != nullptr ? EndBody() : Dispatch();
    return true;
  }
  if (sink_ != nullptr && sink_->open_ended() && !body_paused_) TimePart();
  if (header_taken_ && !body_paused_ && in_.size() > kPipelinedBytesMax) {
    RefuseInput(400);  // No head of a chunk is that long.
    return false;
  }
  if (header_taken_ && !std::exchange(continue_sent_, true) && ExpectsContinue(parser_->beast.get())) {
    out_.Append("HTTP/1.1 100 Continue\r\n\r\n");
    connection_->MarkDirty();
  }
  return false;
}

bool Http1Connection::OnHeader() {
  parser_->beast.eager(true);
  if (const auto refusal = CheckHead(parser_->beast.get())) {
    RefuseInput(refusal->status, refusal->detail);
    return false;
  }
  parser_->request = BuildRequest();
  if (server_->http_body_handler) sink_ = server_->http_body_handler(parser_->request);
  if (sink_ != nullptr) {
    const std::shared_ptr<HttpBodySink> sink = sink_;
    if (sink->open_ended()) server_->loop_impl()->CancelTimer(&timer_);
    timed_part_ = 0;
    sink->OnBegin(BeginExchange(parser_->request));
    if (closing_) EndBody();
    return !closing_;
  }
  const size_t limit = server_->options().http_body_bytes_max;
  parser_->beast.body_limit(limit);
  const auto length = parser_->beast.content_length();
  if (!length || *length <= limit) return true;
  RefuseInput(413);
  return false;
}

// The body that went to a sink is whole, or nobody wants it any more.
void Http1Connection::EndBody() {
  server_->loop_impl()->CancelTimer(&timer_);
  parser_.reset();
  const std::shared_ptr<HttpBodySink> sink = std::move(sink_);
  sink_ = nullptr;
  if (sink != nullptr && !closing_) return sink->OnEnd();
  in_.Clear();
}

HttpRequest Http1Connection::BuildRequest() {
  const auto& message = parser_->beast.get();
  HttpRequest request;
  request.method = StdView(message.method_string());
  request.SetTarget(StdView(message.target()));
  request.version = static_cast<int>(message.version());
  request.peer = connection_->peer();
  request.secure = connection_->secure();
  request.tls_common_name = connection_->tls_common_name().value_or("");
  request.headers.reserve(static_cast<size_t>(std::distance(message.begin(), message.end())));
  for (const auto& field : message) {
    request.headers.emplace_back(StdView(field.name_string()), StdView(field.value()));
  }
  const auto host = message.find(http::field::host);
  if (host != message.end() && request.host.empty()) request.host = StdView(host->value());
  return request;
}

HttpReply Http1Connection::BeginExchange(const HttpRequest& request) {
  const auto& message = parser_->beast.get();
  // The message knows the first of several Connection fields only; the parser counts Proxy-Connection, too.
  keep_alive_ = message.keep_alive() && parser_->beast.keep_alive() && EndIsSure(message) && !draining_;
  http10_ = request.version < 11;
  head_request_ = request.method == "HEAD";
  wants_writable_ = false;
  auto exchange = std::make_shared<Http1Exchange>(this);
  exchange_ = exchange.get();
  return HttpReply(std::move(exchange));
}

void Http1Connection::Dispatch() {
  server_->loop_impl()->CancelTimer(&timer_);
  HttpRequest request = std::move(parser_->request);
  request.body = std::move(parser_->beast.get().body().text);
  HttpReply reply = BeginExchange(request);
  parser_.reset();
  if (!server_->http_handler) {
    reply.Send(404, {{"Content-Type", "text/plain; charset=utf-8"}}, "404 page not found\n");
    return;
  }
  server_->http_handler(std::move(request), std::move(reply));
}

void Http1Connection::RefuseInput(int status, std::string_view detail) {
  // Then no other answer can be given.
  const bool begun = exchange_ != nullptr && exchange_->begun();
  server_->loop_impl()->CancelTimer(&timer_);
  closing_ = true;
  parser_.reset();
  LoseExchange();
  if (begun) return BreakOff();
  http10_ = head_request_ = false;
  std::string reason(HttpReason(status));
  if (!detail.empty()) reason.append(": ").append(detail);
  const std::string text = std::to_string(status) + " " + reason;
  AppendHead(status, reason, {{"Content-Type", "text/plain; charset=utf-8"}}, text.size(), false);
  out_.Append(text);
  connection_->MarkDirty();
}

void Http1Connection::AppendHead(int status, std::string_view reason, const HttpHeaders& headers,
                                 std::optional<size_t> length, bool keep_alive) {
  std::string head = "HTTP/1.1 " + std::to_string(status) + " " + std::string(reason) + "\r\n";
  for (const auto& [name, value] : headers) {
    const size_t start = head.size();
    head.append(name).append(": ").append(value);
    // A service can't be made to write a header of the client's making.
    std::replace_if(
        head.begin() + static_cast<ptrdiff_t>(start), head.end(),
        [](char c) { return c == '\r' || c == '\n' || c == '\0'; }, ' ');
    head.append("\r\n");
  }
  head.append("Date: ").append(HttpDate()).append("\r\n");
  if (length && !StatusWithoutBody(status))
    head.append("Content-Length: " + std::to_string(*length) + "\r\n");
  if (chunked_) head.append("Transfer-Encoding: chunked\r\n");
  if (!keep_alive) {
    head.append("Connection: close\r\n");
  } else if (http10_) {
    head.append("Connection: keep-alive\r\n");
  }
  head.append("\r\n");
  out_.Append(head);
}

void Http1Connection::Begin(int status, const HttpHeaders& headers, std::optional<size_t> length) {
  no_body_ = head_request_ || StatusWithoutBody(status);
  chunked_ = !length && !http10_ && !StatusWithoutBody(status);
  // Without chunks only the connection's end can mark the body's.
  if (!length && http10_) keep_alive_ = false;
  if (sink_ != nullptr) keep_alive_ = false;  // Answered before the body's end.
  AppendHead(status, HttpReason(status), headers, length, keep_alive_);
  connection_->MarkDirty();
}

void Http1Connection::BreakOff() {
  broken_off_ = closing_ = true;
  out_.Recycle(0);
  CountHeld();
  connection_->MarkDirty();
}

bool Http1Connection::ShouldWait() {
  const bool waits = server_->OverShare(2 * out_.size(), server_->stats.output_bytes_held,
                                        server_->options().output_bytes_in_all_max);
  if (waits) server_->WakeWhenLessIsHeld(connection_);
  return waits;
}

bool Http1Connection::Full() {
  if (pending_bytes() < kStreamPendingHigh && !ShouldWait()) return false;
  wants_writable_ = true;
  return true;
}

bool Http1Connection::HoldRequest(size_t bytes) {
  const size_t before = std::exchange(held_request_, bytes);
  CountHeld();
  return bytes <= before || !server_->OverShare(counted_request_bytes_, server_->stats.request_bytes_held,
                                                server_->options().request_bytes_in_all_max);
}

void Http1Connection::HoldOutput(size_t bytes) {
  held_output_ = bytes;
  CountHeld();
}

bool Http1Connection::MayTake(size_t bytes) const {
  return !server_->TooMuchOutput(out_.size() + held_output_ + bytes);
}

void Http1Connection::Write(std::string_view bytes) {
  if (no_body_ || bytes.empty() || broken_off_) return;
  // An answer has begun and can't become an error any more.
  if (server_->TooMuchOutput(out_.size() + bytes.size())) return BreakOff();
  if (chunked_) {
    char size[20];
    const int n = std::snprintf(size, sizeof(size), "%zx\r\n", bytes.size());
    out_.Append({size, static_cast<size_t>(n)});
  }
  out_.Append(bytes);
  if (chunked_) out_.Append("\r\n");
  Full();
  CountHeld();
  connection_->MarkDirty();
}

void Http1Connection::End(bool complete) {
  exchange_ = nullptr;
  DropHeld();
  CountHeld();
  if (complete && chunked_ && !no_body_) out_.Append("0\r\n\r\n");
  chunked_ = false;
  if (!complete || !keep_alive_ || sink_ != nullptr) closing_ = true;
  if (sink_ != nullptr && !processing_) EndBody();
  if (!complete) return BreakOff();
  connection_->MarkDirty();
}

Http1Exchange::~Http1Exchange() {
  if (connection_ == nullptr) return;
  Http1Connection* connection = std::exchange(connection_, nullptr);
  if (!begun_) connection->Begin(500, {}, 0);
  connection->End(!begun_);
}

void Http1Exchange::Begin(int status, const HttpHeaders& headers, std::optional<size_t> length) {
  if (connection_ == nullptr || std::exchange(begun_, true)) return;
  connection_->Begin(status, headers, length);
}

void Http1Exchange::Write(std::string_view bytes) {
  if (connection_ != nullptr && begun_) connection_->Write(bytes);
}

void Http1Exchange::End() {
  if (connection_ == nullptr || !begun_) return;
  on_closed = nullptr;
  on_writable = nullptr;
  std::exchange(connection_, nullptr)->End(true);
}

void Http1Exchange::Lose() {
  connection_ = nullptr;
  const std::function<void()> fn = std::exchange(on_closed, nullptr);
  on_writable = nullptr;
  if (fn) fn();
}

}  // namespace quorate::net
