// A WebSocket (RFC 6455) on what was an HTTP/1.1 connection, the server's side: wslay does the frames, pings
// and the closing. Messages go out as text. Loop-thread only.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "net/http.h"

struct wslay_event_context;

namespace quorate::net {

// Owned by its connection (as the sink) and by whoever keeps the pointer. Methods are silent no-ops once the
// connection is gone or the socket is closed.
class WebSocket : public HttpBodySink, public std::enable_shared_from_this<WebSocket> {
 public:
  class Receiver {
   public:
    virtual ~Receiver() = default;
    // One whole message, valid during the call.
    virtual void OnMessage(std::string_view message) = 0;
    // full() was true, and there is room again.
    virtual void OnWritable() {}
    // The client has closed, has gone, or has broken the protocol. Once; not after Close().
    virtual void OnClosed() = 0;
  };

  // The client asks for an upgrade to a WebSocket.
  static bool Wanted(const HttpRequest& request);
  // Takes the connection over, with these headers in the answer; null: the request was answered with what is
  // wrong with it. The receiver must live until OnClosed or Close.
  static std::shared_ptr<WebSocket> Accept(const HttpRequest& request, HttpReply reply,
                                           const HttpHeaders& headers, size_t message_bytes_max,
                                           Receiver* receiver);
  ~WebSocket() override;
  WebSocket(const WebSocket&) = delete;
  WebSocket& operator=(const WebSocket&) = delete;

  void Send(std::string_view text);
  // After what was sent; 1000 is the normal code (RFC 6455, 7.4).
  void Close(uint16_t code, std::string_view reason);
  size_t pending_bytes() const { return reply_.pending_bytes(); }
  bool full() { return reply_.full(); }
  // As HttpReply's.
  bool HoldRequest(size_t bytes) { return reply_.HoldRequest(bytes); }
  void HoldOutput(size_t bytes) { reply_.HoldOutput(bytes); }
  bool MayTake(size_t bytes) { return reply_.MayTake(bytes); }
  // While paused, the receiver gets at most what has been read already, and the client must wait.
  void PauseReading(bool paused) { reply_.PauseBody(paused); }

  // From the connection.
  void OnBegin(HttpReply) override {}
  void OnBytes(std::string_view bytes) override;
  void OnEnd() override {}
  Part part() const override;

 private:
  WebSocket(HttpReply reply, size_t message_bytes_max, Receiver* receiver);

  struct Callbacks;  // wslay's.
  void Flush();
  void Lose();

  HttpReply reply_;
  Receiver* receiver_;  // Null once it has heard the last.
  wslay_event_context* context_ = nullptr;
  std::string_view input_;  // During OnBytes.
  const size_t message_bytes_max_;
  // The message that is being received. Not wslay's to keep, which takes a hundred bytes for each piece.
  std::string message_;
  uint64_t message_number_ = 0;
  bool mid_message_ = false;
  bool control_frame_ = false;  // The frame that is being received is no part of it.
  bool too_long_ = false;
};

}  // namespace quorate::net
