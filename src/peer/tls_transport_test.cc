// The peer protocol over TLS: real transports, servers and certificates on loopback.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "net/tls_test_files.h"
#include "peer/http_client.h"
#include "peer/peer_client.h"
#include "peer/peer_test_harness.h"

namespace quorate::peer {
namespace {

using testing::HasSubstr;

class TlsTransportTest : public testing::Test {
 protected:
  void SetUp() override {
    KeepQuiet();
    ca_ = directory_.Write("ca", authority_.cert());
  }
  net::TlsSettings Settings(const std::string& name, net::TestAuthority* authority,
                            const net::TestSubject& subject) {
    const net::TestPem pem = authority->Issue(subject);
    net::TlsSettings settings;
    settings.cert_file = directory_.Write(name + ".crt", pem.cert);
    settings.key_file = directory_.Write(name + ".key", pem.key);
    settings.trusted_ca_file = ca_;
    return settings;
  }
  static TestTls Tls(const net::TlsSettings& settings) {
    auto listening = std::make_shared<net::TlsListening>();
    listening->context = *net::TlsContext::Make(net::TlsContext::Role::kServer, settings);
    listening->check_addresses = true;
    listening->endpoint = "peer";
    return {listening, *net::TlsContext::Make(net::TlsContext::Role::kClient, settings)};
  }
  std::unique_ptr<TestMember> Member(uint64_t id, net::TestAuthority* authority,
                                     const std::string& names = "IP:127.0.0.1") {
    return std::make_unique<TestMember>(
        &loop_, id, 0,
        Tls(Settings("m" + std::to_string(id), authority, {.common_name = "m", .alternative_names = names})));
  }
  bool Until(const std::function<bool()>& condition) { return TurnUntil(&loop_, condition); }

