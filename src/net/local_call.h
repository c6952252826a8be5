// A call that comes from this process instead of an HTTP/2 stream: what a gateway makes of a request in
// another form. It runs the method's registered handler, which can't tell it from a client's call: metadata,
// deadline, cancellation, back-pressure and limits are the same. Only a certificate it has none.
//
// Loop-thread only. The receiver lives on the same loop, and is called at the end of a round, never from
// within a method of the handler or of this class.
#pragma once

#include <chrono>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "net/call_carrier.h"
#include "net/h2_stream.h"
#include "net/http.h"
#include "net/server.h"

namespace quorate::net {

// Invariants: (1) while something is owed to the receiver or the handler (responses, the end, OnWritable),
// the server's list has this call; (2) the receiver is not called after OnEnd or Abandon; (3) it has been
// told of queued_bytes_, which count as its client's.
class LocalCall : public CallCarrier, public std::enable_shared_from_this<LocalCall> {
 public:
  class Receiver {
   public:
    virtual ~Receiver() = default;
    virtual void OnResponse(std::string_view message) = 0;
    // The call is over; the last call on the receiver, which may abandon and drop the LocalCall in it.
    virtual void OnEnd(Code code, std::string_view message) = 0;
    // Of what it was given: bytes that its own client has not taken yet.
    virtual size_t pending_bytes() const = 0;
    // Its client has so much to take that services which can wait should.
    virtual bool full() = 0;
    // Whether its client may be given so many bytes more. If not, the call ends with kResourceExhausted.
    virtual bool MayTake(size_t bytes) = 0;
    // So many bytes of responses wait for it by now.
    virtual void OnQueued(size_t bytes) = 0;
    // So much is kept of the request, and the messages that were sent, by now. False: its client makes us
    // keep too much.
    virtual bool OnHeld(size_t bytes) = 0;
    // waits() has ended: the service goes on.
    virtual void OnWaitOver() {}
  };

  struct Request {
    std::string path;      // "/package.Service/Method"
    HttpHeaders metadata;  // Names in lower case.
    std::string peer;      // As CallHandle::peer().
    std::optional<std::chrono::nanoseconds> timeout;
  };

  // The receiver must live until OnEnd or Abandon(). A method that is not registered ends the call
  // with kUnimplemented.
  static std::shared_ptr<LocalCall> Open(Server* server, Request request, Receiver* receiver);
  // Cancels a call that has not ended.
  ~LocalCall() override;
  LocalCall(const LocalCall&) = delete;
  LocalCall& operator=(const LocalCall&) = delete;

  // A request message; a unary method takes one. After the call's end nothing happens.
  void Send(std::string_view message);
  void HalfClose();
  // The service was told that it should wait for the answers to be taken: who can should send it nothing more
  // meanwhile.
  bool waits() const { return stream_->wants_writable; }
  // The receiver goes, and is not called any more; a call that has not ended is cancelled. To be called
  // before the pointer is dropped: the call itself may be in the middle of Deliver().
  void Abandon();

  // From the handle.
  char* RespondInPlace(H2Stream* s, size_t size) override;
  char* SendInPlace(H2Stream* s, size_t size) override;
  bool Full(H2Stream* s) override;
  bool Hold(H2Stream* s, size_t bytes) override;
  void Finish(H2Stream* s, Code code, std::string_view message) override;
  size_t pending_bytes(const H2Stream* s) const override;
  std::string_view peer() const override { return peer_; }
  std::optional<std::string_view> tls_common_name() const override { return std::nullopt; }

  // What may be delivered in what is left of a round, by all calls. One response of any size may go beyond
  // it.
  struct Round {
    size_t responses = 0;
    size_t bytes = 0;
    bool over() const { return responses == 0 || bytes == 0; }
  };
  // From the server, at the end of a round: hands over what is queued, or a part of it: of the responses at
  // most kResponsesPerRound and *left, which is lessened by them.
  static constexpr size_t kResponsesPerRound = 256;
  void Deliver(Round* left);
  // Whether Deliver() has something to do now.
  bool due() const {
    return !responses_.empty() || (stream_->open ? overfull_ : !end_told_) || WritableDue();
  }

 private:
  LocalCall(ServerImpl* server, std::string peer, Receiver* receiver);

  void Start(const Request& request);
  // The receiver's client has taken enough for the handler to go on.
  bool WritableDue() const;
  char* Append(size_t size);
  void Unqueue(size_t bytes);
  // Whether the receiver takes a response of that size.
  bool MayAppend(size_t size);
  void Owe();
  // Ends the call from our side, and tells its owner.
  void Refuse(Code code, std::string_view message);
  void EndCall(Code code, std::string_view message);

  ServerImpl* const server_;
  Receiver* receiver_;  // Null once abandoned.
  const std::string peer_;
  H2Stream* stream_;
  std::deque<std::string> responses_;
  size_t queued_bytes_ = 0;
  size_t metadata_bytes_ = 0;
  bool owed_ = false;      // In the server's list.
  bool overfull_ = false;  // A message was refused: the call is to be ended.
  bool end_told_ = false;  // To the receiver.
  Code code_ = Code::kOk;
  std::string message_;
};

}  // namespace quorate::net
