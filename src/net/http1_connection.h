// HTTP/1.0 and 1.1 on a connection; Boost.Beast parses. One request at a time: pipelined ones wait in the
// input.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "net/byte_queue.h"
#include "net/connection.h"
#include "net/http.h"
#include "net/timer_heap.h"

namespace quorate::net {

class Http1Exchange;
class Http1Parser;

class Http1Connection : public Protocol {
 public:
  Http1Connection(Connection* connection, ServerImpl* server);
  ~Http1Connection() override;

  bool OnBytes(std::string_view* bytes) override;
  bool OnEndOfInput() override;
  bool FillOutput(ByteQueue* out, size_t limit) override;
  void AfterFlush() override;
  bool WantsInput() const override;
  bool Finished() const override { return closing_ && exchange_ == nullptr && out_.empty(); }
  bool Idle() const override { return exchange_ == nullptr && sink_ == nullptr && out_.empty(); }
  void OnLost() override;
  void Drain() override;
  void GoAway() override {}  // Its closing says it.

  // The exchange's side.
  void Begin(int status, const HttpHeaders& headers, std::optional<size_t> length);
  void Write(std::string_view bytes);
  // The exchange is over; `complete` is false when its answer broke off.
  void End(bool complete);
  size_t pending_bytes() const { return out_.size() + connection_->output_bytes(); }
  bool Full();
  bool HoldRequest(size_t bytes);
  void HoldOutput(size_t bytes);
  bool MayTake(size_t bytes) const;
  void PauseBody(bool paused);
  bool TakeOver(const HttpHeaders& headers, std::shared_ptr<HttpBodySink> sink);

 private:
  // Nothing is held outside for an exchange that is over.
  void DropHeld() { held_request_ = held_output_ = 0; }
  // For others to hold less; AfterFlush is called then.
  bool ShouldWait();
  // Brings the server's sums up to date with what is held here.
  void CountHeld();
  // Refuses what comes in if that is more than this client's share.
  void ShedInput();
  // Ends the connection at the end of the round, without what has not left yet: whoever writes is in the
  // middle of something, and must not be taken down by it.
  void BreakOff();
  // Parses and dispatches as long as there are whole requests and no exchange is under way, or the body of
  // the one under way goes to a sink, and the turn is not over. In a turn only.
  void ProcessInput();
  // Parses what is there of one request; true when it was dispatched.
  bool ParseOne();
  // Of a connection that was taken over.
  void TakeRaw();
  // Sets timer_ for what the sink has begun, or for the next of the body.
  void TimePart();
  void TimeBody();
  // The headers of a request are there: who takes its body? False: nobody.
  bool OnHeader();
  // The request being parsed, without its body.
  HttpRequest BuildRequest();
  // Of the request being parsed.
  HttpReply BeginExchange(const HttpRequest& request);
  void EndBody();
  void LoseExchange();
  void SetInputTimer();
  void Dispatch();
  void RefuseInput(int status, std::string_view detail = {});
  void AppendHead(int status, std::string_view reason, const HttpHeaders& headers,
                  std::optional<size_t> length, bool keep_alive);

  Connection* const connection_;
  ServerImpl* const server_;
  std::unique_ptr<Http1Parser> parser_;  // Of the request being read.
  std::shared_ptr<HttpBodySink> sink_;   // Of the body being read; then exchange_ is set or closing_ true.
  Http1Exchange* exchange_ = nullptr;    // The request being answered.
  InputQueue in_;
  ByteQueue out_;
  Timer timer_;                       // Of the request being read.
  size_t counted_request_bytes_ = 0;  // Here in the server's sums.
  size_t counted_output_bytes_ = 0;
  size_t held_request_ = 0;  // By the service, for the exchange.
  size_t held_output_ = 0;
  uint64_t timed_part_ = 0;  // Of the sink, by TimePart(): timer_ is set for this one. 0: for none.
  bool processing_ = false;
  bool input_waits_ = false;  // in_ may hold a whole request, or more for the sink.
  bool continue_sent_ = false;
  bool header_taken_ = false;
  bool body_paused_ = false;
  bool closing_ = false;  // No further request is taken.
  bool draining_ = false;
  bool lost_ = false;
  bool broken_off_ = false;
  // Of the request being answered:
  bool keep_alive_ = true;
  bool http10_ = false;
  bool head_request_ = false;
  bool chunked_ = false;
  bool no_body_ = false;
  bool raw_ = false;  // Taken over: no HTTP any more.
  bool wants_writable_ = false;
};

class Http1Exchange : public HttpExchange {
 public:
  explicit Http1Exchange(Http1Connection* connection) : connection_(connection) {}
  ~Http1Exchange() override;
  void Begin(int status, const HttpHeaders& headers, std::optional<size_t> length) override;
  void Write(std::string_view bytes) override;
  void End() override;
  size_t pending_bytes() const override { return connection_ == nullptr ? 0 : connection_->pending_bytes(); }
  bool full() override { return connection_ != nullptr && connection_->Full(); }
  bool closed() const override { return connection_ == nullptr; }
  bool HoldRequest(size_t bytes) override {
    return connection_ == nullptr || connection_->HoldRequest(bytes);
  }
  void HoldOutput(size_t bytes) override {
    if (connection_ != nullptr) connection_->HoldOutput(bytes);
  }
  bool MayTake(size_t bytes) override { return connection_ == nullptr || connection_->MayTake(bytes); }
  void PauseBody(bool paused) override {
    if (connection_ != nullptr) connection_->PauseBody(paused);
  }
  bool TakeOver(const HttpHeaders& headers, std::shared_ptr<HttpBodySink> sink) override {
    if (connection_ == nullptr || begun_) return false;
    begun_ = connection_->TakeOver(headers, std::move(sink));
    return begun_;
  }
  bool begun() const { return begun_; }
  // The connection is gone.
  void Lose();

 private:
  Http1Connection* connection_;  // Null once ended or lost.
  bool begun_ = false;
};

}  // namespace quorate::net
