#include "net/connection.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/wipe.h"
#include "net/http1_connection.h"
#include "net/http2_connection.h"
#include "net/loop_impl.h"
#include "net/server_impl.h"

namespace quorate::net {
namespace {

// The start of the HTTP/2 connection preface (RFC 9113, 3.4) that tells it from any HTTP/1 request.
constexpr std::string_view kHttp2Start = "PRI * HTTP/2";
// Output is collected in pieces of this size, and a connection writes at most the second number in one round.
constexpr size_t kOutputPiece = 256 * 1024;
constexpr size_t kFlushBytesMax = 4 * 1024 * 1024;
// A connection reads at most so many times in one round, and works no further once its turn has taken so
// long: the loop calls it a heavy one then (LoopImpl::TakeTurns).
constexpr int kReadsPerRound = 4;
constexpr int64_t kTurnNanos = 1'000'000;
// Of one read. What a client sends may cost a thousand times what its bytes cost to send (compressed
// messages), so who makes more work than kTurnNanos with one read gets smaller ones, down to the first
// number; a new connection begins in between.
constexpr size_t kReadBytesMin = 4 * 1024;
constexpr size_t kReadBytesBegin = 16 * 1024;
// After the last output the client has this long to close, so that our close does not destroy what it has yet
// to read.
constexpr int64_t kLingerNanos = 1'000'000'000;

std::optional<std::string> CommonNameOf(const TlsStream* tls) {
  if (tls == nullptr || !tls->has_peer_certificate()) return std::nullopt;
  return tls->peer_names().common_name;
}

}  // namespace

Connection::Connection(ServerImpl* server, int fd, std::string peer, std::unique_ptr<TlsStream> tls)
    : server_(server),
      peer_(std::move(peer)),
      descriptor_(server->loop_impl(), fd, this),
      tls_(std::move(tls)),
      tls_common_name_(CommonNameOf(tls_.get())),
      stream_(tls_ == nullptr ? static_cast<ByteStream*>(&descriptor_) : tls_.get()),
      read_bytes_(kReadBytesBegin) {
  if (tls_ != nullptr) tls_->set_below(&descriptor_);
  timer_.context = this;
  timer_.fire = [](void* self) { static_cast<Connection*>(self)->OnTimer(); };
  last_read_ = server_->loop_impl()->now();
  server_->loop_impl()->SetTimer(&timer_, last_read_ + server_->options().first_byte_timeout.count());
  UpdateReading();  // TLS may hold a request that came with the handshake's end.
}

Connection::~Connection() { QUORATE_CHECK(timer_.idle()); }

void Connection::OnTimer() { Close(); }

bool Connection::TurnIsOver() {
  if (!turn_over_) turn_over_ = MonotonicNanos() - turn_began_ > kTurnNanos;
  return turn_over_;
}

void Connection::AskTurn() {
  turn_asked_ = true;
  descriptor_.NoteReadable();
}

void Connection::OnReadable() {
  turn_began_ = MonotonicNanos();
  turn_over_ = false;
  if (TakeHeld()) ReadOn();
  if (closed_) return;
  if (tls_ != nullptr) CountOutput();  // Reading may have sealed an answer.
  UpdateReading();
}

bool Connection::TakeHeld() {
  if (held_.empty() && !std::exchange(turn_asked_, false)) return true;
  if (!input_over_ && !held_.empty() && !protocol_->WantsInput()) return false;
  turn_asked_ = false;
  const std::string_view rest = input_over_ ? std::string_view() : Offer(held_.view());
  held_.Consume(held_.size() - rest.size());
  if (held_.empty()) held_.Recycle(0);
  CountHeld();
  return !closed_ && held_.empty() && !turn_asked_ && !TurnIsOver();
}

void Connection::CountHeld() {
  const size_t bytes = closed_ ? 0 : held_.size();
  server_->stats.request_bytes_held += bytes - std::exchange(held_bytes_, bytes);
}

void Connection::ReadOn() {
  for (int i = 0; i < kReadsPerRound; ++i) {
    const size_t size = std::clamp(read_bytes_, kReadBytesMin, ServerImpl::kReadBufferBytes);
    const ssize_t n = stream_->Read(server_->read_buffer(), size);
    if (n == ByteStream::kWouldBlock) break;
    if (n == ByteStream::kBroken) return Close();
    if (n == 0) return OnEndOfInput();
    last_read_ = server_->loop_impl()->now();
    OnInput({server_->read_buffer(), static_cast<size_t>(n)});
    // It may have been a password, and other connections may not fill the buffer for long.
    Wipe(server_->read_buffer(), static_cast<size_t>(n));
    if (closed_) return;
    if (TurnIsOver()) {
      read_bytes_ = size / 2;
      break;
    }
    if (static_cast<size_t>(n) < size) break;
    read_bytes_ = size * 2;
    if (turn_asked_ || (protocol_ != nullptr && !protocol_->WantsInput())) break;
  }
}

void Connection::OnInput(std::string_view bytes) {
  if (input_over_) return;  // Lingering: whatever comes is dropped.
  if (protocol_ == nullptr) {
    Detect(bytes);
  } else {
    Feed(bytes);
  }
}

void Connection::Detect(std::string_view bytes) {
  if (first_bytes_.empty()) {
    server_->loop_impl()->SetTimer(&timer_,
                                   server_->loop_impl()->now() + server_->options().header_timeout.count());
  }
  AppendWiping(&first_bytes_, bytes);
  const size_t n = std::min(first_bytes_.size(), kHttp2Start.size());
  const bool http2 = std::string_view(first_bytes_).substr(0, n) == kHttp2Start.substr(0, n);
  if (http2 && n < kHttp2Start.size()) return;
  server_->loop_impl()->CancelTimer(&timer_);
  if (http2) {
    protocol_ = std::make_unique<Http2Connection>(this, server_);
  } else {
    protocol_ = std::make_unique<Http1Connection>(this, server_);
  }
  if (server_->draining()) protocol_->Drain();
  std::string first = std::exchange(first_bytes_, {});
  Feed(first);
  Wipe(&first);
}

void Connection::Feed(std::string_view bytes) {
  const std::string_view rest = Offer(bytes);
  if (rest.empty()) return;
  held_.Append(rest);
  CountHeld();
}

std::string_view Connection::Offer(std::string_view bytes) {
  if (!protocol_->OnBytes(&bytes)) input_over_ = true;
  if (!closed_) MarkDirty();
  return closed_ || input_over_ ? std::string_view() : bytes;
}

void Connection::OnEndOfInput() {
  if (lingering_ || protocol_ == nullptr || input_over_) return Close();
  input_over_ = true;
  if (!protocol_->OnEndOfInput()) return Close();
  MarkDirty();
}

void Connection::OnWritable() {
  blocked_ = false;
  MarkDirty();
}

void Connection::MarkDirty() {
  if (dirty_ || closed_) return;
  dirty_ = true;
  server_->AddDirty(this);
}

void Connection::Flush() {
  dirty_ = false;
  if (closed_ || lingering_ || protocol_ == nullptr) return;
  if (!blocked_) WriteOut();
  if (closed_) return;
  CountOutput();
  protocol_->AfterFlush();
  if (closed_) return;
  if (output_.empty() && !blocked_ && !dirty_ && protocol_->Finished()) return Linger();
  UpdateReading();
}

// New output is collected where all connections do that one after the other; only what the socket does not
// take is kept with the connection.
void Connection::WriteOut() {
  ByteQueue& shared = server_->write_buffer();
  size_t written = 0;
  for (;;) {
    if (!stream_->Flush()) return Block();
    const bool kept = !output_.empty();
    ByteQueue& out = kept ? output_ : shared;
    const bool more = protocol_->FillOutput(&out, kOutputPiece);
    if (out.empty()) return;
    const ssize_t n = stream_->Write(out.data(), out.size());
    if (n == ByteStream::kBroken) {
      out.Clear();
      return Close();
    }
    if (n > 0) {
      out.Consume(static_cast<size_t>(n));
      written += static_cast<size_t>(n);
    }
    if (!out.empty()) {
      if (!kept) output_.Append(out.view());
      shared.Clear();
      return Block();
    }
    if (kept) output_.Recycle(0);
    if (!stream_->Flush()) return Block();
    if (!more) return;
    if (written >= kFlushBytesMax) return MarkDirty();
  }
}

void Connection::CountOutput() {
  const size_t sealed = tls_ == nullptr ? 0 : tls_->unsent_bytes();
  const size_t bytes = closed_ ? 0 : output_.size() + sealed;
  server_->stats.output_bytes_held += bytes - std::exchange(output_bytes_, bytes);
}

void Connection::Block() {
  blocked_ = true;
  descriptor_.WaitWritable();
}

void Connection::UpdateReading() {
  if (closed_ || (input_over_ && !lingering_)) return;
  if (turn_asked_) return descriptor_.NoteReadable();
  if (!lingering_ && protocol_ != nullptr && !protocol_->WantsInput()) return;
  if (!held_.empty() || stream_->HasPending()) return descriptor_.NoteReadable();
  descriptor_.WaitReadable();
}

void Connection::Linger() {
  input_over_ = true;
  lingering_ = true;
  protocol_->OnLost();
  if (!stream_->CloseWrite()) return Close();
  server_->loop_impl()->SetTimer(&timer_, server_->loop_impl()->now() + kLingerNanos);
  descriptor_.WaitReadable();
}

void Connection::Close() {
  if (closed_) return;
  closed_ = true;
  server_->loop_impl()->CancelTimer(&timer_);
  if (protocol_ != nullptr && !lingering_) protocol_->OnLost();
  if (tls_ != nullptr && !lingering_) tls_->SayGoodbye();
  CountOutput();
  CountHeld();
  descriptor_.Close();
  server_->Bury(this);
}

void Connection::MakeWay() {
  if (!closed_ && !lingering_ && !blocked_ && protocol_ != nullptr) {
    protocol_->GoAway();
    WriteOut();
  }
  Close();
}

void Connection::Drain() {
  if (closed_ || lingering_) return;
  if (protocol_ == nullptr) return Close();
  protocol_->Drain();
  MarkDirty();
}

}  // namespace quorate::net
