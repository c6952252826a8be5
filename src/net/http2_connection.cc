#include "net/http2_connection.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "base/check.h"
#include "net/loop_impl.h"
#include "net/server_impl.h"

namespace quorate::net {
namespace {

// Windows for throughput: a stream may have this much of a request under way, a connection that much.
constexpr int32_t kStreamWindowBytes = 1024 * 1024;
constexpr int32_t kConnectionWindowBytes = 16 * 1024 * 1024;
// Answers to PING and SETTINGS that may wait for a client which does not read them.
constexpr size_t kOutboundAcksMax = 1000;
constexpr size_t kContinuationsMax = 128;
// RST_STREAM from the client: so many at once, and so many a second in the long run (CVE-2023-44487).
constexpr uint64_t kResetBurst = 10'000;
constexpr uint64_t kResetsPerSecond = 1'000;
// A stream of a client over its share is let in as long as it has no more than these.
constexpr size_t kStreamsAlwaysMax = 100;
// grpc-go's rule for pings: the third strike ends the connection; without a stream they may come every two
// hours.
constexpr int kPingStrikesMax = 2;
constexpr int64_t kIdlePingNanos = int64_t{2 * 3600} * 1'000'000'000;
// How long after the first GOAWAY the final one is sent when the client does not answer the ping between
// them.
constexpr int64_t kFinalGoAwayNanos = 1'000'000'000;
constexpr uint8_t kDrainPing[8] = {'q', 'd', 'r', 'a', 'i', 'n', 0, 1};
constexpr std::string_view kTooManyPings = "too_many_pings";
// No method of HTTP has as many bytes (https://www.iana.org/assignments/http-methods).
constexpr size_t kMethodBytesMax = 32;
constexpr size_t kOddBytesMax = 64;
// What a header costs beyond its bytes (RFC 9113, 6.5.2).
constexpr size_t kHeaderOverheadBytes = 32;

std::string_view View(nghttp2_rcbuf* buffer) {
  const nghttp2_vec bytes = nghttp2_rcbuf_get_buf(buffer);
  return {reinterpret_cast<const char*>(bytes.base), bytes.len};
}

}  // namespace

const nghttp2_session_callbacks* Http2Connection::Callbacks() {
  static const nghttp2_session_callbacks* const callbacks = [] {
    nghttp2_session_callbacks* c = nullptr;
    QUORATE_CHECK(nghttp2_session_callbacks_new(&c) == 0);
    nghttp2_session_callbacks_set_on_begin_frame_callback(c, &Http2Connection::OnBeginFrame);
    nghttp2_session_callbacks_set_on_begin_headers_callback(c, &Http2Connection::OnBeginHeaders);
    nghttp2_session_callbacks_set_on_header_callback2(c, &Http2Connection::OnHeader);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(c, &Http2Connection::OnDataChunk);
    nghttp2_session_callbacks_set_on_frame_recv_callback(c, &Http2Connection::OnFrameRecv);
    nghttp2_session_callbacks_set_on_frame_send_callback(c, &Http2Connection::OnFrameSend);
    nghttp2_session_callbacks_set_on_stream_close_callback(c, &Http2Connection::OnStreamClose);
    nghttp2_session_callbacks_set_send_data_callback(c, &Http2Connection::SendData);
    return c;
  }();
  return callbacks;
}

const nghttp2_option* Http2Connection::Options() {
  static const nghttp2_option* const options = [] {
    nghttp2_option* o = nullptr;
    QUORATE_CHECK(nghttp2_option_new(&o) == 0);
    nghttp2_option_set_no_http_messaging(o, 1);  // H2HeaderRules instead.
    nghttp2_option_set_no_closed_streams(o, 1);
    nghttp2_option_set_no_auto_window_update(o, 1);  // OnDataChunk gives windows back.
    nghttp2_option_set_max_outbound_ack(o, kOutboundAcksMax);
    nghttp2_option_set_max_continuations(o, kContinuationsMax);
    nghttp2_option_set_stream_reset_rate_limit(o, kResetBurst, kResetsPerSecond);
    return o;
  }();
  return options;
}

Http2Connection::Http2Connection(Connection* connection, ServerImpl* server)
    : connection_(connection), server_(server), idle_frame_credit_at_(server->loop_impl()->now()) {
  QUORATE_CHECK(
      nghttp2_session_server_new3(&session_, Callbacks(), this, Options(), server_->blocks().mem()) == 0);
  SubmitSettings();
  timer_.context = this;
  timer_.fire = [](void* self) { static_cast<Http2Connection*>(self)->OnTimer(); };
  ArmTimer();
}

Http2Connection::~Http2Connection() {
  QUORATE_CHECK(streams_ == nullptr && timer_.idle());
  header_memo_.Clear();  // Its buffers are the session's.
  nghttp2_session_del(session_);
}

void Http2Connection::SubmitSettings() {
  const std::array<nghttp2_settings_entry, 4> settings = {{
      {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, server_->options().max_concurrent_streams},
      {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, kStreamWindowBytes},
      {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, static_cast<uint32_t>(server_->options().header_bytes_max)},
      {NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1},
  }};
  QUORATE_CHECK(nghttp2_submit_settings(session_, NGHTTP2_FLAG_NONE, settings.data(), settings.size()) == 0);
  QUORATE_CHECK(
      nghttp2_session_set_local_window_size(session_, NGHTTP2_FLAG_NONE, 0, kConnectionWindowBytes) == 0);
}

bool Http2Connection::OnBytes(std::string_view* bytes) {
  worked_ = work_over_ = false;
  if (!TakeRest(bytes)) return !failed_;
  do {
    paused_ = false;
    const ssize_t n =
        nghttp2_session_mem_recv(session_, reinterpret_cast<const uint8_t*>(bytes->data()), bytes->size());
    if (n < 0 && !failed_) {
      const uint32_t code = n == NGHTTP2_ERR_FLOODED ? NGHTTP2_ENHANCE_YOUR_CALM : NGHTTP2_PROTOCOL_ERROR;
      nghttp2_session_terminate_session(session_, code);
      failed_ = true;
    }
    bytes->remove_prefix(n < 0 ? bytes->size() : static_cast<size_t>(n));
    // Stopped at the last byte it has yet to see that a frame ends there.
  } while (paused_ && bytes->empty() && chunk_rest_.empty());
  KeepRest(bytes);
  return !failed_;
}

bool Http2Connection::FillOutput(ByteQueue* out, size_t limit) {
  fill_target_ = out;
  while (out->size() < limit) {
    const uint8_t* data = nullptr;
    const ssize_t n = nghttp2_session_mem_send(session_, &data);
    if (n < 0) failed_ = true;
    if (n <= 0) return false;
    out->Append({reinterpret_cast<const char*>(data), static_cast<size_t>(n)});
  }
  return true;
}

void Http2Connection::AfterFlush() {
  if (writable_owed_.empty()) return;
  std::vector<Owed> owed;
  owed.swap(writable_owed_);
  for (const Owed& o : owed) {
    H2Stream* s = o.stream;
    if (s->generation != o.generation || s->connection != this) continue;
    if (pending_bytes(s) > kStreamPendingLow || s->overfull || ShouldWait()) {
      writable_owed_.push_back(o);
      continue;
    }
    s->wants_writable = false;
    if (s->handler != nullptr) {
      s->handler->OnWritable();
    } else if (s->exchange != nullptr && s->exchange->on_writable) {
      const std::function<void()> fn = s->exchange->on_writable;
      fn();
    }
  }
}

// While the socket takes nothing, more input would only make more output. A client that withholds windows
// must be read, since the windows come with its input: see DispatchGrpc.
bool Http2Connection::WantsInput() const {
  return !connection_->blocked() ||
         queued_bytes_ + connection_->output_bytes() <= server_->options().output_bytes_max;
}

// nghttp2 has nothing more to read once a GOAWAY is out and no stream is open; but between the two of a drain
// a request that crossed the first may still arrive.
bool Http2Connection::Finished() const {
  if (draining_ && !final_goaway_sent_) return failed_;
  return failed_ || (nghttp2_session_want_read(session_) == 0 && nghttp2_session_want_write(session_) == 0);
}

void Http2Connection::OnLost() {
  lost_ = true;
  server_->loop_impl()->CancelTimer(&timer_);
  while (streams_ != nullptr) {
    H2Stream* s = streams_;
    nghttp2_session_set_stream_user_data(session_, s->id, nullptr);
    RemoveStream(s);
  }
}

H2Stream* Http2Connection::AddStream(int32_t id) {
  H2Stream* s = server_->pool().Acquire();
  ++s->generation;
  s->carrier = this;
  s->connection = this;
  s->id = id;
  s->next = streams_;
  if (streams_ != nullptr) streams_->previous = s;
  streams_ = newest_ = s;
  ++stream_count_;
  ++server_->stats.streams_open;
  return s;
}

void Http2Connection::RemoveStream(H2Stream* s) {
  worked_ |= s->open || s->exchange != nullptr;
  if (s->open) Cancel(s, Code::kCancelled);
  if (s->exchange != nullptr) s->exchange->Lose();
  s->sink = nullptr;
  server_->loop_impl()->CancelTimer(&s->timer);
  ++s->generation;
  if (newest_ == s) newest_ = nullptr;
  (s->previous != nullptr ? s->previous->next : streams_) = s->next;
  if (s->next != nullptr) s->next->previous = s->previous;
  --stream_count_;
  --server_->stats.streams_open;
  ReleaseOutput(s->out.size());
  HoldRequest(s->head_bytes + s->reader.buffered_bytes() + s->body.size() + s->part_bytes, 0);
  server_->pool().Release(s);
}

int Http2Connection::OnBeginHeaders(nghttp2_session* session, const nghttp2_frame* frame, void* self) {
  auto* c = static_cast<Http2Connection*>(self);
  if (frame->hd.type != NGHTTP2_HEADERS || frame->headers.cat != NGHTTP2_HCAT_REQUEST) return 0;
  const ServerStats& stats = c->server_->stats;
  if (c->stream_count_ >= kStreamsHardMax ||
      (c->stream_count_ >= kStreamsAlwaysMax &&
       c->server_->OverShare(c->stream_count_, stats.streams_open,
                             c->server_->options().streams_in_all_max))) {
    nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, frame->hd.stream_id, NGHTTP2_REFUSED_STREAM);
    return 0;
  }
  H2Stream* s = c->AddStream(frame->hd.stream_id);
  QUORATE_CHECK(nghttp2_session_set_stream_user_data(session, s->id, s) == 0);
  return 0;
}

