#include "net/tls_stream.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <random>

#include "base/test_seed.h"
#include "net/tls_test_files.h"

namespace quorate::net {
namespace {

// One direction of a socket pair in memory: holds at most `room` bytes, and gives at most `step` at once.
struct Pipe {
  std::string bytes;
  size_t room = SIZE_MAX;
  size_t step = SIZE_MAX;
  bool ended = false;
  int reads = 0;
  int writes = 0;
};

class PipeEnd : public ByteStream {
 public:
  PipeEnd(Pipe* in, Pipe* out) : in_(in), out_(out) {}
  ssize_t Read(char* out, size_t size) override {
    ++in_->reads;
    const size_t n = std::min({size, in_->bytes.size(), in_->step});
    if (n == 0) return in_->ended ? 0 : kWouldBlock;
    std::memcpy(out, in_->bytes.data(), n);
    in_->bytes.erase(0, n);
    return static_cast<ssize_t>(n);
  }
  ssize_t Write(const char* data, size_t size) override {
    ++out_->writes;
    const size_t n = std::min(size, out_->room - std::min(out_->room, out_->bytes.size()));
    if (n == 0) return kWouldBlock;
    out_->bytes.append(data, n);
    return static_cast<ssize_t>(n);
  }
  bool CloseWrite() override { return out_->ended = true; }

 private:
  Pipe* in_;
  Pipe* out_;
};

class TlsStreamTest : public testing::Test {
 protected:
  TlsStreamTest() {
    server_settings_ =
        Settings({.common_name = "server", .alternative_names = "DNS:server,IP:127.0.0.1"}, "s");
    client_settings_.trusted_ca_file = server_settings_.trusted_ca_file =
        directory_.Write("ca", authority_.cert());
    server_settings_.trusted_ca_file.clear();
  }
  TlsSettings Settings(const TestSubject& subject, const std::string& name) {
    const TestPem pem = authority_.Issue(subject);
    TlsSettings settings;
    settings.cert_file = directory_.Write(name + ".crt", pem.cert);
    settings.key_file = directory_.Write(name + ".key", pem.key);
    return settings;
  }
  void Open(const std::string& host = "server") {
    server_context_ = *TlsContext::Make(TlsContext::Role::kServer, server_settings_);
    client_context_ = *TlsContext::Make(TlsContext::Role::kClient, client_settings_);
    Reopen(host);
  }
  void Reopen(const std::string& host = "server") {
    to_server_ = Pipe();
    to_client_ = Pipe();
    server_ = TlsStream::Server(*server_context_->NewSession());
    client_ = TlsStream::Client(*client_context_->NewSession(), host);
    server_->set_below(&server_end_);
    client_->set_below(&client_end_);
  }
  // Until both are done or one has failed. The client says something first: in TLS 1.3 it is done before the
  // server has seen its certificate.
  bool Shake() {
    using enum TlsStream::Progress;
    for (int i = 0; i < 10'000; ++i) {
      const auto c = client_->Shake();
      const auto s = server_->Shake();
      if (c == kFailed || s == kFailed) return false;
      if (c == kDone && s == kDone) return true;
    }
    return false;
  }
  std::string ReadAll(TlsStream* stream) {
    std::string all;
    std::vector<char> buffer(64 * 1024);
    for (ssize_t n; (n = stream->Read(buffer.data(), buffer.size())) > 0;) {
      all.append(buffer.data(), static_cast<size_t>(n));
    }
    return all;
  }
  std::string RandomBytes(size_t size) {
    std::string bytes(size, '\0');
    for (char& c : bytes) c = static_cast<char>(random_());
    return bytes;
  }

