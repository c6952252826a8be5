// The failures of libcurl and OpenSSL in the words of Go's net, crypto/tls and crypto/x509, which operators
// know and scripts match. Pure functions.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "cmd/http_client/http_client.h"

namespace quorate::cmd {

// What is known of an exchange that failed.
struct FailedExchange {
  int curl_code = 0;       // CURLcode.
  std::string curl_text;   // Its error buffer.
  std::string host;        // Of the URL, without port.
  std::string address;     // "127.0.0.1:2379": the first that was tried; empty: none was.
  int os_error = 0;        // errno of the connection.
  long verify_result = 0;  // X509_V_ERR_*.
  bool https = false;
  bool connected = false;  // TCP.
  bool secured = false;    // The handshake of TLS is done.
  std::vector<std::string>
      subject_names;  // "DNS:localhost", "IP Address:127.0.0.1" of the server's certificate.
};

HttpFailure Explain(const FailedExchange& failed);

}  // namespace quorate::cmd