int Http2Connection::OnHeader(nghttp2_session*, const nghttp2_frame* frame, nghttp2_rcbuf* name_buffer,
                              nghttp2_rcbuf* value_buffer, uint8_t, void* self) {
  auto* c = static_cast<Http2Connection*>(self);
  if (frame->hd.type != NGHTTP2_HEADERS) return 0;
  H2Stream* s = c->Find(frame->hd.stream_id);
  if (s == nullptr || s->kind == H2Stream::Kind::kRefused) return 0;
  const bool trailer = frame->headers.cat != NGHTTP2_HCAT_REQUEST;
  // At the beginning of a request, of which no more is taken then.
  c->paused_ = !trailer && s->header_rules.count() == 0 && c->WorkEnds();
  c->TakeField(s, name_buffer, value_buffer, trailer);
  return c->paused_ ? NGHTTP2_ERR_PAUSE : 0;
}

void Http2Connection::TakeField(H2Stream* s, nghttp2_rcbuf* name_buffer, nghttp2_rcbuf* value_buffer,
                                bool trailer) {
  const std::string_view name = View(name_buffer);
  const std::string_view value = View(value_buffer);
  if (trailer) {
    if (!H2HeaderRules::AllowedInTrailers(name, value)) RefuseMalformed(s);
    return;
  }
  const size_t place = s->header_rules.count();
  const bool known = header_memo_.Knows(place, name_buffer, value_buffer);
  if (!s->header_rules.Take(name, value, known)) return RefuseMalformed(s);
  if (!known) header_memo_.Keep(place, name_buffer, value_buffer);
  TakeHeader(s, name, value);
  if (s->kind == H2Stream::Kind::kRefused) return;
  const size_t bytes =
      s->header_bytes.size() + s->path.size() + s->odd_bytes + s->headers.size() * kHeaderOverheadBytes;
  HoldRequest(std::exchange(s->head_bytes, bytes), bytes);
  if (bytes > server_->options().header_bytes_max) {
    RefuseStream(s, NGHTTP2_ENHANCE_YOUR_CALM);
  } else if (HoldsTooMuchRequest()) {
    RefuseStream(s, NGHTTP2_REFUSED_STREAM);
  }
}