  net::Loop loop_;
  net::TestDirectory directory_;
  net::TestAuthority authority_;
  std::string ca_;
};

TEST_F(TlsTransportTest, StreamsCarryLargeMessagesBothWays) {
  const auto a = Member(0xa, &authority_);
  const auto b = Member(0xb, &authority_);
  a->Know(*b);
  b->Know(*a);
  a->Start();
  b->Start();
  ASSERT_TRUE(Until(
      [&] { return a->transport->open_streams(b->id) == 2 && b->transport->open_streams(a->id) == 2; }));
  const auto append = [](uint64_t from, uint64_t to) {
    return raft::Message{.type = raft::MessageType::kApp,
                         .to = to,
                         .from = from,
                         .term = 3,
                         .log_term = 3,
                         .index = 7,
                         .entries = {{.term = 3, .index = 8, .data = std::string(3'000'000, 'd')}},
                         .commit = 7};
  };
  a->transport->Send({append(a->id, b->id)});
  b->transport->Send({append(b->id, a->id)});
  const auto whole = [](const TestMember& m) {
    for (const raft::Message& message : m.events.stepped) {
      if (message.entries.size() == 1 && message.entries[0].data == std::string(3'000'000, 'd')) return true;
    }
    return false;
  };
  EXPECT_TRUE(Until([&] { return whole(*a) && whole(*b); }));
}

TEST_F(TlsTransportTest, StrangersAreNotLetIn) {
  net::TestAuthority other("other CA");
  const auto a = Member(0xa, &authority_);
  const auto stranger = Member(0xb, &other);
  const auto elsewhere = Member(0xc, &authority_, "IP:10.0.0.1");
  a->Know(*stranger);
  stranger->Know(*a);
  elsewhere->Know(*a);
  a->Start();
  stranger->Start();
  elsewhere->Start();
  const auto heartbeat = [](uint64_t from, uint64_t to) {
    return raft::Message{.type = raft::MessageType::kHeartbeat, .to = to, .from = from, .term = 3};
  };
  ASSERT_TRUE(Until([&] {
    stranger->transport->Send({heartbeat(stranger->id, a->id)});
    elsewhere->transport->Send({heartbeat(elsewhere->id, a->id)});
    a->transport->Send({heartbeat(a->id, stranger->id)});
    return stranger->events.unreachable[a->id] > 1 && elsewhere->events.unreachable[a->id] > 1 &&
           a->events.unreachable[stranger->id] > 1;
  }));
  EXPECT_TRUE(a->events.stepped.empty());
  EXPECT_TRUE(stranger->events.stepped.empty());
}

// A file system that hangs holds up new connections, and nothing else of the loop's. (A named pipe hangs as
// long as nobody writes to it.)
TEST_F(TlsTransportTest, FilesThatCanNotBeReadAreWaitedForElsewhere) {
  const auto a = Member(0xa, &authority_);
  a->Start();
  const server::PeerCall question{
      .method = "GET", .path = "/members", .body = {}, .content_type = {}, .token = {}};
  const std::string url = "https://127.0.0.1:" + std::to_string(a->port);
  const net::TlsSettings hanging = Settings("h", &authority_, {.common_name = "h"});
  HttpClient slow_http(&loop_, *net::TlsContext::Make(net::TlsContext::Role::kClient, hanging));
  PeerClient slow(&slow_http);
  const std::string real = hanging.cert_file + ".real";
  std::filesystem::rename(hanging.cert_file, real);
  ASSERT_EQ(0, mkfifo(hanging.cert_file.c_str(), 0600));

  std::optional<StatusOr<HttpAnswer>> late;
  const auto ask = [&](PeerClient* client, std::optional<StatusOr<HttpAnswer>>* answer) {
    answer->reset();
    client->Ask({url}, question, {}, [answer](StatusOr<HttpAnswer> got) { *answer = std::move(got); });
  };
  ask(&slow, &late);
  int pipe = -1;  // It can be opened once somebody reads.
  ASSERT_TRUE(Until(
      [&] { return (pipe = open(hanging.cert_file.c_str(), O_WRONLY | O_NONBLOCK | O_CLOEXEC)) >= 0; }));

  const net::TlsSettings fine = Settings("f", &authority_, {.common_name = "f"});
  HttpClient quick_http(&loop_, *net::TlsContext::Make(net::TlsContext::Role::kClient, fine));
  PeerClient quick(&quick_http);
  std::optional<StatusOr<HttpAnswer>> answer;
  ask(&quick, &answer);
  ASSERT_TRUE(Until([&] { return answer.has_value(); }));
  EXPECT_TRUE(answer->ok()) << answer->status();
  EXPECT_FALSE(late.has_value() && late->ok());

  std::filesystem::rename(real, hanging.cert_file);
  close(pipe);
  ASSERT_TRUE(Until([&] { return late.has_value(); }));
  ask(&slow, &late);
  ASSERT_TRUE(Until([&] { return late.has_value(); }));
  ASSERT_TRUE(late->ok()) << late->status();
  EXPECT_EQ(200, (*late)->head.status);
}

TEST_F(TlsTransportTest, QuestionsSayWhyTheyFail) {
  const auto a = Member(0xa, &authority_);
  a->Start();
  const auto ask = [&](const std::string& url, std::shared_ptr<net::TlsContext> tls) {
    HttpClient http(&loop_, std::move(tls));
    PeerClient client(&http);
    std::optional<StatusOr<HttpAnswer>> answer;
    client.Ask({url}, {.method = "GET", .path = "/members", .body = {}, .content_type = {}, .token = {}}, {},
               [&](StatusOr<HttpAnswer> got) { answer = std::move(got); });
    EXPECT_TRUE(Until([&] { return answer.has_value(); }));
    return answer->ok() ? "status " + std::to_string((*answer)->head.status)
                        : std::string(Message(answer->status()));
  };
  const std::string port = std::to_string(a->port);
  const net::TlsSettings own = Settings("c", &authority_, {.common_name = "c"});
  const auto context = [](const net::TlsSettings& s) {
    return *net::TlsContext::Make(net::TlsContext::Role::kClient, s);
  };
  EXPECT_EQ("status 200", ask("https://127.0.0.1:" + port, context(own)));
  EXPECT_THAT(ask("https://127.0.0.1:" + port, nullptr), HasSubstr("no TLS is configured"));
  EXPECT_THAT(ask("https://localhost:" + port, context(own)),
              HasSubstr("x509: certificate is not valid for any names, but wanted to match localhost"));
  net::TlsSettings named = own;
  named.server_name = "127.0.0.1";
  EXPECT_EQ("status 200", ask("https://localhost:" + port, context(named)));
  EXPECT_THAT(ask("http://127.0.0.1:" + port, nullptr), HasSubstr("status 400"));
  net::TlsSettings without = own;
  without.cert_file.clear();
  without.key_file.clear();
  EXPECT_THAT(ask("https://127.0.0.1:" + port, context(without)), HasSubstr("127.0.0.1:" + port));
}

}  // namespace
}  // namespace quorate::peer
