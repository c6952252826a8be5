// HTTP requests, over TLS or not, on libcurl. One connection is kept between requests to the same server.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <variant>

#include "cmd/http_client/tls_files.h"

namespace quorate::cmd {

struct HttpRequest {
  std::string method;
  std::string url;
  std::optional<std::string> body;         // JSON.
  std::optional<std::string> credentials;  // "name:password".
};

// What the server showed of itself in the handshake of TLS.
struct ServerCertificate {
  int64_t end_seconds = 0;  // Unix time after which it is not valid.
};

struct HttpReply {
  int status = 0;
  std::string body;
  std::string location;
  std::optional<int64_t> date_seconds;           // The server's clock, Unix time.
  std::optional<ServerCertificate> certificate;  // Not for a connection that was open already.
};

// Why there is no answer, in the words of Go's HTTP client.
struct HttpFailure {
  enum class Kind {
    kConnection,  // Not connected, or the connection broke while reading.
    kTimeout,     // HttpLimits::answer has passed.
    kOther,
  };
  Kind kind = Kind::kOther;
  std::string text;
};

struct HttpLimits {
  std::chrono::milliseconds connect{30'000};  // For https with the handshake of TLS.
  std::chrono::milliseconds answer{0};        // Of the whole exchange; 0: none.
};

struct HttpOptions {
  TlsFiles files;
  std::string server_name;   // What the certificates must be for; empty: the host of each URL.
  bool skip_verify = false;  // Believe any certificate.
};

// One thread.
class HttpClient {
 public:
  explicit HttpClient(HttpOptions options);
  ~HttpClient();
  HttpClient(const HttpClient&) = delete;
  HttpClient& operator=(const HttpClient&) = delete;

  // An answer of any status is a reply. Redirections are the caller's.
  std::variant<HttpReply, HttpFailure> Do(const HttpRequest& request, const HttpLimits& limits);

 private:
  struct Handle;
  const std::unique_ptr<Handle> handle_;
};

}  // namespace quorate::cmd