void Http2Connection::RefuseMalformed(H2Stream* s) {
  if (s->open) Cancel(s, Code::kCancelled);
  RefuseStream(s, NGHTTP2_PROTOCOL_ERROR);
}

void Http2Connection::RefuseStream(H2Stream* s, uint32_t error) {
  s->kind = H2Stream::Kind::kRefused;
  s->DropHeaders();
  HoldRequest(std::exchange(s->head_bytes, 0), 0);
  nghttp2_submit_rst_stream(session_, NGHTTP2_FLAG_NONE, s->id, error);
}

void Http2Connection::TakeHeader(H2Stream* s, std::string_view name, std::string_view value) {
  switch (name.size()) {
    case 2:
      if (name == "te") return;
      break;
    case 5:
      if (name == ":path") return TakePath(s, value);
      break;
    case 7:
      if (name == ":method") {
        s->post = value == "POST";
        s->head_request = value == "HEAD";
        if (value.size() > kMethodBytesMax) return RefuseMalformed(s);
        if (!s->post) TakeOdd(s, &s->method_name, value);
        return;
      }
      if (name == ":scheme") return;
      break;
    case 12:
      if (name == "content-type") {
        constexpr size_t kSize = kGrpcContentType.size();
        s->grpc_content = value.substr(0, kSize) == kGrpcContentType &&
                          (value.size() == kSize || value[kSize] == '+' || value[kSize] == ';');
        if (s->grpc_content) return TakeSubtype(s, value);
      } else if (name == "grpc-timeout") {
        const std::optional<int64_t> timeout = ParseGrpcTimeout(value);
        s->has_timeout = true;
        s->timeout = timeout.value_or(0);
        if (!timeout) TakeOdd(s, &s->bad_timeout, value.empty() ? std::string_view(" ") : value);
        return;
      }
      break;
    case 13:
      if (name == "grpc-encoding") {
        s->gzip = value == "gzip";
        s->unknown_encoding = !s->gzip && !value.empty() && value != "identity";
        if (s->unknown_encoding) TakeOdd(s, &s->encoding, value);
        return;
      }
      // The session keeps fields to be repeated for as long as it lives.
      if (name == "authorization" && value.starts_with("Basic ")) server_->blocks().WipeFreed();
      break;
    case 20:
      if (name == "grpc-accept-encoding") return;
      break;
    default:
      break;
  }
  s->AddHeader(name, value);
}

