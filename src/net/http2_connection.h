// HTTP/2 on a connection: nghttp2 does frames, HPACK and flow control; here are the calls on top of it.
// Sources: RFC 9113; gRPC's PROTOCOL-HTTP2.md; grpc-go's http2_server.go for the ping rule and the texts.
#pragma once

#include <nghttp2/nghttp2.h>

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "net/call_carrier.h"
#include "net/connection.h"
#include "net/h2_header_memo.h"
#include "net/h2_stream.h"
#include "net/http.h"

namespace quorate::net {

// Invariants: (1) every stream that nghttp2 knows with user data is in the list at streams_, and no other;
// (2) queued_bytes_ is the sum of out.size() over them; (3) request_bytes_ that of head_bytes,
// reader.buffered_bytes(), body, part_bytes and held_bytes; (4) both are parts of the server's sums in
// ServerStats; (5) known_bytes_ is 0, or the first chunk_bytes_ of the next OnBytes are chunk_stream_'s.
class Http2Connection : public Protocol, public CallCarrier {
 public:
  Http2Connection(Connection* connection, ServerImpl* server);
  ~Http2Connection() override;

  bool OnBytes(std::string_view* bytes) override;
  bool OnEndOfInput() override { return false; }
  bool FillOutput(ByteQueue* out, size_t limit) override;
  void AfterFlush() override;
  bool WantsInput() const override;
  bool Finished() const override;
  bool Idle() const override { return stream_count_ == 0; }
  void OnLost() override;
  void Drain() override;
  void GoAway() override { FinalGoAway(); }

  // The calls' side.
  char* RespondInPlace(H2Stream* s, size_t size) override;
  char* SendInPlace(H2Stream* s, size_t size) override;
  bool Full(H2Stream* s) override;
  bool Hold(H2Stream* s, size_t bytes) override;
  void Finish(H2Stream* s, Code code, std::string_view message) override;
  size_t pending_bytes(const H2Stream* s) const override {
    return s->out.size() + connection_->output_bytes();
  }
  std::string_view peer() const override { return connection_->peer(); }
  std::optional<std::string_view> tls_common_name() const override { return connection_->tls_common_name(); }

  // The exchanges' side.
  void BeginHttp(H2Stream* s, int status, const HttpHeaders& headers, std::optional<size_t> length);
  void WriteHttp(H2Stream* s, std::string_view bytes);
  void EndHttp(H2Stream* s);
  void ResetHttp(H2Stream* s);
  void PauseBody(H2Stream* s, bool paused);

 private:
  friend class Http2Exchange;  // Its side of the sums.

  static const nghttp2_session_callbacks* Callbacks();
  static const nghttp2_option* Options();
  static int OnBeginFrame(nghttp2_session*, const nghttp2_frame_hd* head, void* self);
  static int OnBeginHeaders(nghttp2_session*, const nghttp2_frame* frame, void* self);
  static int OnHeader(nghttp2_session*, const nghttp2_frame* frame, nghttp2_rcbuf* name_buffer,
                      nghttp2_rcbuf* value_buffer, uint8_t flags, void* self);
  static int OnDataChunk(nghttp2_session*, uint8_t flags, int32_t id, const uint8_t* data, size_t size,
                         void* self);
  static int OnFrameRecv(nghttp2_session*, const nghttp2_frame* frame, void* self);
  static int OnFrameSend(nghttp2_session*, const nghttp2_frame* frame, void* self);
  static int OnStreamClose(nghttp2_session*, int32_t id, uint32_t error_code, void* self);
  static ssize_t ReadData(nghttp2_session*, int32_t id, uint8_t* buffer, size_t length, uint32_t* flags,
                          nghttp2_data_source* source, void* self);
  static int SendData(nghttp2_session*, nghttp2_frame* frame, const uint8_t* head, size_t length,
                      nghttp2_data_source* source, void* self);

