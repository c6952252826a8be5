// An outgoing connection: dials the addresses of an endpoint in turn, does the TLS handshake if the endpoint
// asks for it, then moves bytes.
//
// Owner: the loop's thread. Held by shared_ptr; the callbacks may drop the last one.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "net/byte_queue.h"
#include "net/descriptor.h"
#include "net/loop.h"
#include "net/tls_stream.h"
#include "peer/endpoint.h"
#include "peer/resolver.h"
#include "peer/session_maker.h"

namespace quorate::peer {

// As Go's HTTP client has it.
constexpr int64_t kHandshakeNanos = 10'000'000'000;

class ClientSocket : public net::Descriptor::Events, public std::enable_shared_from_this<ClientSocket> {
 public:
  // None is called from within a call into the socket, and none after Close().
  class Handler {
   public:
    virtual ~Handler() = default;
    virtual void OnConnected() = 0;
    // Views the socket's buffer during the call.
    virtual void OnBytes(std::string_view bytes) = 0;
    // It is over, as if by Close(). OK: the other sent all it had and closed.
    virtual void OnClosed(const Status& status) = 0;
    // What was written has gone into the socket after it had been blocked.
    virtual void OnDrained() {}
  };

  // `tls` is for endpoints that ask for it; null: they can't be dialed.
  ClientSocket(net::Loop* loop, Endpoint endpoint, std::shared_ptr<net::TlsContext> tls);
  ~ClientSocket() override;

  // Once. Each of the addresses gets its share of the time; the handshake has kHandshakeNanos more.
  // `resolver` and `sessions` must live until it is connected or closed.
  void Dial(Resolver* resolver, SessionMaker* sessions, int64_t timeout_nanos, Handler* handler);
  // Of a connected one that was kept: nobody else's any more.
  void set_handler(Handler* handler) { handler_ = handler; }
  // Queues bytes; they go at Flush().
  void Write(std::string_view bytes) { out_.Append(bytes); }
  void Flush();
  void Close();

  size_t pending_bytes() const { return out_.size(); }
  bool connected() const { return connected_; }
  bool closed() const { return closed_; }
  const Endpoint& endpoint() const { return endpoint_; }
  net::Loop* loop() const { return loop_; }
  // When bytes last came or went.
  int64_t last_progress() const { return last_progress_; }

 private:
  void OnReadable() override;
  void OnWritable() override;
  void OnResolved(StatusOr<std::vector<SocketAddress>> addresses);
  void ConnectNext(const Status& last);
  Status Connect(const SocketAddress& address);
  void OnConnectResult();
  void GetSession();
  void BeginHandshake(StatusOr<net::TlsSession> session);
  void Shake();
  void OnReady();
  void WaitReadable();
  void WriteOut();
  void Fail(const Status& status);

  net::Loop* const loop_;
  const Endpoint endpoint_;
  const std::shared_ptr<net::TlsContext> tls_context_;
  Handler* handler_ = nullptr;
  SessionMaker* sessions_ = nullptr;
  std::vector<SocketAddress> addresses_;
  size_t next_address_ = 0;
  int64_t dial_timeout_ = 0;
  net::Loop::TimerId timer_ = 0;
  std::unique_ptr<net::Descriptor> descriptor_;
  std::unique_ptr<net::TlsStream> tls_;
  net::ByteStream* stream_ = nullptr;  // Null until the address has answered.
  net::ByteQueue out_;
  int64_t last_progress_ = 0;
  bool connected_ = false;
  bool blocked_ = false;
  bool closed_ = false;
};

}  // namespace quorate::peer
