// What a client may make us hold and do on one HTTP/2 connection, beyond what nghttp2 limits itself.
#include <algorithm>
#include <string_view>
#include <utility>

#include "base/check.h"
#include "net/http2_connection.h"
#include "net/loop_impl.h"
#include "net/server_impl.h"

namespace quorate::net {
namespace {

// Frames that move neither a request nor an answer (SETTINGS, PRIORITY, WINDOW_UPDATE, empty DATA;
// unknown ones are skipped by nghttp2 and cost no more than their bytes): kIdleFrameBurst at once, so many a
// second, and these more for each frame with an answer, since a client that reads returns a window for its
// stream and one for the connection. Our resets of streams for what the client did wrong count like its own
// frames: made to reset us, it would have a rapid reset without sending one.
constexpr int64_t kIdleFramesPerSecond = 1'000;
constexpr int64_t kIdleFramesPerAnswer = 2;
// SETTINGS may change the window of every open stream: so many streams count as one frame more.
constexpr size_t kStreamsPerIdleFrame = 64;
constexpr std::string_view kTooManyIdleFrames = "too_many_idle_frames";
// What a service keeps of one call's requests is not refused up to this size, however much others hold;
// kStreamsHardMax of them are 50 MB.
constexpr size_t kHeldAlwaysBytes = 1024;

}  // namespace

// Unsigned wrap-around in between is harmless: the sums are right in the end.
void Http2Connection::HoldRequest(size_t before, size_t after) {
  request_bytes_ += after - before;
  server_->stats.request_bytes_held += after - before;
}

bool Http2Connection::Hold(H2Stream* s, size_t bytes) {
  const size_t before = std::exchange(s->held_bytes, bytes);
  HoldRequest(before, bytes);
  return bytes <= std::max(before, kHeldAlwaysBytes) || !HoldsTooMuchRequest();
}

void Http2Connection::HoldOutput(size_t added) {
  queued_bytes_ += added;
  server_->stats.output_bytes_held += added;
}

void Http2Connection::ReleaseOutput(size_t taken) {
  queued_bytes_ -= taken;
  server_->stats.output_bytes_held -= taken;
}

bool Http2Connection::HoldsTooMuchRequest() const {
  const ServerOptions& options = server_->options();
  return request_bytes_ > options.request_bytes_max ||
         server_->OverShare(request_bytes_, server_->stats.request_bytes_held,
                            options.request_bytes_in_all_max);
}

// What is queued decides, not the answer that comes on top: one of any size is for a client that reads.
bool Http2Connection::HoldsTooMuchOutput(size_t more) const {
  const size_t held = queued_bytes_ + connection_->output_bytes();
  return held > server_->options().output_bytes_max || server_->TooMuchOutput(held + more);
}

bool Http2Connection::ShouldWait() {
  const ServerOptions& options = server_->options();
  const size_t held = queued_bytes_ + connection_->output_bytes();
  if (held > options.output_bytes_max) return true;
  if (!server_->OverShare(2 * held, server_->stats.output_bytes_held, options.output_bytes_in_all_max))
    return false;
  server_->WakeWhenLessIsHeld(connection_);
  return true;
}

// Services that ask full() first stop in time. This is for those that can't, and for whoever provokes their
// answers: here everything ends that is neither a call's first answer nor its status.
//
// A call's client that has read everything gets one message more, whatever the others hold, as long as that
// is not the double of what all may: it is not to lose its watches for them.
bool Http2Connection::MayQueue(H2Stream* s, size_t size) {
  if (s->overfull) return false;
  const bool reads = s->kind != H2Stream::Kind::kHttp && queued_bytes_ + connection_->output_bytes() == 0 &&
                     server_->stats.output_bytes_held / 2 <= server_->options().output_bytes_in_all_max;
  if (size <= kAnswerBytesMax && (reads || !HoldsTooMuchOutput(size))) return true;
  s->overfull = true;
  // gRPC clients read it as INTERNAL, upon which etcd's begin their watches anew where they were; after the
  // other one they give them up.
  const bool grpc = s->kind != H2Stream::Kind::kHttp;
  nghttp2_submit_rst_stream(session_, NGHTTP2_FLAG_NONE, s->id,
                            grpc ? NGHTTP2_INTERNAL_ERROR : NGHTTP2_ENHANCE_YOUR_CALM);
  connection_->MarkDirty();
  return false;
}

bool Http2Connection::ChargeIdleFrame(int64_t cost) {
  const int64_t now = server_->loop_impl()->now();
  // Whole frames only, so that nothing is lost however often this is asked.
  const int64_t gained = (now - idle_frame_credit_at_) / (1'000'000'000 / kIdleFramesPerSecond);
  idle_frame_credit_at_ += gained * (1'000'000'000 / kIdleFramesPerSecond);
  idle_frame_credit_ = std::min(idle_frame_credit_ + gained, kIdleFrameBurst) - cost;
  if (idle_frame_credit_ >= 0 || failed_) return !failed_;
  nghttp2_submit_goaway(session_, NGHTTP2_FLAG_NONE, nghttp2_session_get_last_proc_stream_id(session_),
                        NGHTTP2_ENHANCE_YOUR_CALM,
                        reinterpret_cast<const uint8_t*>(kTooManyIdleFrames.data()),
                        kTooManyIdleFrames.size());
  failed_ = true;
  return false;
}

int Http2Connection::OnBeginFrame(nghttp2_session*, const nghttp2_frame_hd* head, void* self) {
  auto* c = static_cast<Http2Connection*>(self);
  int64_t cost = 1;
  switch (head->type) {
    case NGHTTP2_HEADERS:
    case NGHTTP2_CONTINUATION:  // Limited by kContinuationsMax.
    case NGHTTP2_RST_STREAM:    // Limited by kResetsPerSecond.
      return 0;
    case NGHTTP2_DATA:
      if (head->length > 0 || (head->flags & NGHTTP2_FLAG_END_STREAM) != 0) return 0;
      break;
    case NGHTTP2_SETTINGS:
      cost += static_cast<int64_t>(c->stream_count_ / kStreamsPerIdleFrame);
      break;
    default:
      break;
  }
  return c->ChargeIdleFrame(cost) ? 0 : NGHTTP2_ERR_CALLBACK_FAILURE;
}

void Http2Connection::EarnIdleFrames() {
  idle_frame_credit_ = std::min(idle_frame_credit_ + kIdleFramesPerAnswer, kIdleFrameBurst);
}

bool Http2Connection::WorkEnds() {
  if (!work_over_ && std::exchange(worked_, false)) work_over_ = connection_->TurnIsOver();
  return work_over_;
}

// nghttp2 passes what lies in its input, and counts all of a chunk, and what pads its frame, as taken.
void Http2Connection::KeepRest(std::string_view* bytes) {
  const std::string_view rest = std::exchange(chunk_rest_, {});
  if (rest.empty()) return;
  QUORATE_CHECK(rest.data() + rest.size() <= bytes->data());
  chunk_bytes_ = rest.size();
  known_bytes_ = static_cast<size_t>(bytes->data() - rest.data());
  *bytes = {rest.data(), known_bytes_ + bytes->size()};
}

bool Http2Connection::TakeRest(std::string_view* bytes) {
  if (known_bytes_ == 0) return true;
  QUORATE_CHECK(bytes->size() >= known_bytes_);
  if (!TakeChunk(chunk_stream_, bytes->substr(0, chunk_bytes_))) failed_ = true;
  const size_t left = std::exchange(chunk_rest_, {}).size();
  const size_t done = left > 0 ? chunk_bytes_ - left : known_bytes_;
  bytes->remove_prefix(done);
  known_bytes_ -= done;
  chunk_bytes_ = left;
  return left == 0;
}

int Http2Connection::OnDataChunk(nghttp2_session*, uint8_t, int32_t id, const uint8_t* data, size_t size,
                                 void* self) {
  auto* c = static_cast<Http2Connection*>(self);
  if (!c->TakeChunk(id, {reinterpret_cast<const char*>(data), size})) return NGHTTP2_ERR_CALLBACK_FAILURE;
  c->paused_ = !c->chunk_rest_.empty();
  if (!c->paused_) return 0;
  c->chunk_stream_ = id;
  return NGHTTP2_ERR_PAUSE;
}

bool Http2Connection::TakeChunk(int32_t id, std::string_view bytes) {
  H2Stream* s = Find(id);
  chunk_rest_ = s == nullptr ? std::string_view() : TakeData(s, bytes);
  const size_t taken = bytes.size() - chunk_rest_.size();
  if (s == nullptr || !s->body_paused) return nghttp2_session_consume(session_, id, taken) == 0;
  s->unreturned += taken;
  return nghttp2_session_consume_connection(session_, taken) == 0;
}

}  // namespace quorate::net
