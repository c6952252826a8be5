// The server's TLS over real sockets.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sys/socket.h>

#include <algorithm>
#include <future>

#include "net/server.h"
#include "net/test_client.h"
#include "net/tls_door.h"
#include "net/tls_test_files.h"

namespace quorate::net {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

class SocketStream : public ByteStream {
 public:
  explicit SocketStream(uint16_t port) : fd_(socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(0, connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof(address)));
  }
  explicit SocketStream(int fd) : fd_(fd) {}
  ~SocketStream() override { close(fd_); }
  ssize_t Read(char* out, size_t size) override { return Result(recv(fd_, out, size, MSG_DONTWAIT)); }
  ssize_t Write(const char* data, size_t size) override {
    return Result(send(fd_, data, size, MSG_DONTWAIT | MSG_NOSIGNAL));
  }
  bool CloseWrite() override { return shutdown(fd_, SHUT_WR) == 0; }

 private:
  static ssize_t Result(ssize_t n) { return n >= 0 ? n : errno == EAGAIN ? kWouldBlock : kBroken; }
  int fd_;
};

class TlsServerTest : public testing::Test {
 protected:
  TlsServerTest() : server_(&loop_, {}) {
    server_settings_ = Settings({.alternative_names = "IP:127.0.0.1"}, "s");
    ca_ = directory_.Write("ca", authority_.cert());
    client_settings_.trusted_ca_file = ca_;
    server_.SetHttpHandler([](const HttpRequest& request, HttpReply reply) {
      reply.Send(200, {},
                 std::string(request.secure ? "secure" : "clear") + ":" + request.tls_common_name + ":" +
                     std::to_string(request.body.size()) + "\n");
    });
    server_.RegisterUnary("/t.T/Who", [](UnaryCall call, std::string_view request) {
      call.Respond(std::string(call.tls_common_name().value_or("nothing")) + ":" + std::string(request));
    });
  }
  TlsSettings Settings(const TestSubject& subject, const std::string& name) {
    const TestPem pem = authority_.Issue(subject);
    TlsSettings settings;
    settings.cert_file = directory_.Write(name + ".crt", pem.cert);
    settings.key_file = directory_.Write(name + ".key", pem.key);
    return settings;
  }
  void UseClient(const TestSubject& subject) {
    const TlsSettings own = Settings(subject, "c");
    client_settings_.cert_file = own.cert_file;
    client_settings_.key_file = own.key_file;
  }
  void Listen() {
    listening_.context = *TlsContext::Make(TlsContext::Role::kServer, server_settings_);
    port_ = *server_.Listen("127.0.0.1", 0, {.tls = std::make_shared<TlsListening>(listening_)});
  }

