// Calls of a user: tokens that a server forgets, and logins that fail or take long.
#include <gtest/gtest.h>

#include <future>

#include "client/fake_server_test.h"
#include "quorate/client/client.h"

namespace quorate::client {
namespace {

using etcdserverpb::AuthenticateRequest;
using etcdserverpb::AuthenticateResponse;
using std::chrono::milliseconds;
using ServerCall = FakeServer::Call;

std::unique_ptr<Client> ConnectTo(std::vector<std::string> endpoints, Options options) {
  options.endpoints = std::move(endpoints);
  auto client = Client::Connect(std::move(options));
  EXPECT_TRUE(client.ok()) << client.status();
  return *std::move(client);
}

// It knows one token at a time.
class TokenServer : public FakeServer {
 public:
  TokenServer() {
    On("Auth/Authenticate", [this](ServerCall* call, const grpc::ByteBuffer& bytes) {
      const auto request = Parse<AuthenticateRequest>(bytes);
      if (request.password() != "secret") {
        return call->End(grpc::INVALID_ARGUMENT,
                         "etcdserver: authentication failed, invalid user ID or password");
      }
      AuthenticateResponse response;
      response.set_token("token" + std::to_string(++tokens));
      call->Reply(response);
    });
    On("KV/Put", [this](ServerCall* call, const grpc::ByteBuffer&) {
      if (call->metadata("token") != "token" + std::to_string(tokens) || expired.exchange(false)) {
        return call->End(grpc::UNAUTHENTICATED, "etcdserver: invalid auth token");
      }
      call->Reply(PutResponse());
    });
  }
  std::atomic<int> tokens = 0;
  std::atomic<bool> expired = false;
};

Options WithUser(const std::string& password = "secret") {
  Options options;
  options.username = "u";
  options.password = password;
  options.dial_timeout = std::chrono::minutes(1);
  return options;
}

TEST(TokenTest, IsRenewedWhenTheServerForgetsIt) {
  TokenServer server;
  const auto client = ConnectTo({server.url()}, WithUser());
  EXPECT_TRUE(client->kv().Put("k", "v").ok());
  EXPECT_EQ(server.tokens, 1);
  server.expired = true;
  EXPECT_TRUE(client->kv().Put("k", "v").ok());
  EXPECT_EQ(server.tokens, 2);
}

TEST(TokenTest, IsRenewedForTheNextCallWhenThereIsButOneAttempt) {
  TokenServer server;
  Options options = WithUser();
  options.max_attempts = 1;
  const auto client = ConnectTo({server.url()}, options);
  server.expired = true;
  EXPECT_TRUE(absl::IsUnauthenticated(client->kv().Put("k", "v").status()));
  const Status next = client->kv().Put("k", "v").status();
  EXPECT_TRUE(next.ok()) << next;
  EXPECT_EQ(server.tokens, 2);
}

// Though nobody knows what became of the login.
TEST(TokenTest, AWriteWhoseLoginFailsDidNotHappen) {
  TokenServer server;
  Options options = WithUser();
  options.max_attempts = 2;
  const auto client = ConnectTo({server.url()}, options);
  server.On("Auth/Authenticate", [](ServerCall* call, const grpc::ByteBuffer&) {
    call->End(grpc::UNAVAILABLE, "etcdserver: request timed out");
  });
  server.expired = true;
  for (int i = 0; i < 2; ++i) {
    const Status status = client->kv().Put("k", "v").status();
    EXPECT_EQ(Text(status), "etcdserver: request timed out");
    EXPECT_EQ(OutcomeOf(status), Outcome::kNotDone);
  }
  EXPECT_EQ(server.count("KV/Put"), 1);
}

TEST(TokenTest, ALoginTakesNoMoreThanTheTimeOfTheCall) {
  TokenServer server;
  Options options = WithUser();
  options.max_attempts = 1;
  const auto client = ConnectTo({server.url()}, options);
  server.On("Auth/Authenticate", [](ServerCall*, const grpc::ByteBuffer&) {});
  server.expired = true;
  EXPECT_TRUE(absl::IsUnauthenticated(client->kv().Put("k", "v").status()));
  const CallOptions call{.timeout = milliseconds(300)};
  const Status put = client->kv().Put("k", "v", {}, call).status();
  const Status renewal = client->leases().KeepAliveOnce(7, call).status();
  for (const Status& status : {put, renewal}) {
    EXPECT_TRUE(absl::IsDeadlineExceeded(status));
    EXPECT_EQ(Text(status), "context deadline exceeded: the login took too long");
  }
  EXPECT_EQ(OutcomeOf(put), Outcome::kNotDone);
  EXPECT_EQ(server.count("KV/Put"), 1);
}

// The end of the login is the end of those who wait for it, which nobody else holds. (One to find with a
// sanitizer.)
TEST(TokenTest, TheEndOfTheClientEndsCallsThatWaitForALogin) {
  TokenServer server;
  Options options = WithUser();
  options.dial_timeout = options.request_timeout = milliseconds(0);
  auto client = ConnectTo({server.url()}, options);
  std::promise<void> asked;
  server.On("Auth/Authenticate", [&](ServerCall*, const grpc::ByteBuffer&) { asked.set_value(); });
  server.tokens = 10;  // The client's is old.
  std::vector<Future<PutResponse>> puts;
  for (int i = 0; i < 8; ++i) puts.push_back(client->kv().PutAsync("k", "v"));
  asked.get_future().wait();
  client.reset();
  for (auto& put : puts) EXPECT_TRUE(absl::IsCancelled(put.get().status()));
}

TEST(TokenTest, OneLoginServesAllWhoNeedIt) {
  TokenServer server;
  Options options = WithUser();
  options.request_timeout = std::chrono::minutes(1);  // All of them share a machine that may be slow.
  const auto client = ConnectTo({server.url()}, options);
  server.tokens = 10;  // All tokens out there are old.
  std::vector<Future<PutResponse>> puts;
  for (int i = 0; i < 50; ++i) puts.push_back(client->kv().PutAsync("k", "v"));
  for (auto& put : puts) {
    const Status status = put.get().status();
    EXPECT_TRUE(status.ok()) << status;
  }
  EXPECT_LE(server.tokens, 13);
}

TEST(TokenTest, AWrongPasswordFailsConnectAndIsInNoMessage) {
  TokenServer server;
  std::string log;
  Options options = WithUser("hunter2");
  options.endpoints = {server.url()};
  options.log = [&](std::string_view line) { log += line; };
  const auto client = Client::Connect(options);
  ASSERT_FALSE(client.ok());
  EXPECT_EQ(Text(client.status()), "etcdserver: authentication failed, invalid user ID or password");
  EXPECT_EQ(log.find("hunter2"), std::string::npos);
}

TEST(TokenTest, WithoutAuthenticationAUserIsWelcome) {
  FakeServer server;
  server.On("Auth/Authenticate", [](ServerCall* call, const grpc::ByteBuffer&) {
    call->End(grpc::FAILED_PRECONDITION, "etcdserver: authentication is not enabled");
  });
  server.On("KV/Put", [](ServerCall* call, const grpc::ByteBuffer&) {
    EXPECT_EQ(call->metadata("token"), "");
    call->Reply(PutResponse());
  });
  const auto client = ConnectTo({server.url()}, WithUser());
  EXPECT_TRUE(client->kv().Put("k", "v").ok());
}

}  // namespace
}  // namespace quorate::client
