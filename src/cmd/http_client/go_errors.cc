#include "cmd/http_client/go_errors.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <openssl/x509_vfy.h>

#include <cctype>
#include <cstring>

namespace quorate::cmd {
namespace {

using Kind = HttpFailure::Kind;

std::string LowerFirst(std::string text) {
  if (!text.empty()) text[0] = static_cast<char>(std::tolower(static_cast<unsigned char>(text[0])));
  return text;
}

bool IsAddress(const std::string& host) {
  unsigned char bytes[sizeof(in6_addr)];
  return inet_pton(AF_INET, host.c_str(), bytes) == 1 || inet_pton(AF_INET6, host.c_str(), bytes) == 1;
}

// x509.HostnameError.
std::string WrongName(const FailedExchange& failed) {
  const bool address = IsAddress(failed.host);
  const std::string_view mark = address ? "IP Address:" : "DNS:";
  std::string valid;
  for (const std::string& name : failed.subject_names) {
    if (!name.starts_with(mark)) continue;
    valid.append(valid.empty() ? "" : ", ").append(name.substr(mark.size()));
  }
  if (!valid.empty()) return "x509: certificate is valid for " + valid + ", not " + failed.host;
  if (address) {
    return "x509: cannot validate certificate for " + failed.host + " because it doesn't contain any IP SANs";
  }
  return "x509: certificate is not valid for any names, but wanted to match " + failed.host;
}

std::string Unverified(const FailedExchange& failed) {
  switch (failed.verify_result) {
    case X509_V_OK:
      return WrongName(failed);
    case X509_V_ERR_CERT_HAS_EXPIRED:
    case X509_V_ERR_CERT_NOT_YET_VALID:
      return "x509: certificate has expired or is not yet valid";
    case X509_V_ERR_INVALID_PURPOSE:
      return "x509: certificate specifies an incompatible key usage";
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_CERT_SIGNATURE_FAILURE:
      return "x509: certificate signed by unknown authority";
    default:
      return std::string("x509: ") + X509_verify_cert_error_string(failed.verify_result);
  }
}

// "...:SSL routines::sslv3 alert bad certificate, errno 0": what the server told us before it hung up. Empty:
// nothing.
std::string AlertOf(std::string_view text) {
  constexpr std::string_view kMark = " alert ";
  const size_t at = text.find(kMark);
  if (at == std::string_view::npos) return "";
  text.remove_prefix(at + kMark.size());
  return std::string(text.substr(0, text.find(',')));
}

std::string InHandshake(const FailedExchange& failed) {
  const std::string alert = AlertOf(failed.curl_text);
  if (!alert.empty()) return "remote error: tls: " + alert;
  if (failed.curl_text.find("wrong version number") != std::string::npos) {
    return "tls: first record does not look like a TLS handshake";
  }
  if (failed.curl_text.find("SSL_ERROR_SYSCALL") != std::string::npos ||
      failed.curl_text.find("unexpected eof") != std::string::npos) {
    return "EOF";
  }
  return "tls: " + failed.curl_text;
}

HttpFailure TimedOut(const FailedExchange& failed) {
  if (!failed.connected) return {Kind::kConnection, "dial tcp " + failed.address + ": i/o timeout"};
  if (failed.https && !failed.secured) return {Kind::kConnection, "net/http: TLS handshake timeout"};
  return {Kind::kTimeout, "net/http: timeout awaiting response headers"};
}

HttpFailure NotReceived(const FailedExchange& failed) {
  const std::string alert = AlertOf(failed.curl_text);
  if (!alert.empty()) return {Kind::kOther, "remote error: tls: " + alert};
  if (failed.os_error != 0) {
    return {Kind::kConnection,
            "read tcp " + failed.address + ": read: " + LowerFirst(std::strerror(failed.os_error))};
  }
  return {Kind::kOther, "EOF"};
}

}  // namespace

HttpFailure Explain(const FailedExchange& failed) {
  switch (failed.curl_code) {
    case CURLE_COULDNT_RESOLVE_HOST:
      return {Kind::kConnection, "dial tcp: lookup " + failed.host + ": no such host"};
    case CURLE_COULDNT_CONNECT:
      return {Kind::kConnection,
              "dial tcp " + failed.address + ": connect: " +
                  (failed.os_error == 0 ? "connection refused" : LowerFirst(std::strerror(failed.os_error)))};
    case CURLE_OPERATION_TIMEDOUT:
      return TimedOut(failed);
    case CURLE_PEER_FAILED_VERIFICATION:
      return {Kind::kOther, Unverified(failed)};
    // A file without a certificate in it trusts nobody.
    case CURLE_SSL_CACERT_BADFILE:
      return {Kind::kOther, "x509: certificate signed by unknown authority"};
    case CURLE_SSL_CONNECT_ERROR:
      return {Kind::kOther, InHandshake(failed)};
    case CURLE_GOT_NOTHING:
      return {Kind::kOther, "EOF"};
    case CURLE_RECV_ERROR:
    case CURLE_SEND_ERROR:
      return NotReceived(failed);
    default:
      return {Kind::kOther, failed.curl_text.empty()
                                ? curl_easy_strerror(static_cast<CURLcode>(failed.curl_code))
                                : failed.curl_text};
  }
}

}  // namespace quorate::cmd