// Kept to be named in an answer; what is longer than any good one is cut.
void Http2Connection::TakeOdd(H2Stream* s, std::string* field, std::string_view value) {
  *field = value.substr(0, kOddBytesMax);
  s->odd_bytes += field->size();
}

void Http2Connection::TakePath(H2Stream* s, std::string_view path) {
  s->path = path;
  if (path == last_path_) {
    s->method = last_method_;
    return;
  }
  s->method = server_->FindMethod(path);
  if (s->method == nullptr) return;  // Of any length.
  last_path_ = path;
  last_method_ = s->method;
}

int Http2Connection::OnFrameRecv(nghttp2_session*, const nghttp2_frame* frame, void* self) {
  auto* c = static_cast<Http2Connection*>(self);
  if (frame->hd.type == NGHTTP2_PING) {
    c->OnPing(frame->ping, (frame->hd.flags & NGHTTP2_FLAG_ACK) != 0);
    return 0;
  }
  if (frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA) return 0;
  const bool request = frame->hd.type == NGHTTP2_HEADERS && frame->headers.cat == NGHTTP2_HCAT_REQUEST;
  const bool end = (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
  if (!request && !end) return 0;
  H2Stream* s = c->Find(frame->hd.stream_id);
  if (s == nullptr || s->kind == H2Stream::Kind::kRefused) return 0;
  s->remote_closed = end;
  if (request && !s->header_rules.Complete()) {
    c->RefuseMalformed(s);
    return 0;
  }
  if (request) c->Dispatch(s);
  if (end) c->OnHalfClose(s);
  return 0;
}

int Http2Connection::OnFrameSend(nghttp2_session* session, const nghttp2_frame* frame, void* self) {
  auto* c = static_cast<Http2Connection*>(self);
  // The answer to a ping after the first GOAWAY of a drain tells that the client has seen it. Submitted only
  // now, since nghttp2 sends pings ahead of other frames.
  if (frame->hd.type == NGHTTP2_GOAWAY && c->draining_ && !c->final_goaway_sent_) {
    nghttp2_submit_ping(session, NGHTTP2_FLAG_NONE, kDrainPing);
  }
  if (frame->hd.type == NGHTTP2_RST_STREAM && frame->rst_stream.error_code != NGHTTP2_NO_ERROR) {
    c->ChargeIdleFrame(1);
  }
  if (frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA) return 0;
  c->sent_since_ping_ = true;
  c->EarnIdleFrames();
  if (c->early_ends_ == 0 || (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) == 0) return 0;
  H2Stream* s = c->Find(frame->hd.stream_id);
  if (s != nullptr && !s->remote_closed) c->EndEarly(s);
  return 0;
}

int Http2Connection::OnStreamClose(nghttp2_session* session, int32_t id, uint32_t, void* self) {
  auto* c = static_cast<Http2Connection*>(self);
  H2Stream* s = c->Find(id);
  if (s == nullptr) return 0;
  nghttp2_session_set_stream_user_data(session, id, nullptr);
  c->RemoveStream(s);
  return 0;
}

ssize_t Http2Connection::ReadData(nghttp2_session*, int32_t, uint8_t*, size_t length, uint32_t* flags,
                                  nghttp2_data_source* source, void* self) {
  auto* c = static_cast<Http2Connection*>(self);
  auto* s = static_cast<H2Stream*>(source->ptr);
  if (s->out.empty() && !s->ended) {
    s->deferred = true;
    return NGHTTP2_ERR_DEFERRED;
  }
  const size_t n = std::min(length, s->out.size());
  if (n > 0) *flags |= NGHTTP2_DATA_FLAG_NO_COPY;
  if (s->ended && n == s->out.size()) {
    *flags |= NGHTTP2_DATA_FLAG_EOF;
    if (!s->bare) {
      *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
      c->SubmitTrailers(s);
    }
  }
  return static_cast<ssize_t>(n);
}

int Http2Connection::SendData(nghttp2_session*, nghttp2_frame* frame, const uint8_t* head, size_t length,
                              nghttp2_data_source* source, void* self) {
  constexpr size_t kFrameHeadBytes = 9;
  auto* c = static_cast<Http2Connection*>(self);
  auto* s = static_cast<H2Stream*>(source->ptr);
  QUORATE_CHECK(frame->data.padlen == 0);
  char* out = c->fill_target_->Extend(kFrameHeadBytes + length);
  std::memcpy(out, head, kFrameHeadBytes);
  std::memcpy(out + kFrameHeadBytes, s->out.data(), length);
  s->ConsumeOutput(length);
  c->ReleaseOutput(length);
  return 0;
}

void Http2Connection::OnPing(const nghttp2_ping& ping, bool ack) {
  if (ack) {
    if (draining_ && std::memcmp(ping.opaque_data, kDrainPing, sizeof(kDrainPing)) == 0) FinalGoAway();
    return;
  }
  const int64_t min_time = server_->options().keepalive_min_time.count();
  if (min_time == 0) return;
  const int64_t now = server_->loop_impl()->now();
  const int64_t previous = std::exchange(last_ping_at_, now);
  if (std::exchange(sent_since_ping_, false)) {
    ping_strikes_ = 0;
    return;
  }
  const bool idle = stream_count_ == 0 && !server_->options().keepalive_permit_without_stream;
  if (previous != 0 && now - previous < (idle ? kIdlePingNanos : min_time)) ++ping_strikes_;
  if (ping_strikes_ <= kPingStrikesMax || failed_) return;
  nghttp2_submit_goaway(session_, NGHTTP2_FLAG_NONE, nghttp2_session_get_last_proc_stream_id(session_),
                        NGHTTP2_ENHANCE_YOUR_CALM, reinterpret_cast<const uint8_t*>(kTooManyPings.data()),
                        kTooManyPings.size());
  failed_ = true;
}

void Http2Connection::ArmTimer() {
  int64_t next = INT64_MAX;
  if (server_->options().keepalive_interval.count() > 0) {
    next = ping_sent_at_ != 0 ? ping_sent_at_ + server_->options().keepalive_timeout.count()
                              : connection_->last_read() + server_->options().keepalive_interval.count();
  }
  if (draining_ && !final_goaway_sent_) next = std::min(next, final_goaway_at_);
  if (next != INT64_MAX) server_->loop_impl()->SetTimer(&timer_, next);
}

void Http2Connection::OnTimer() {
  const int64_t now = server_->loop_impl()->now();
  if (draining_ && !final_goaway_sent_ && now >= final_goaway_at_) FinalGoAway();
  const int64_t interval = server_->options().keepalive_interval.count();
  if (interval > 0) {
    if (ping_sent_at_ != 0 && connection_->last_read() >= ping_sent_at_) ping_sent_at_ = 0;
    if (ping_sent_at_ != 0 && now - ping_sent_at_ >= server_->options().keepalive_timeout.count()) {
      return connection_->Close();
    }
    if (ping_sent_at_ == 0 && now - connection_->last_read() >= interval) {
      nghttp2_submit_ping(session_, NGHTTP2_FLAG_NONE, nullptr);
      ping_sent_at_ = now;
      connection_->MarkDirty();
    }
  }
  ArmTimer();
}

void Http2Connection::Drain() {
  if (draining_) return;
  draining_ = true;
  nghttp2_submit_shutdown_notice(session_);
  final_goaway_at_ = server_->loop_impl()->now() + kFinalGoAwayNanos;
  ArmTimer();
}

void Http2Connection::FinalGoAway() {
  if (final_goaway_sent_) return;
  final_goaway_sent_ = true;
  EndAllLingering();
  nghttp2_submit_goaway(session_, NGHTTP2_FLAG_NONE, nghttp2_session_get_last_proc_stream_id(session_),
                        NGHTTP2_NO_ERROR, nullptr, 0);
  connection_->MarkDirty();
}

}  // namespace quorate::net