  std::mt19937 random_{static_cast<uint32_t>(TestSeed())};
  TestDirectory directory_;
  TestAuthority authority_;
  TlsSettings server_settings_;
  TlsSettings client_settings_;
  Pipe to_server_;
  Pipe to_client_;
  PipeEnd server_end_{&to_server_, &to_client_};
  PipeEnd client_end_{&to_client_, &to_server_};
  std::shared_ptr<TlsContext> server_context_;
  std::shared_ptr<TlsContext> client_context_;
  std::unique_ptr<TlsStream> server_;
  std::unique_ptr<TlsStream> client_;
};

TEST_F(TlsStreamTest, LargeOutputIsOneWriteAndOneReadTakesManyRecords) {
  Open();
  ASSERT_TRUE(Shake()) << client_->failure() << server_->failure();
  EXPECT_EQ("server", server_->server_name());
  ReadAll(client_.get());  // Session tickets.
  const std::string sent = RandomBytes(200 * 1024);
  const int writes = to_client_.writes;
  EXPECT_EQ(static_cast<ssize_t>(sent.size()), server_->Write(sent.data(), sent.size()));
  EXPECT_EQ(1, to_client_.writes - writes);
  EXPECT_TRUE(server_->Flush());
  std::vector<char> buffer(256 * 1024);
  const int reads = to_client_.reads;
  ASSERT_EQ(static_cast<ssize_t>(sent.size()), client_->Read(buffer.data(), buffer.size()));
  EXPECT_EQ(1, to_client_.reads - reads);
  EXPECT_EQ(sent, std::string(buffer.data(), sent.size()));
  EXPECT_FALSE(client_->HasPending());
  EXPECT_EQ(ByteStream::kWouldBlock, client_->Read(buffer.data(), buffer.size()));
}

TEST_F(TlsStreamTest, AnySplitOfTheBytes) {
  for (const size_t step : {size_t{1}, size_t{5}, size_t{1000}, size_t{20'000}}) {
    Open();
    to_server_.step = to_client_.step = step;
    to_client_.room = 3000;
    ASSERT_TRUE(Shake()) << client_->failure() << server_->failure();
    const std::string sent = RandomBytes(50'000);
    size_t done = 0;
    std::string got;
    for (int i = 0; i < 1'000'000 && got.size() < sent.size(); ++i) {
      if (done < sent.size()) {
        const ssize_t n = server_->Write(sent.data() + done, std::min<size_t>(sent.size() - done, 7000));
        if (n > 0) done += static_cast<size_t>(n);
      } else {
        server_->Flush();
      }
      char buffer[900];
      const ssize_t n = client_->Read(buffer, sizeof(buffer));
      ASSERT_NE(ByteStream::kBroken, n);
      if (n > 0) got.append(buffer, static_cast<size_t>(n));
    }
    EXPECT_EQ(sent, got) << "step " << step;
  }
}

TEST_F(TlsStreamTest, BlockedWritesWait) {
  Open();
  ASSERT_TRUE(Shake());
  to_client_.room = to_client_.bytes.size() + 10;
  EXPECT_EQ(100, server_->Write(RandomBytes(100).data(), 100));
  EXPECT_FALSE(server_->Flush());
  EXPECT_EQ(ByteStream::kWouldBlock, server_->Write("x", 1));
  to_client_.room = SIZE_MAX;
  EXPECT_TRUE(server_->Flush());
  EXPECT_EQ(1, server_->Write("x", 1));
  EXPECT_EQ(101u, ReadAll(client_.get()).size());
}

TEST_F(TlsStreamTest, RequestBehindTheHandshakeIsPending) {
  Open();
  while (client_->Shake() != TlsStream::Progress::kDone) server_->Shake();
  client_->Write("early", 5);
  while (server_->Shake() == TlsStream::Progress::kAgain) {
  }
  EXPECT_TRUE(server_->HasPending());
  EXPECT_EQ("early", ReadAll(server_.get()));
  EXPECT_FALSE(server_->HasPending());
}

TEST_F(TlsStreamTest, OrderlyEndAndTruncation) {
  Open();
  ASSERT_TRUE(Shake());
  client_->Write("last", 4);
  client_->CloseWrite();
  char buffer[100];
  EXPECT_EQ(4, server_->Read(buffer, sizeof(buffer)));
  EXPECT_TRUE(server_->HasPending());
  EXPECT_EQ(0, server_->Read(buffer, sizeof(buffer)));
  EXPECT_FALSE(server_->HasPending());
  Reopen();
  ASSERT_TRUE(Shake());
  to_server_.ended = true;
  EXPECT_EQ(ByteStream::kBroken, server_->Read(buffer, sizeof(buffer)));
}

TEST_F(TlsStreamTest, ForgedBytesBreakIt) {
  Open();
  ASSERT_TRUE(Shake());
  client_->Write("a message", 9);
  to_server_.bytes.back() ^= 1;
  char buffer[100];
  EXPECT_EQ(ByteStream::kBroken, server_->Read(buffer, sizeof(buffer)));
  EXPECT_EQ(ByteStream::kBroken, server_->Write("x", 1));
}

TEST_F(TlsStreamTest, PlainHttpIsToldFromOtherNonsense) {
  Open();
  to_server_.bytes = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
  to_server_.step = 2;
  EXPECT_EQ(TlsStream::Progress::kFailed, server_->Shake());
  EXPECT_TRUE(server_->SawPlainHttp());
  EXPECT_EQ("", to_client_.bytes);
  Reopen();
  to_server_.bytes = "SSH-2.0-x\r\n";
  EXPECT_EQ(TlsStream::Progress::kFailed, server_->Shake());
  EXPECT_FALSE(server_->SawPlainHttp());
  EXPECT_EQ("tls: first record does not look like a TLS handshake", server_->failure());
}

TEST_F(TlsStreamTest, HostsOfServers) {
  const struct {
    const char* host;
    const char* error;
  } cases[] = {
      {"server", ""},
      {"127.0.0.1", ""},
      {"127.0.0.2", "x509: certificate is valid for 127.0.0.1, not 127.0.0.2"},
      {"other", "x509: certificate is valid for server, not other"},
  };
  for (const auto& c : cases) {
    Open(c.host);
    EXPECT_EQ(*c.error == '\0', Shake());
    EXPECT_EQ(c.error, client_->failure());
  }
  client_settings_.insecure_skip_verify = true;
  Open("other");
  EXPECT_TRUE(Shake());
}

TEST_F(TlsStreamTest, CertificatesOfClients) {
  server_settings_.trusted_ca_file = client_settings_.trusted_ca_file;
  server_settings_.crl_file = directory_.Write("crl", authority_.Revoke({77, 78}));
  TestAuthority stranger("stranger");
  const auto as = [&](const TestSubject& subject) {
    const TlsSettings own = Settings(subject, "c");
    client_settings_.cert_file = own.cert_file;
    client_settings_.key_file = own.key_file;
    Open();
    Shake();
    return server_->failure();
  };
  EXPECT_EQ("", as({.common_name = "alice"}));
  EXPECT_EQ("alice", server_->peer_names().common_name);
  EXPECT_EQ("x509: certificate has expired or is not yet valid: it has expired",
            as({.common_name = "old", .valid_from = -200, .valid_until = -100}));
  EXPECT_EQ("x509: certificate has expired or is not yet valid: it is not yet valid",
            as({.common_name = "young", .valid_from = 1000}));
  EXPECT_EQ("transport: certificate serial 4d revoked", as({.common_name = "thief", .serial = 77}));
  EXPECT_EQ("x509: certificate specifies an incompatible key usage",
            as({.common_name = "server only", .extended_key_usage = "serverAuth"}));
  client_settings_.cert_file.clear();
  client_settings_.key_file.clear();
  Open();
  Shake();
  EXPECT_EQ("tls: client didn't provide a certificate", server_->failure());
  const TestPem foreign = stranger.Issue({.common_name = "alice"});
  client_settings_.cert_file = directory_.Write("f.crt", foreign.cert);
  client_settings_.key_file = directory_.Write("f.key", foreign.key);
  Open();
  Shake();
  EXPECT_EQ("x509: certificate signed by unknown authority", server_->failure());
}

TEST_F(TlsStreamTest, AnAuthorityForServersMakesNoClients) {
  TestAuthority limited("for servers", "serverAuth");
  server_settings_.trusted_ca_file = directory_.Write("limited.pem", limited.cert());
  const TestPem alice = limited.Issue({.common_name = "alice"});
  client_settings_.cert_file = directory_.Write("a.crt", alice.cert);
  client_settings_.key_file = directory_.Write("a.key", alice.key);
  Open();
  Shake();
  EXPECT_EQ("x509: certificate specifies an incompatible key usage", server_->failure());
}

TEST_F(TlsStreamTest, AllowedNamesOfClients) {
  server_settings_.trusted_ca_file = client_settings_.trusted_ca_file;
  const auto own = Settings({.common_name = "m1", .alternative_names = "DNS:*.cluster,IP:10.0.0.1"}, "c");
  client_settings_.cert_file = own.cert_file;
  client_settings_.key_file = own.key_file;
  const auto shakes = [&](std::vector<std::string> cns, std::vector<std::string> hosts) {
    server_settings_.allowed_common_names = std::move(cns);
    server_settings_.allowed_hostnames = std::move(hosts);
    Open();
    Shake();
    const bool good = server_->failure().empty();
    EXPECT_EQ(good ? "" : "client certificate authentication failed", server_->failure());
    return good;
  };
  EXPECT_TRUE(shakes({"m0", "m1"}, {}));
  EXPECT_FALSE(shakes({"m0", "M1"}, {}));
  EXPECT_TRUE(shakes({}, {"a.other", "m1.cluster"}));
  EXPECT_TRUE(shakes({}, {"10.0.0.1"}));
  EXPECT_FALSE(shakes({}, {"m1"}));
}

TEST_F(TlsStreamTest, VersionsAndCiphers) {
  server_settings_.max_version = 12;
  server_settings_.cipher_suites = {"TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"};
  Open();
  EXPECT_TRUE(Shake());
  client_settings_.min_version = 13;
  Open();
  EXPECT_FALSE(Shake());
  client_settings_.min_version = 12;
  client_settings_.max_version = 12;
  client_settings_.cipher_suites = {"TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"};
  Open();
  EXPECT_FALSE(Shake());
  EXPECT_EQ("tls: no cipher suite supported by both client and server", server_->failure());
  // Suites of TLS 1.3 alone leave TLS 1.3 alone.
  server_settings_.max_version = 0;
  server_settings_.cipher_suites = {"TLS_AES_128_GCM_SHA256"};
  client_settings_.max_version = 0;
  client_settings_.cipher_suites.clear();
  Open();
  EXPECT_TRUE(Shake());
}

TEST_F(TlsStreamTest, RandomInputIsRefused) {
  Open();
  for (int i = 0; i < 300; ++i) {
    Reopen();
    client_->Shake();
    std::string& hello = to_server_.bytes;
    if (random_() % 4 == 0) hello.resize(random_() % hello.size());
    for (int flips = 1 + static_cast<int>(random_() % 4); flips > 0 && !hello.empty(); --flips) {
      hello[random_() % hello.size()] = static_cast<char>(random_());
    }
    to_server_.ended = true;
    EXPECT_EQ(TlsStream::Progress::kFailed, server_->Shake());
  }
}

}  // namespace
}  // namespace quorate::net