  // Callbacks come in bursts for one stream, so the newest is remembered.
  H2Stream* Find(int32_t id) const {
    if (newest_ != nullptr && newest_->id == id) return newest_;
    return static_cast<H2Stream*>(nghttp2_session_get_stream_user_data(session_, id));
  }
  // Whether the turn is over. Asked before everything that may be work; the clock is looked at only if there
  // was some since it was asked last, so the first of a turn is always done.
  bool WorkEnds();
  // DATA that the turn before has left. False: there is still some.
  bool TakeRest(std::string_view* bytes);
  void KeepRest(std::string_view* bytes);
  // Hands it to its stream, and gives its windows back as far as it was taken; the rest is in chunk_rest_.
  bool TakeChunk(int32_t id, std::string_view bytes);
  void SubmitSettings();
  // http2_connection.cc: the session.
  H2Stream* AddStream(int32_t id);
  void RemoveStream(H2Stream* s);
  void RefuseMalformed(H2Stream* s);
  void TakeField(H2Stream* s, nghttp2_rcbuf* name, nghttp2_rcbuf* value, bool trailer);
  void TakeHeader(H2Stream* s, std::string_view name, std::string_view value);
  void TakePath(H2Stream* s, std::string_view path);
  void TakeOdd(H2Stream* s, std::string* field, std::string_view value);
  void TakeSubtype(H2Stream* s, std::string_view content_type);
  void RefuseStream(H2Stream* s, uint32_t error);
  void OnPing(const nghttp2_ping& ping, bool ack);
  void OnTimer();
  void ArmTimer();
  void FinalGoAway();

  // h2_limits.cc: what a client may hold and spend.
  // Takes the cost of one frame that moves nothing off what the client may spend on those. False: it is
  // spent.
  bool ChargeIdleFrame(int64_t cost);
  void EarnIdleFrames();
  // The counts of what is held, here and in the server.
  void HoldRequest(size_t before, size_t after);
  void HoldOutput(size_t added);
  void ReleaseOutput(size_t taken);
  bool HoldsTooMuchRequest() const;
  bool HoldsTooMuchOutput(size_t more) const;
  // Whether services that can wait should: sooner, so that MayQueue has room for the message that they have
  // begun.
  bool ShouldWait();
  // Before anything is queued for a stream that has begun its answer. False: its client holds too much, the
  // stream is reset, and its owner hears of it when the reset has left.
  bool MayQueue(H2Stream* s, size_t size);

  // h2_calls.cc: gRPC on it.
  void Dispatch(H2Stream* s);
  void DispatchGrpc(H2Stream* s);
  void OpenCall(H2Stream* s);
  void RefuseUnread(H2Stream* s);
  // These give back what is left at the end of the turn.
  std::string_view TakeData(H2Stream* s, std::string_view bytes);
  std::string_view TakeMessages(H2Stream* s, std::string_view bytes);
  void CollectBody(H2Stream* s, std::string_view bytes);
  void OnHalfClose(H2Stream* s);
  void EndCall(H2Stream* s);
  // Ends the call from our side and tells its owner.
  void Refuse(H2Stream* s, Code code, std::string_view message);
  // Tells the call's owner that it is over.
  void Cancel(H2Stream* s, Code code);
  void SubmitHead(H2Stream* s);
  void SubmitTrailersOnly(H2Stream* s);
  void SubmitTrailers(H2Stream* s);
  void ResumeData(H2Stream* s);
  void NoteEarlyEnd(H2Stream* s);
  char* AppendMessage(H2Stream* s, size_t size);

