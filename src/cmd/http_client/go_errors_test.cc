#include "cmd/http_client/go_errors.h"

#include <curl/curl.h>
#include <gtest/gtest.h>
#include <openssl/x509_vfy.h>

#include <cerrno>

namespace quorate::cmd {
namespace {

FailedExchange Failed(int code, std::string text) {
  FailedExchange failed;
  failed.curl_code = code;
  failed.curl_text = std::move(text);
  failed.host = "10.0.0.1";
  failed.address = "10.0.0.1:2379";
  failed.https = true;
  return failed;
}

TEST(GoErrorsTest, SaysItInTheWordsOfGo) {
  FailedExchange failed = Failed(CURLE_COULDNT_CONNECT, "");
  failed.os_error = ECONNREFUSED;
  EXPECT_EQ(Explain(failed).text, "dial tcp 10.0.0.1:2379: connect: connection refused");
  EXPECT_EQ(Explain(failed).kind, HttpFailure::Kind::kConnection);
  failed.os_error = EHOSTUNREACH;
  EXPECT_EQ(Explain(failed).text, "dial tcp 10.0.0.1:2379: connect: no route to host");

  failed = Failed(CURLE_OPERATION_TIMEDOUT, "");
  EXPECT_EQ(Explain(failed).text, "dial tcp 10.0.0.1:2379: i/o timeout");
  failed.connected = true;
  EXPECT_EQ(Explain(failed).text, "net/http: TLS handshake timeout");
  failed.secured = true;
  EXPECT_EQ(Explain(failed).kind, HttpFailure::Kind::kTimeout);

  EXPECT_EQ(Explain(Failed(CURLE_COULDNT_RESOLVE_HOST, "")).text, "dial tcp: lookup 10.0.0.1: no such host");
  EXPECT_EQ(Explain(Failed(CURLE_GOT_NOTHING, "")).text, "EOF");
  EXPECT_EQ(Explain(Failed(CURLE_RECV_ERROR,
                           "OpenSSL SSL_read: error:0A000412:SSL routines::sslv3 alert bad "
                           "certificate, errno 0"))
                .text,
            "remote error: tls: bad certificate");
  EXPECT_EQ(
      Explain(Failed(CURLE_SSL_CONNECT_ERROR, "error:0A00010B:SSL routines::wrong version number")).text,
      "tls: first record does not look like a TLS handshake");
}

TEST(GoErrorsTest, SaysWhatIsWrongWithACertificate) {
  FailedExchange failed = Failed(CURLE_PEER_FAILED_VERIFICATION, "");
  failed.verify_result = X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY;
  EXPECT_EQ(Explain(failed).text, "x509: certificate signed by unknown authority");
  failed.verify_result = X509_V_ERR_CERT_HAS_EXPIRED;
  EXPECT_EQ(Explain(failed).text, "x509: certificate has expired or is not yet valid");
  failed.verify_result = X509_V_OK;
  EXPECT_EQ(Explain(failed).text,
            "x509: cannot validate certificate for 10.0.0.1 because it doesn't contain any IP SANs");
  failed.subject_names = {"DNS:localhost", "IP Address:10.0.0.2", "IP Address:10.0.0.3"};
  EXPECT_EQ(Explain(failed).text, "x509: certificate is valid for 10.0.0.2, 10.0.0.3, not 10.0.0.1");
  failed.host = "example.com";
  EXPECT_EQ(Explain(failed).text, "x509: certificate is valid for localhost, not example.com");
}

}  // namespace
}  // namespace quorate::cmd
