// Retries, endpoints and the three forms of a call, against servers that say what each case needs.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <future>
#include <thread>

#include "client/fake_server_test.h"
#include "quorate/client/client.h"

namespace quorate::client {
namespace {

using std::chrono::milliseconds;
using testing::HasSubstr;
using testing::StartsWith;
using ServerCall = FakeServer::Call;

std::unique_ptr<Client> ConnectTo(std::vector<std::string> endpoints, Options options = {}) {
  options.endpoints = std::move(endpoints);
  auto client = Client::Connect(std::move(options));
  EXPECT_TRUE(client.ok()) << client.status();
  return *std::move(client);
}

RangeResponse OneKey(const std::string& value) {
  RangeResponse response;
  response.add_kvs()->set_value(value);
  return response;
}

// The handler that fails the first calls.
FakeServer::Handler FailFirst(int times, grpc::StatusCode code, const std::string& text,
                              const google::protobuf::MessageLite& then) {
  auto left = std::make_shared<std::atomic<int>>(times);
  return [=, bytes = then.SerializeAsString(), name = then.GetTypeName()](ServerCall* call,
                                                                          const grpc::ByteBuffer&) {
    if ((*left)-- > 0) return call->End(code, text);
    if (name == "etcdserverpb.RangeResponse") {
      RangeResponse response;
      response.ParseFromString(bytes);
      return call->Reply(response);
    }
    PutResponse response;
    response.ParseFromString(bytes);
    call->Reply(response);
  };
}

struct RetryCase {
  const char* name;
  bool read;
  grpc::StatusCode code;
  const char* text;
  int calls;  // That reach the server when the first two fail.
};

class RetryRules : public testing::TestWithParam<RetryCase> {};

TEST_P(RetryRules, AsEtcdsClient) {
  const RetryCase& c = GetParam();
  FakeServer server;
  server.On("KV/Range", FailFirst(2, c.code, c.text, OneKey("v")));
  server.On("KV/Put", FailFirst(2, c.code, c.text, PutResponse()));
  const auto client = ConnectTo({server.url()});
  const Status status = c.read ? client->kv().Get("k").status() : client->kv().Put("k", "v").status();
  EXPECT_EQ(server.count(c.read ? "KV/Range" : "KV/Put"), c.calls);
  EXPECT_EQ(status.ok(), c.calls == 3) << status;
  if (c.calls == 1) {
    EXPECT_EQ(static_cast<int>(status.code()), static_cast<int>(c.code));
    EXPECT_EQ(Text(status), c.text);
  }
}

INSTANTIATE_TEST_SUITE_P(
    All, RetryRules,
    testing::Values(RetryCase{"read_unavailable", true, grpc::UNAVAILABLE, "etcdserver: leader changed", 3},
                    RetryCase{"read_no_leader", true, grpc::UNAVAILABLE, "etcdserver: no leader", 3},
                    RetryCase{"read_compacted", true, grpc::OUT_OF_RANGE,
                              "etcdserver: mvcc: required revision has been compacted", 1},
                    RetryCase{"read_internal", true, grpc::INTERNAL, "boom", 1},
                    RetryCase{"read_old_auth_revision", true, grpc::INVALID_ARGUMENT,
                              "etcdserver: revision of auth store is old", 3},
                    RetryCase{"write_unavailable", false, grpc::UNAVAILABLE, "etcdserver: request timed out",
                              1},
                    RetryCase{"write_dropped", false, grpc::UNKNOWN, "raft proposal dropped", 1},
                    RetryCase{"write_no_space", false, grpc::RESOURCE_EXHAUSTED,
                              "etcdserver: mvcc: database space exceeded", 1},
                    RetryCase{"write_old_auth_revision", false, grpc::INVALID_ARGUMENT,
                              "etcdserver: revision of auth store is old", 3}),
    [](const auto& one) { return std::string(one.param.name); });

TEST(CallTest, AWriteThatTheServerMayHaveDoneIsUnknown) {
  FakeServer server;
  server.On("KV/Put", FailFirst(1, grpc::UNAVAILABLE, "etcdserver: request timed out", PutResponse()));
  const auto client = ConnectTo({server.url()});
  EXPECT_EQ(OutcomeOf(client->kv().Put("k", "v").status()), Outcome::kUnknown);
}

TEST(CallTest, AWriteThatWasSentAndHadNoAnswerIsUnknown) {
  FakeServer silent;
  silent.On("KV/Put", [](ServerCall*, const grpc::ByteBuffer&) {});
  silent.On("KV/Range", FailFirst(0, grpc::OK, "", OneKey("v")));
  const auto client = ConnectTo({silent.url()});
  ASSERT_TRUE(client->kv().Get("k").ok());  // It is connected.
  const Status status = client->kv().Put("k", "v", {}, {.timeout = milliseconds(500)}).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(OutcomeOf(status), Outcome::kUnknown);
}

// The first attempt may have been the one that took what the second doesn't find.
TEST(CallTest, ARefusalAfterAnAttemptThatMayHaveBeenDoneIsUnknown) {
  FakeServer server;
  int attempts = 0;
  server.On("Lease/LeaseRevoke", [&](ServerCall* call, const grpc::ByteBuffer&) {
    if (++attempts == 1) return call->End(grpc::UNAVAILABLE, "etcdserver: request timed out");
    call->End(grpc::NOT_FOUND, "etcdserver: requested lease not found");
  });
  const auto client = ConnectTo({server.url()});
  const Status status = client->leases().Revoke(7, {.repeatable = true}).status();
  EXPECT_TRUE(IsLeaseNotFound(status)) << status;
  EXPECT_EQ(OutcomeOf(status), Outcome::kUnknown);
  EXPECT_EQ(attempts, 2);
}

TEST(CallTest, ARepeatableWriteIsRetried) {
  FakeServer server;
  server.On("KV/Put", FailFirst(1, grpc::UNAVAILABLE, "etcdserver: request timed out", PutResponse()));
  const auto client = ConnectTo({server.url()});
  EXPECT_TRUE(client->kv().Put("k", "v", {}, {.repeatable = true}).ok());
}

TEST(CallTest, ATransactionOfReadsIsARead) {
  FakeServer server;
  std::atomic<int> calls = 0;
  server.On("KV/Txn", [&](ServerCall* call, const grpc::ByteBuffer&) {
    if (++calls == 1) return call->End(grpc::UNAVAILABLE, "etcdserver: leader changed");
    call->Reply(TxnResponse());
  });
  const auto client = ConnectTo({server.url()});
  const Txn inner = Txn().Then({Op::Get("b")});
  EXPECT_TRUE(client->kv().Commit(Txn().Then({Op::Get("a"), Op::Nested(inner)})).ok());
  calls = 0;
  const Txn writing = Txn().Then({Op::Get("a"), Op::Nested(Txn().Else({Op::Delete("b")}))});
  EXPECT_TRUE(absl::IsUnavailable(client->kv().Commit(writing).status()));
}

TEST(CallTest, ARefusedConnectionTakesTheNextEndpoint) {
  FakeServer server;
  server.On("KV/Put", FailFirst(0, grpc::OK, "", PutResponse()));
  FakeServer gone;
  gone.Stop();
  const auto client = ConnectTo({gone.url(), server.url()});
  for (int i = 0; i < 10; ++i) EXPECT_TRUE(client->kv().Put("k", "v").ok());
}

TEST(CallTest, WithoutAConnectionTheErrorNamesEndpointAndReasonAndTheWriteDidNotHappen) {
  FakeServer gone;
  gone.Stop();
  const auto client = ConnectTo({gone.url()});
  const Status late = client->kv().Put("k", "v", {}, {.timeout = milliseconds(2000)}).status();
  EXPECT_EQ(late.code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_THAT(std::string(Text(late)),
              StartsWith("context deadline exceeded: no connection to " + gone.url()));
  EXPECT_THAT(std::string(Text(late)), HasSubstr("Connection refused"));
  EXPECT_EQ(OutcomeOf(late), Outcome::kNotDone);
  const Status fast =
      client->kv().Put("k", "v", {}, {.timeout = milliseconds(0), .fail_fast = true}).status();
  EXPECT_TRUE(absl::IsUnavailable(fast));
  EXPECT_THAT(std::string(Text(fast)), StartsWith("there is no connection available: "));
}

TEST(CallTest, ACallWaitsForAServerThatComesBack) {
  FakeServer server;
  server.On("KV/Range", FailFirst(0, grpc::OK, "", OneKey("v")));
  server.Stop();
  const auto client = ConnectTo({server.url()});
  auto answer = client->kv().GetAsync("k", {}, {.timeout = milliseconds(0)});
  server.Restart();
  EXPECT_TRUE(answer.get().ok());
}

TEST(CallTest, EndpointsTakeTurns) {
  FakeServer servers[3];
  std::vector<std::string> urls;
  for (FakeServer& server : servers) {
    server.On("KV/Range", FailFirst(0, grpc::OK, "", OneKey("v")));
    urls.push_back(server.url());
  }
  const auto client = ConnectTo(urls);
  // A pinned call connects each of them first.
  for (const std::string& url : urls) ASSERT_TRUE(client->kv().Get("k", {}, {.endpoint = url}).ok());
  for (int i = 0; i < 30; ++i) ASSERT_TRUE(client->kv().Get("k").ok());
  for (FakeServer& server : servers) EXPECT_EQ(server.count("KV/Range"), 11);
}

TEST(CallTest, AReadLeavesAnEndpointThatIsSilent) {
  FakeServer silent;
  silent.On("KV/Range", [](ServerCall*, const grpc::ByteBuffer&) {});
  FakeServer server;
  server.On("KV/Range", FailFirst(0, grpc::OK, "", OneKey("v")));
  Options options;
  options.read_attempt_timeout = milliseconds(100);
  options.request_timeout = milliseconds(0);
  const auto client = ConnectTo({silent.url(), server.url()}, options);
  for (int i = 0; i < 5; ++i) EXPECT_TRUE(client->kv().Get("k").ok());
}

// Etcd up to 3.4, whose timer may run out before ours, says so without a code.
TEST(CallTest, AReadLeavesAnEndpointThatTellsTheEndOfItsTimeFirst) {
  FakeServer late;
  late.On("KV/Range", FailFirst(1000000, grpc::UNKNOWN, "context deadline exceeded", OneKey("v")));
  FakeServer server;
  server.On("KV/Range", FailFirst(0, grpc::OK, "", OneKey("v")));
  Options options;
  options.read_attempt_timeout = std::chrono::minutes(10);
  options.request_timeout = milliseconds(0);
  const auto client = ConnectTo({late.url(), server.url()}, options);
  // A pinned call connects each of them first.
  for (FakeServer* one : {&late, &server}) {
    one->On("KV/Put", FailFirst(0, grpc::OK, "", PutResponse()));
    EXPECT_TRUE(client->kv().Put("k", "v", {}, {.endpoint = one->url()}).ok());
  }
  for (int i = 0; i < 5; ++i) {
    const Status status = client->kv().Get("k").status();
    EXPECT_TRUE(status.ok()) << status;
  }
  EXPECT_GT(late.count("KV/Range"), 0);
}

TEST(CallTest, TheEndOfItsTimeIsTheSameWhoeverTellsIt) {
  FakeServer late;
  late.On("KV/Put", FailFirst(1000000, grpc::UNKNOWN, "context deadline exceeded", PutResponse()));
  const auto client = ConnectTo({late.url()});
  const Status status = client->kv().Put("k", "v", {}, {.timeout = std::chrono::minutes(1)}).status();
  EXPECT_TRUE(absl::IsDeadlineExceeded(status)) << status;
  EXPECT_EQ(Text(status), "context deadline exceeded");
  EXPECT_EQ(OutcomeOf(status), Outcome::kUnknown);
  EXPECT_EQ(late.count("KV/Put"), 1);
}

TEST(CallTest, TheDeadlineIsOfTheWholeCall) {
  FakeServer server;
  server.On("KV/Range", FailFirst(1000000, grpc::UNAVAILABLE, "etcdserver: leader changed", OneKey("v")));
  Options options;
  options.max_attempts = 1000000;
  const auto client = ConnectTo({server.url()}, options);
  const Status status = client->kv().Get("k", {}, {.timeout = milliseconds(2000)}).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_THAT(std::string(Text(status)), StartsWith("context deadline exceeded"));
  EXPECT_GT(server.count("KV/Range"), 1);
}

TEST(CallTest, StopEndsACall) {
  FakeServer silent;
  std::promise<void> asked;
  silent.On("KV/Put", [&](ServerCall*, const grpc::ByteBuffer&) { asked.set_value(); });
  const auto client = ConnectTo({silent.url()});
  std::stop_source stop;
  auto answer = client->kv().PutAsync("k", "v", {}, {.timeout = milliseconds(0), .stop = stop.get_token()});
  asked.get_future().wait();
  stop.request_stop();
  const Status status = answer.get().status();
  EXPECT_TRUE(absl::IsCancelled(status));
  EXPECT_EQ(OutcomeOf(status), Outcome::kUnknown);
}

TEST(CallTest, WhatIsStoppedBeforeItIsSentIsNotSent) {
  FakeServer server;
  server.On("KV/Put", FailFirst(0, grpc::OK, "", PutResponse()));
  const auto client = ConnectTo({server.url()});
  std::stop_source stop;
  stop.request_stop();
  const Status status = client->kv().Put("k", "v", {}, {.stop = stop.get_token()}).status();
  EXPECT_TRUE(absl::IsCancelled(status)) << status;
  EXPECT_EQ(OutcomeOf(status), Outcome::kNotDone);
  EXPECT_TRUE(client->kv().Put("k", "v").ok());
  RangeStreamResponse part;
  EXPECT_TRUE(
      absl::IsCancelled(client->kv().GetStream("k", {}, {.stop = stop.get_token()})->Next(&part).status()));
  EXPECT_EQ(server.count("KV/Put"), 1);
  EXPECT_EQ(server.count("KV/RangeStream"), 0);
}

TEST(CallTest, ATimeThatIsOverAndOneThatNeverEnds) {
  FakeServer server;
  server.On("KV/Put", FailFirst(0, grpc::OK, "", PutResponse()));
  const auto client = ConnectTo({server.url()});
  const Status over = client->kv().Put("k", "v", {}, {.timeout = milliseconds(-5)}).status();
  EXPECT_TRUE(absl::IsDeadlineExceeded(over)) << over;
  EXPECT_EQ(OutcomeOf(over), Outcome::kNotDone);
  EXPECT_EQ(server.count("KV/Put"), 0);
  for (const milliseconds timeout : {milliseconds::max(), milliseconds(std::chrono::hours(24 * 365 * 300))}) {
    const Status status = client->kv().Put("k", "v", {}, {.timeout = timeout}).status();
    EXPECT_TRUE(status.ok()) << status;
  }
}

// However it ends: here before it is sent.
TEST(CallTest, ACallbackNeverRunsWithinItsCall) {
  FakeServer server;
  server.On("KV/Range", FailFirst(0, grpc::OK, "", OneKey("v")));
  const auto client = ConnectTo({server.url()});
  std::promise<bool> within;
  client->kv().GetAsync("k", {}, {}, [&](const auto&) {
    auto calling = std::make_shared<bool>(true);
    client->kv().GetAsync("k", {}, {.endpoint = "no endpoint"},
                          [&within, calling](const auto&) { within.set_value(*calling); });
    *calling = false;
  });
  EXPECT_FALSE(within.get_future().get());
}

TEST(CallTest, ACallbackThatAlwaysCallsAgainDoesNotHoldUpTheEnd) {
  FakeServer server;
  server.On("KV/Range", FailFirst(0, grpc::OK, "", OneKey("v")));
  auto client = ConnectTo({server.url()});
  std::promise<void> running;
  std::atomic<int> calls = 0;
  Future<RangeResponse> last;
  std::function<void()> again = [&, kv = &client->kv()] {
    kv->GetAsync("k", {}, {}, [&, kv](const StatusOr<RangeResponse>& response) {
      if (++calls == 10) running.set_value();
      if (!response.ok()) last = kv->GetAsync("k");
      again();
    });
  };
  again();
  running.get_future().wait();
  client.reset();
  ASSERT_TRUE(last.valid());
  EXPECT_TRUE(absl::IsCancelled(last.get().status()));
}

TEST(CallTest, AClientMayBeDestroyedInACallback) {
  FakeServer server;
  server.On("KV/Range", FailFirst(0, grpc::OK, "", OneKey("v")));
  for (const char* silent : {"KV/Put", "Watch/Watch"}) {
    server.On(silent, [](ServerCall*, const grpc::ByteBuffer&) {});
  }
  auto client = ConnectTo({server.url()});
  auto held = client->kv().PutAsync("k", "v", {}, {.timeout = milliseconds(0)});
  const auto watch = client->watches().Start("k");
  client->kv().GetAsync("k", {}, {}, [&](const auto&) { client.reset(); });
  EXPECT_TRUE(absl::IsCancelled(held.get().status()));
  EXPECT_TRUE(absl::IsCancelled(watch->Next().status()));
}

TEST(CallTest, TheEndOfTheClientEndsItsCalls) {
  FakeServer silent;
  silent.On("KV/Put", [](ServerCall*, const grpc::ByteBuffer&) {});
  FakeServer gone;
  gone.Stop();
  auto client = ConnectTo({silent.url()});
  auto lost = ConnectTo({gone.url()});
  auto held = client->kv().PutAsync("k", "v", {}, {.timeout = milliseconds(0)});
  auto waiting = lost->kv().PutAsync("k", "v", {}, {.timeout = milliseconds(0)});
  client.reset();
  lost.reset();
  EXPECT_TRUE(absl::IsCancelled(held.get().status()));
  EXPECT_TRUE(absl::IsCancelled(waiting.get().status()));
}

TEST(CallTest, ACallbackMayStartCallsButNotWait) {
  FakeServer server;
  server.On("KV/Range", FailFirst(0, grpc::OK, "", OneKey("v")));
  const auto client = ConnectTo({server.url()});
  std::promise<Status> waited;
  std::promise<Status> second;
  client->kv().GetAsync("k", {}, {}, [&](const StatusOr<RangeResponse>&) {
    waited.set_value(client->kv().Get("k").status());
    client->kv().GetAsync("k", {}, {},
                          [&](const StatusOr<RangeResponse>& r) { second.set_value(r.status()); });
  });
  EXPECT_TRUE(absl::IsFailedPrecondition(waited.get_future().get()));
  EXPECT_TRUE(second.get_future().get().ok());
}

TEST(CallTest, MetadataAsked) {
  FakeServer server;
  std::promise<std::pair<std::string, std::string>> seen;
  server.On("KV/Range", [&](ServerCall* call, const grpc::ByteBuffer&) {
    seen.set_value({call->metadata("hasleader"), call->metadata("client-api-version")});
    call->Reply(RangeResponse());
  });
  const auto client = ConnectTo({server.url()});
  ASSERT_TRUE(client->kv().Get("k", {}, {.require_leader = true}).ok());
  EXPECT_EQ(seen.get_future().get(), (std::pair<std::string, std::string>("true", "3.7")));
}

TEST(CallTest, SyncTakesTheVotersEndpoints) {
  FakeServer server;
  server.On("Cluster/MemberList", [&](ServerCall* call, const grpc::ByteBuffer&) {
    MemberListResponse response;
    auto* voter = response.add_members();
    voter->set_name("a");
    voter->add_clienturls(server.url());
    auto* learner = response.add_members();
    learner->set_name("b");
    learner->set_islearner(true);
    learner->add_clienturls("http://10.0.0.1:1");
    response.add_members()->add_clienturls("http://10.0.0.2:1");
    call->Reply(response);
  });
  FakeServer gone;
  gone.Stop();
  const auto client = ConnectTo({gone.url(), server.url()});
  ASSERT_TRUE(client->SyncEndpoints().ok());
  EXPECT_EQ(client->endpoints(), std::vector<std::string>{server.url()});
}

TEST(CallTest, AutoSyncFollowsTheMembersAgainAndAgain) {
  FakeServer first;
  FakeServer second;
  std::promise<void> asked;
  std::once_flag once;
  const auto list_second = [&](ServerCall* call) {
    MemberListResponse response;
    response.add_members()->set_name("b");
    response.mutable_members(0)->add_clienturls(second.url());
    call->Reply(response);
  };
  first.On("Cluster/MemberList", [&](ServerCall* call, const grpc::ByteBuffer&) { list_second(call); });
  second.On("Cluster/MemberList", [&](ServerCall* call, const grpc::ByteBuffer&) {
    std::call_once(once, [&] { asked.set_value(); });
    list_second(call);
  });
  Options options;
  options.auto_sync_interval = milliseconds(10);
  const auto client = ConnectTo({first.url()}, options);
  asked.get_future().wait();
  EXPECT_EQ(client->endpoints(), std::vector<std::string>{second.url()});
}

TEST(CallTest, AnEndpointWithoutASchemeMayBeInClearText) {
  FakeServer server;
  server.On("KV/Range", FailFirst(0, grpc::OK, "", OneKey("v")));
  const std::string endpoint = server.url().substr(std::string("http://").size());
  Options options;
  options.tls = TlsOptions{};
  options.tls_without_scheme = false;
  EXPECT_TRUE(ConnectTo({endpoint}, options)->kv().Get("k").ok());
  options.tls_without_scheme = true;
  EXPECT_FALSE(ConnectTo({endpoint}, options)->kv().Get("k", {}, {.timeout = milliseconds(300)}).ok());
  EXPECT_EQ(server.count("KV/Range"), 1);
}

// What is wrong with options is said by Connect.

struct BadOptions {
  const char* name;
  Options options;
  const char* text;
};

TEST(ConnectTest, WrongOptionsAreNamed) {
  const Options fine{.endpoints = {"127.0.0.1:1"}};
  std::vector<BadOptions> cases;
  cases.push_back({"none", {}, "at least one endpoint"});
  cases.push_back({"port", {.endpoints = {"http://host"}}, "endpoint \"http://host\""});
  cases.push_back({"user", fine, "needs a password"});
  cases.back().options.username = "u";
  cases.push_back({"limits", fine, "recv limit"});
  cases.back().options.max_receive_bytes = 10;
  cases.push_back({"ca", fine, "can't read /nowhere/ca.pem"});
  cases.back().options.tls = TlsOptions{.ca_file = "/nowhere/ca.pem"};
  cases.push_back({"half a certificate", fine, "needs both"});
  cases.back().options.tls = TlsOptions{.cert_file = "c.pem"};
  cases.push_back({"no certificate", fine, "/dev/null holds no certificate"});
  cases.back().options.tls = TlsOptions{.ca_file = "/dev/null"};
  for (const BadOptions& c : cases) {
    const auto client = Client::Connect(c.options);
    ASSERT_FALSE(client.ok()) << c.name;
    EXPECT_TRUE(absl::IsInvalidArgument(client.status())) << c.name;
    EXPECT_THAT(std::string(Text(client.status())), HasSubstr(c.text)) << c.name;
  }
}

TEST(ConnectTest, WaitsWhenTold) {
  FakeServer gone;
  gone.Stop();
  const auto client = Client::Connect(
      {.endpoints = {gone.url()}, .dial_timeout = milliseconds(200), .wait_for_connection = true});
  EXPECT_EQ(client.status().code(), absl::StatusCode::kDeadlineExceeded);
}

}  // namespace
}  // namespace quorate::client