  struct Client {
    std::unique_ptr<SocketStream> socket;
    std::unique_ptr<TlsStream> tls;
    bool ended = false;
  };
  Client Connect(const unsigned char* alpn = nullptr, unsigned int alpn_size = 0) {
    Client client;
    client.socket = std::make_unique<SocketStream>(port_);
    const auto context = *TlsContext::Make(TlsContext::Role::kClient, client_settings_);
    TlsSession session = *context->NewSession();
    if (alpn != nullptr) SSL_set_alpn_protos(session.ssl.get(), alpn, alpn_size);
    client.tls = TlsStream::Client(std::move(session), "127.0.0.1");
    client.tls->set_below(client.socket.get());
    return client;
  }
  static std::string Alpn(const Client& client) {
    const unsigned char* name = nullptr;
    unsigned int size = 0;
    SSL_get0_alpn_selected(client.tls->ssl(), &name, &size);
    return {reinterpret_cast<const char*>(name), size};
  }
  static bool HasTicket(const Client& client) {
    return SSL_SESSION_has_ticket(SSL_get_session(client.tls->ssl())) == 1;
  }
  bool Shake(Client* client) {
    auto progress = TlsStream::Progress::kAgain;
    EXPECT_TRUE(
        TurnUntil(&loop_, [&] { return (progress = client->tls->Shake()) != TlsStream::Progress::kAgain; }));
    return progress == TlsStream::Progress::kDone;
  }
  void Read(Client* client, std::string* all) {
    char buffer[65536];
    const ssize_t n = client->tls->Read(buffer, sizeof(buffer));
    if (n > 0) all->append(buffer, static_cast<size_t>(n));
    if (n == 0 || n == ByteStream::kBroken) client->ended = true;
  }
  // Says it and reads until the server closes. Empty if the server refuses the client.
  std::string Ask(Client* client, const std::string& text) {
    if (!Shake(client)) return "";
    size_t sent = 0;
    std::string all;
    EXPECT_TRUE(TurnUntil(&loop_, [&] {
      if (sent < text.size()) {
        const ssize_t n = client->tls->Write(text.data() + sent, text.size() - sent);
        if (n > 0) sent += static_cast<size_t>(n);
      }
      client->tls->Flush();
      Read(client, &all);
      return client->ended;
    }));
    return all;
  }
  std::string Get() {
    Client client = Connect();
    return Ask(&client, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  }

  // The answer to a gRPC call.
  H2Session::Answer AskWho(const std::string& content_type = "application/grpc") {
    Client client = Connect(reinterpret_cast<const unsigned char*>("\x08http/1.1\x02h2"), 12);
    EXPECT_TRUE(Shake(&client));
    EXPECT_EQ("h2", Alpn(client));
    H2Session session;
    H2Session::Headers headers = H2Session::GrpcHeaders("/t.T/Who");
    headers.back().second = content_type;
    const int32_t id = session.Request(headers, Frame("hello"));
    EXPECT_TRUE(TurnUntil(&loop_, [&] {
      const std::string out = session.TakeOutput();
      if (!out.empty()) client.tls->Write(out.data(), out.size());
      std::string bytes;
      Read(&client, &bytes);
      session.Take(bytes);
      return session.answer(id).closed || client.ended;
    }));
    return session.answer(id);
  }

  Loop loop_;
  Server server_;
  TestDirectory directory_;
  TestAuthority authority_;
  std::string ca_;
  TlsSettings server_settings_;
  TlsSettings client_settings_;
  TlsListening listening_;
  uint16_t port_ = 0;
};

TEST_F(TlsServerTest, Http1WithoutClientCertificate) {
  Listen();
  UseClient({.common_name = "alice"});  // Not asked for, so not known.
  EXPECT_THAT(Get(), HasSubstr("\r\n\r\nsecure::0\n"));
}

TEST_F(TlsServerTest, LargeBodies) {
  Listen();
  Client client = Connect();
  const std::string body(3'000'000, 'b');
  EXPECT_THAT(
      Ask(&client,
          "POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 3000000\r\n\r\n" + body),
      HasSubstr("secure::3000000\n"));
}

TEST_F(TlsServerTest, CommonNameReachesHttpAndGrpc) {
  server_settings_.client_cert_auth = true;
  server_settings_.trusted_ca_file = ca_;
  Listen();
  UseClient({.common_name = "alice"});
  EXPECT_THAT(Get(), HasSubstr("secure:alice:0\n"));
  EXPECT_EQ("alice:hello", AskWho().message());
  UseClient({.alternative_names = "DNS:nameless"});
  EXPECT_THAT(Get(), HasSubstr("secure::0\n"));
  EXPECT_EQ(":hello", AskWho().message());
}

TEST_F(TlsServerTest, WithoutACertificateThereIsNoName) {
  Listen();
  EXPECT_EQ("nothing:hello", AskWho().message());
}

TEST_F(TlsServerTest, TheContentTypeComesBack) {
  Listen();
  for (const char* type :
       {"application/grpc", "application/grpc+proto", "application/grpc;foo", "application/grpc+"}) {
    EXPECT_EQ(type, AskWho(type).get("content-type"));
  }
}

TEST_F(TlsServerTest, ProtocolsByAlpn) {
  Listen();
  const auto chosen = [&](std::string_view offered) -> std::string {
    Client client = Connect(reinterpret_cast<const unsigned char*>(offered.data()),
                            static_cast<unsigned int>(offered.size()));
    return Shake(&client) ? Alpn(client) : client.tls->failure();
  };
  EXPECT_EQ("h2", chosen("\x02h2\x08http/1.1"));
  EXPECT_EQ("http/1.1", chosen("\x08http/1.1"));
  EXPECT_EQ("remote error: tls: no application protocol", chosen("\x03"
                                                                 "foo"));
}

TEST_F(TlsServerTest, PlainHttpGetsAReadableAnswer) {
  Listen();
  RawClient raw(&loop_, port_);
  raw.Write("GET /health HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_EQ("HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n",
            raw.ReadAll());
}

TEST_F(TlsServerTest, RefusedClientsLearnWhy) {
  server_settings_.trusted_ca_file = ca_;
  server_settings_.crl_file = directory_.Write("crl", authority_.Revoke({}));
  Listen();
  EXPECT_EQ("", Get());
  UseClient({.common_name = "thief", .serial = 7});
  EXPECT_THAT(Get(), StartsWith("HTTP/1.1 200"));
  // Read again for the next connection, without a restart.
  const std::string crl = directory_.Write("crl", authority_.Revoke({7}));
  EXPECT_EQ("", Get());
  UseClient({.common_name = "honest"});
  EXPECT_THAT(Get(), StartsWith("HTTP/1.1 200"));
  // Without a list nobody can tell who is revoked.
  std::filesystem::remove(crl);
  EXPECT_EQ("", Get());
  directory_.Write("crl", "no list");
  EXPECT_EQ("", Get());
  directory_.Write("crl", authority_.Revoke({7}));
  EXPECT_THAT(Get(), StartsWith("HTTP/1.1 200"));
}

TEST_F(TlsServerTest, SlowHandshakesEnd) {
  listening_.handshake_timeout = std::chrono::milliseconds(20);
  Listen();
  RawClient raw(&loop_, port_);
  raw.Write("\x16\x03");
  EXPECT_EQ("", raw.ReadAll());
}

// The door's thread may be slow; what waits for it is bounded all the same.
TEST_F(TlsServerTest, GuestsOnTheirWayAreCounted) {
  listening_.context = *TlsContext::Make(TlsContext::Role::kServer, server_settings_);
  const auto listening = std::make_shared<TlsListening>(listening_);
  constexpr size_t kWaiting = 2;
  std::promise<void> arrived, go;
  std::vector<int> ends;
  TlsDoor door(kWaiting);
  const auto enter = [&](TlsDoor::Admit admit) {
    int pair[2];
    EXPECT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair));
    door.Enter(std::make_shared<TlsGuest>(pair[0], "unix:"), listening, std::move(admit));
    ends.push_back(pair[1]);
  };
  const auto closed = [](int fd) {
    char byte = 0;
    return recv(fd, &byte, 1, MSG_DONTWAIT) == 0;
  };
  enter([&](const std::shared_ptr<TlsGuest>&) {
    arrived.set_value();
    go.get_future().wait();
  });
  Client client;
  client.socket = std::make_unique<SocketStream>(dup(ends[0]));
  client.tls = TlsStream::Client(
      *(*TlsContext::Make(TlsContext::Role::kClient, client_settings_))->NewSession(), "127.0.0.1");
  client.tls->set_below(client.socket.get());
  ASSERT_TRUE(Shake(&client));
  arrived.get_future().wait();
  // Now the door's thread does nothing; the first guest has one of the four places.
  for (int i = 0; i < 10; ++i) enter([](const std::shared_ptr<TlsGuest>&) {});
  EXPECT_EQ(7, std::count_if(ends.begin() + 1, ends.end(), closed));
  go.set_value();
  // And places come free.
  EXPECT_TRUE(TurnUntil(&loop_, [&] {
    enter([](const std::shared_ptr<TlsGuest>&) {});
    return !closed(ends.back());
  }));
  for (const int fd : ends) close(fd);
}

