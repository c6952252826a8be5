// HTTP/1.1 requests to other members. One HttpCall is one request and its answer, read as it comes;
// HttpClient keeps connections for the next call and resolves names.
//
// Owner: the loop's thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/status.h"
#include "net/byte_queue.h"
#include "net/http.h"
#include "net/loop.h"
#include "peer/client_socket.h"
#include "peer/endpoint.h"
#include "peer/resolver.h"
#include "peer/session_maker.h"

namespace quorate::peer {

struct HttpHead {
  int status = 0;
  net::HttpHeaders headers;

  // The first of that name, compared without case; empty if there is none.
  std::string_view header(std::string_view name) const;
};

struct ClientRequest {
  std::string method = "GET";
  std::string target = {};  // "/version"
  net::HttpHeaders headers = {};
  std::string body = {};
  bool streams_body = false;  // Chunked: the body comes by WriteBody, `body` is not used.
  bool may_reuse = true;      // A kept connection may serve it, and its connection be kept.
  int64_t dial_timeout_nanos = 1'000'000'000;
  // Longest silence: nothing comes, and nothing of ours is taken.
  int64_t idle_timeout_nanos = 5'000'000'000;
};

class HttpClient;

class HttpCall : public ClientSocket::Handler, public std::enable_shared_from_this<HttpCall> {
 public:
  // None is called from within a call into the HttpCall, and none after Cancel(). They may drop the call.
  class Handler {
   public:
    virtual ~Handler() = default;
    virtual void OnHead(const HttpHead& head) = 0;
    // Views the socket's buffer during the call.
    virtual void OnBody(std::string_view bytes) = 0;
    // The answer is whole. Last call.
    virtual void OnEnd() = 0;
    // It will not become whole. Last call.
    virtual void OnFailed(const Status& status) = 0;
    // pending_bytes() is 0 after it was not, with streams_body.
    virtual void OnDrained() {}
  };

  static constexpr size_t kHeaderBytesMax = 32 * 1024;

  HttpCall(HttpClient* client, ClientRequest request, Handler* handler);
  ~HttpCall() override;

  // With streams_body: the next bytes of the body, and its end. They may come before the connection stands.
  void WriteBody(std::string_view bytes);
  void EndBody();
  size_t pending_bytes() const;
  void Cancel();

 private:
  friend class HttpClient;
  struct Parser;
  struct Body;

  void Start(Endpoint endpoint);
  void Dial();
  void SendRequest();
  void ArmTimer();
  void OnTimer();
  void Parse();
  // Of what the parser left over: what will never become a whole head or chunk is refused.
  static constexpr size_t kLeftOverMax = 64 * 1024;
  void TakeHead();
  void FinishAnswer();
  void Fail(const Status& status);

  void OnConnected() override;
  void OnBytes(std::string_view bytes) override;
  void OnClosed(const Status& status) override;
  void OnDrained() override;

  HttpClient* client_;  // Null when the call is over.
  const ClientRequest request_;
  Handler* handler_;
  Endpoint endpoint_;
  std::shared_ptr<ClientSocket> socket_;
  bool reused_ = false;  // The connection was kept from an earlier call.
  bool sent_ = false;
  bool body_ended_ = true;
  std::string early_body_;  // Before the connection stands; framed.
  std::unique_ptr<Parser> parser_;
  net::ByteQueue in_;
  HttpHead head_;
  bool head_taken_ = false;
  bool answered_ = false;  // Bytes of the answer came.
  net::Loop::TimerId timer_ = 0;
};

class HttpClient {
 public:
  // Kept connections: for so long (etcd closes after 5 s), and so many to one address.
  static constexpr std::chrono::nanoseconds kKeepAlive = std::chrono::seconds(3);
  static constexpr size_t kKeptMax = 8;

  // `tls`: see set_tls.
  explicit HttpClient(net::Loop* loop, std::shared_ptr<net::TlsContext> tls = nullptr)
      : loop_(loop), tls_(std::move(tls)), resolver_(loop), sessions_(loop) {}
  // All calls must be over, cancelled or dropped.
  ~HttpClient();
  HttpClient(const HttpClient&) = delete;
  HttpClient& operator=(const HttpClient&) = delete;

  // `handler` must live until the call is over or cancelled; dropping the call cancels it.
  std::shared_ptr<HttpCall> Start(const Endpoint& endpoint, ClientRequest request,
                                  HttpCall::Handler* handler);
  // For https from now on; null: no https.
  void set_tls(std::shared_ptr<net::TlsContext> tls) { tls_ = std::move(tls); }
  // Lets the kept connections go.
  void Close();

  net::Loop* loop() const { return loop_; }
  Resolver& resolver() { return resolver_; }

 private:
  friend class HttpCall;
  struct Kept {
    std::shared_ptr<ClientSocket> socket;
    int64_t until = 0;
  };

  std::shared_ptr<ClientSocket> TakeKept(const Endpoint& endpoint);
  void Keep(std::shared_ptr<ClientSocket> socket);
  void DropOld();

  // A connection in clear text never serves for one with TLS.
  static std::string KeptKey(const Endpoint& endpoint) {
    return (endpoint.tls ? "https " : "http ") + endpoint.authority;
  }

  net::Loop* const loop_;
  std::shared_ptr<net::TlsContext> tls_;
  Resolver resolver_;
  SessionMaker sessions_;
  std::unordered_map<std::string, std::vector<Kept>> kept_;  // By KeptKey; newest last.
  net::Loop::TimerId sweep_ = 0;
};

}  // namespace quorate::peer