  // h2_exchange.cc: plain HTTP on it.
  HttpRequest BuildHttp(const H2Stream& s) const;
  HttpReply BeginExchange(H2Stream* s);
  void DispatchHttp(H2Stream* s);
  // The headers are there: asks who takes the body.
  void OfferBody(H2Stream* s);
  void TakeBody(H2Stream* s, std::string_view bytes);
  // The body is whole.
  void EndRequest(H2Stream* s);
  void EndBody(H2Stream* s);
  void CountPart(H2Stream* s, size_t bytes);
  // The answer has left, the client's half is open. A client in the middle of a body may take a reset for a
  // failure before it has read the answer, so plain HTTP gets some time to end by itself.
  void EndEarly(H2Stream* s);
  void Linger(H2Stream* s, int64_t nanos);
  void EndLingering(H2Stream* s);
  void EndAllLingering();
  void ResetEarly(H2Stream* s);
  void RefuseHttp(H2Stream* s, int status, std::string_view text);
  void QueueHttp(H2Stream* s, std::string_view bytes);

  Connection* const connection_;
  ServerImpl* const server_;
  nghttp2_session* session_ = nullptr;
  H2Stream* streams_ = nullptr;
  H2Stream* newest_ = nullptr;  // Null once removed.
  size_t stream_count_ = 0;
  size_t queued_bytes_ = 0;
  size_t request_bytes_ = 0;
  ByteQueue* fill_target_ = nullptr;  // During FillOutput.
  bool worked_ = false;               // A service was called since the clock was looked at.
  bool work_over_ = false;            // In this OnBytes.
  bool paused_ = false;               // nghttp2 was told to stop where it is.
  std::string_view chunk_rest_;       // During OnBytes: of a chunk of DATA, what this turn does not take.
  int32_t chunk_stream_ = 0;          // Between two: whose it is,
  size_t chunk_bytes_ = 0;            // how much,
  size_t known_bytes_ = 0;            // and with its padding, that is, what nghttp2 has seen.
  bool failed_ = false;               // Close after the output that is left.
  bool lost_ = false;
  // Streams answered before the client half-closed: see EndEarly.
  size_t early_ends_ = 0;
  struct Owed {
    H2Stream* stream;
    uint64_t generation;
  };
  std::vector<Owed> writable_owed_;

  // What the client may still spend on frames that move nothing, as of the time behind it: see h2_limits.cc.
  static constexpr int64_t kIdleFrameBurst = 10'000;
  int64_t idle_frame_credit_ = kIdleFrameBurst;
  int64_t idle_frame_credit_at_;

  H2HeaderMemo header_memo_;
  // The path last seen and its method: clients repeat themselves.
  std::string last_path_;
  const Method* last_method_ = nullptr;

  // Keepalive and drain.
  Timer timer_;
  int64_t ping_sent_at_ = 0;  // 0: none is under way.
  int64_t last_ping_at_ = 0;  // From the client.
  int ping_strikes_ = 0;
  bool sent_since_ping_ = false;
  bool draining_ = false;
  bool final_goaway_sent_ = false;
  int64_t final_goaway_at_ = 0;
};

// A plain HTTP request on an HTTP/2 stream.
class Http2Exchange : public HttpExchange {
 public:
  Http2Exchange(Http2Connection* connection, H2Stream* stream) : connection_(connection), stream_(stream) {}
  ~Http2Exchange() override;
  void Begin(int status, const HttpHeaders& headers, std::optional<size_t> length) override;
  void Write(std::string_view bytes) override;
  void End() override;
  size_t pending_bytes() const override;
  bool full() override { return stream_ != nullptr && connection_->Full(stream_); }
  bool closed() const override { return stream_ == nullptr; }
  bool HoldRequest(size_t bytes) override;
  void HoldOutput(size_t bytes) override;
  bool MayTake(size_t bytes) override;
  void PauseBody(bool paused) override {
    if (stream_ != nullptr) connection_->PauseBody(stream_, paused);
  }
  // The stream is gone.
  void Lose();

 private:
  void Detach();

  Http2Connection* connection_;
  H2Stream* stream_;  // Null once ended or lost.
  bool begun_ = false;
  size_t held_request_ = 0;  // By the service; in the connection's sums.
  size_t held_output_ = 0;
};

}  // namespace quorate::net