TEST_F(TlsServerTest, AddressesOfPeersAreChecked) {
  server_settings_.trusted_ca_file = ca_;
  listening_.check_addresses = true;
  listening_.names.names_of = [](const std::string& address) -> StatusOr<std::vector<std::string>> {
    EXPECT_EQ("127.0.0.1", address);
    return std::vector<std::string>{"m1.cluster."};
  };
  listening_.names.addresses_of = [](const std::string& name) -> StatusOr<std::vector<std::string>> {
    return NotFound("lookup " + name + ": no such host");
  };
  Listen();
  const struct {
    const char* names;
    bool admitted;
  } cases[] = {{"", true},
               {"IP:127.0.0.1", true},
               {"IP:10.0.0.1", false},
               {"DNS:m1.cluster", true},
               {"DNS:*.cluster", true},
               {"DNS:m2.cluster", false},
               {"IP:10.0.0.1,DNS:m1.cluster", true}};
  for (const auto& c : cases) {
    UseClient({.common_name = "m", .alternative_names = c.names});
    EXPECT_EQ(c.admitted, !Get().empty()) << c.names;
  }
}

TEST_F(TlsServerTest, ResumptionOnlyWithoutClientCertificates) {
  // TLS 1.2 shows at once whether a ticket was given.
  client_settings_.max_version = 12;
  Listen();
  Client open = Connect();
  ASSERT_TRUE(Shake(&open));
  EXPECT_TRUE(HasTicket(open));
  server_settings_.trusted_ca_file = ca_;
  UseClient({.common_name = "alice"});
  Listen();
  Client asked = Connect();
  ASSERT_TRUE(Shake(&asked));
  EXPECT_FALSE(HasTicket(asked));
}

TEST_F(TlsServerTest, CertificatesChangeUnderLoad) {
  Listen();
  for (int i = 0; i < 20; ++i) {
    const TestPem pem = authority_.Issue({.alternative_names = "IP:127.0.0.1"});
    directory_.Write("s.crt", pem.cert);
    EXPECT_THAT(Get(), StartsWith("HTTP/1.1 200"));
    directory_.Write("s.key", pem.key);
    EXPECT_THAT(Get(), StartsWith("HTTP/1.1 200"));
  }
}

TEST_F(TlsServerTest, UnixSockets) {
  listening_.context = *TlsContext::Make(TlsContext::Role::kServer, server_settings_);
  const std::string path = directory_.path() + "/socket";
  ASSERT_TRUE(server_.ListenUnix(path, {.tls = std::make_shared<TlsListening>(listening_)}).ok());
  EXPECT_TRUE(std::filesystem::is_socket(path));
}

TEST_F(TlsServerTest, GoesAwayWithHandshakesUnderWay) {
  auto server = std::make_unique<Server>(&loop_, ServerOptions());
  listening_.context = *TlsContext::Make(TlsContext::Role::kServer, server_settings_);
  port_ = *server->Listen("127.0.0.1", 0, {.tls = std::make_shared<TlsListening>(listening_)});
  RawClient idle(&loop_, port_);
  Client done = Connect();
  ASSERT_TRUE(Shake(&done));
  server.reset();
  EXPECT_EQ("", idle.ReadAll());
}

}  // namespace
}  // namespace quorate::net
