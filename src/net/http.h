// Plain HTTP: HTTP/1.1 requests, and HTTP/2 requests that are not gRPC. Loop-thread only, as everything here.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace quorate::net {

using HttpHeaders = std::vector<std::pair<std::string, std::string>>;

// What may hold a password is overwritten when the request goes.
struct HttpRequest {
  HttpRequest() = default;
  HttpRequest(HttpRequest&&) = default;
  HttpRequest& operator=(HttpRequest&&) = default;
  HttpRequest(const HttpRequest&) = default;
  HttpRequest& operator=(const HttpRequest&) = default;
  ~HttpRequest();

  std::string method;
  std::string target;  // As sent: path and query.
  std::string path;    // Percent-decoded; the raw one if its escapes are malformed.
  std::string query;   // Raw, without '?'.
  std::string host;    // Host or :authority.
  HttpHeaders headers;
  std::string body;
  std::string peer;             // As CallHandle::peer().
  bool secure = false;          // Came over TLS.
  std::string tls_common_name;  // Of the client's certificate; empty if there is none.
  int version = 11;             // 10, 11 or 20.

  // The first header of that name, compared without case.
  std::optional<std::string_view> header(std::string_view name) const;
  // The values of a query parameter, decoded, in order.
  std::vector<std::string> query_values(std::string_view name) const;
  // Sets target, path and query; and `host`, to that of an absolute target, else to nothing.
  void SetTarget(std::string_view t);
};

class HttpBodySink;

// Internal: one request in progress, whatever its protocol version.
class HttpExchange {
 public:
  virtual ~HttpExchange() = default;
  virtual void Begin(int status, const HttpHeaders& headers, std::optional<size_t> length) = 0;
  virtual void Write(std::string_view bytes) = 0;
  virtual void End() = 0;
  virtual size_t pending_bytes() const = 0;
  virtual bool full() = 0;
  virtual bool closed() const = 0;
  virtual bool HoldRequest(size_t bytes) = 0;
  virtual void HoldOutput(size_t bytes) = 0;
  virtual bool MayTake(size_t bytes) = 0;
  // Of a request whose body goes to an HttpBodySink.
  virtual void PauseBody(bool) {}
  // NOLINTNEXTLINE(performance-unnecessary-value-param): those who do it keep the sink.
  virtual bool TakeOver(const HttpHeaders&, std::shared_ptr<HttpBodySink>) { return false; }

  std::function<void()> on_closed;
  std::function<void()> on_writable;
};

// A copyable handle on the answer, which may be given at once or later. After the connection is lost
// everything is a silent no-op. Dropping the last copy unanswered gives 500.
class HttpReply {
 public:
  HttpReply() = default;
  explicit HttpReply(std::shared_ptr<HttpExchange> exchange) : exchange_(std::move(exchange)) {}

  // The whole answer. Content-Length and Date are added; for HEAD the body is left out.
  void Send(int status, const HttpHeaders& headers, std::string_view body);

  // In pieces (chunked for HTTP/1.1): Begin, any number of Write, End. Each piece is flushed at the round's
  // end.
  void Begin(int status, const HttpHeaders& headers);
  void Write(std::string_view bytes);
  void End();

  // Written and not yet accepted by the socket. Stop at kStreamPendingHigh until on_writable.
  size_t pending_bytes() const;
  // Whether that is too much to write on; then OnWritable comes.
  bool full();
  bool closed() const;
  // What a service keeps for this exchange outside of it counts as its connection's, like what the connection
  // keeps itself, until the exchange is over. Each says how much it is by now.
  // Of the request; false: the client makes us keep too much. Never for what is no more than before.
  bool HoldRequest(size_t bytes);
  // Of the answer, before it is written.
  void HoldOutput(size_t bytes);
  // Whether so many bytes more of answers may be made for this client, which is to ask before making them.
  bool MayTake(size_t bytes);
  // The client went away before the answer was complete. Runs once.
  void OnClosed(std::function<void()> fn);
  // pending_bytes() fell below kStreamPendingLow after it was above kStreamPendingHigh.
  void OnWritable(std::function<void()> fn);
  // While paused, an HttpBodySink gets at most what has been read already, and the client must wait.
  void PauseBody(bool paused);
  // Answers 101 with these headers; from then on there is no HTTP on the connection: what the client sends
  // goes to the sink's OnBytes (the sink's other methods are not called), Write() sends bytes as they are,
  // End() closes after them. False, and nothing done: not the request of an HTTP/1.1 connection.
  bool TakeOver(const HttpHeaders& headers, std::shared_ptr<HttpBodySink> sink);

 private:
  std::shared_ptr<HttpExchange> exchange_;
};

// Takes the body of one request as it comes, instead of all at once. It may be answered meanwhile. When the
// body breaks off, the reply's OnClosed says so; an answer that ends before the body does ends an HTTP/1.1
// connection.
class HttpBodySink {
 public:
  virtual ~HttpBodySink() = default;
  // First, with the way to answer.
  virtual void OnBegin(HttpReply reply) = 0;
  // Views the connection's buffer during the call.
  virtual void OnBytes(std::string_view bytes) = 0;
  // The body is whole.
  virtual void OnEnd() = 0;
  // What is kept of something that is not whole yet: it counts as held, and after a TakeOver() or in a body
  // that is open-ended it must be whole within ServerOptions::header_timeout (HTTP/1.1).
  struct Part {
    size_t bytes = 0;     // 0: nothing has begun.
    uint64_t number = 0;  // Tells one from the next.
  };
  virtual Part part() const { return {}; }
  // The client may say nothing for any time between two parts. Otherwise some of the body must come within
  // each ServerOptions::header_timeout (HTTP/1.1).
  virtual bool open_ended() const { return false; }
};

// Asked when a request's headers are there (its body is empty then). Null: collect the body, and call the
// HttpHandler.
using HttpBodyHandler = std::function<std::shared_ptr<HttpBodySink>(const HttpRequest& request)>;
using HttpHandler = std::function<void(HttpRequest request, HttpReply reply)>;

// "OK" for 200; empty if unknown.
std::string_view HttpReason(int status);
// %XX and, in queries, '+'. Empty when malformed.
std::optional<std::string> PercentDecode(std::string_view s, bool plus_is_space);

}  // namespace quorate::net
