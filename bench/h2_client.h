// One HTTP/2 connection that carries gRPC calls as cheaply as nghttp2 can: the load generator's client half.
// Single-threaded; the owner polls fd() and calls OnReady().
#pragma once

#include <nghttp2/nghttp2.h>
#include <openssl/ssl.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace quorate::bench {

// A call under way. `tag`, `number`, `answered` and `sent_nanos` are the caller's.
struct Call {
  int32_t stream = 0;
  uint64_t tag = 0;
  uint64_t number = 0;
  int64_t sent_nanos = 0;
  int grpc_status = -1;
  bool answered = false;

  // Owned by the connection.
  std::string out;
  size_t out_sent = 0;
  bool out_ends = true;
  bool deferred = false;
  std::string in;
};

class Handler {
 public:
  virtual ~Handler() = default;
  virtual void OnMessage(Call* call, std::string_view message) = 0;
  // The call has ended and is gone afterwards; grpc_status is -1 when the stream was reset.
  virtual void OnEnd(Call* call) = 0;
};

// How all connections of a run get in.
struct Access {
  SSL_CTX* tls =
      nullptr;  // Null: clear text. What the server shows is not verified: this is no client of its data.
  std::string token;  // Sent with each call, unless empty.
};

class Connection {
 public:
  // Connects to 127.0.0.1; ends the program with a text when it can't. `access` must outlive it.
  Connection(uint16_t port, const Access* access, Handler* handler);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  int fd() const { return fd_; }
  bool wants_write() const { return pending_sent_ < pending_.size(); }

  // Opens a call with its first message. A unary call ends its half at once; a stream stays open for Send.
  Call* Start(std::string_view path, std::string_view message, bool unary);
  void Send(Call* call, std::string_view message);

  // Reads and writes what the socket takes.
  void OnReady();
  // Sends what was queued by Start and Send.
  void Flush();

 private:
  static ssize_t ReadBody(nghttp2_session*, int32_t, uint8_t*, size_t, uint32_t*, nghttp2_data_source*,
                          void*);
  static int OnHeader(nghttp2_session*, const nghttp2_frame*, const uint8_t*, size_t, const uint8_t*, size_t,
                      uint8_t, void*);
  static int OnData(nghttp2_session*, uint8_t, int32_t, const uint8_t*, size_t, void*);
  static int OnClose(nghttp2_session*, int32_t, uint32_t, void*);
  // Hands out the whole messages at the head of `bytes`; returns how many bytes they took.
  size_t TakeMessages(Call* call, std::string_view bytes);

  // As read() and write(); with TLS, too.
  ssize_t Read(char* out, size_t size);
  ssize_t Write(const char* data, size_t size);

  int fd_ = -1;
  const Access* access_;
  SSL* tls_ = nullptr;
  Handler* handler_;
  nghttp2_session* session_ = nullptr;
  // Every call object ever made; an ended one waits in free_ for its next use. The session knows the call of
  // a stream.
  std::vector<std::unique_ptr<Call>> calls_;
  std::vector<Call*> free_;
  std::string pending_;  // Framed bytes that the socket did not take yet, from pending_sent_ on.
  size_t pending_sent_ = 0;
};

}  // namespace quorate::bench
