// Watches of a user whose token is refused: who logs in again, and how often.
#include <gtest/gtest.h>

#include "client/watch_server_test.h"

namespace quorate::client {
namespace {

Options WithUser(int max_attempts = 100) {
  Options options;
  options.username = "u";
  options.password = "p";
  options.max_attempts = max_attempts;
  return options;
}

// Refuses watches with this reason where the token is not known.
void RefuseStrangers(WatchServer* server, Logins* logins, const std::string& reason) {
  server->refuse = [logins, reason](ServerCall* call, WatchResponse* response) {
    if (logins->Knows(*call)) return false;
    response->set_canceled(true);
    response->set_watch_id(-1);
    response->set_cancel_reason(reason);
    return true;
  };
  server->On("KV/Range", [logins](ServerCall* call, const grpc::ByteBuffer&) {
    if (logins->Knows(*call)) return call->Reply(etcdserverpb::RangeResponse());
    call->End(grpc::UNAUTHENTICATED, "etcdserver: invalid auth token");
  });
}

TEST(WatchTokenTest, IsKeptWhenAStreamIsOpenedAgain) {
  Logins logins;
  WatchServer server;
  logins.ServeAt(&server);
  RefuseStrangers(&server, &logins, "etcdserver: invalid auth token");
  const auto client = ConnectTo({server.url()}, WithUser());
  const auto watch = client->watches().Start("k");
  for (int i = 1; i <= 5; ++i) {
    server.WaitForCreated(i);
    server.Put();
    EXPECT_EQ(Read(watch.get(), 1), UpTo(i + 1, i + 1));
    server.BreakStreams(grpc::UNAVAILABLE, "broken");
  }
  server.WaitForCreated(6);
  EXPECT_EQ(logins.count(), 1);
}

// What servers say of a token that they don't know (restarted, run out), or that is older than a change of
// users. Before 3.4.23 and 3.5.9 it was "permission denied" for all of that.
TEST(WatchTokenTest, IsRenewedOnceWhenAServerRefusesIt) {
  for (const char* reason : {"etcdserver: invalid auth token", "etcdserver: revision of auth store is old",
                             "etcdserver: user name is empty", "etcdserver: permission denied",
                             "rpc error: code = PermissionDenied desc = etcdserver: permission denied"}) {
    SCOPED_TRACE(reason);
    Logins logins;
    WatchServer server;
    logins.ServeAt(&server);
    RefuseStrangers(&server, &logins, reason);
    const auto client = ConnectTo({server.url()}, WithUser());
    std::vector<std::unique_ptr<Watch>> watches;
    for (int i = 0; i < 5; ++i) watches.push_back(client->watches().Start("k"));
    server.WaitForCreated(5);
    logins.Forget();
    server.BreakStreams(grpc::UNAVAILABLE, "broken");
    server.WaitForCreated(10);
    server.Put();
    for (const auto& watch : watches) EXPECT_EQ(Read(watch.get(), 1), UpTo(2, 2));
    EXPECT_EQ(logins.count(), 2);
  }
}

TEST(WatchTokenTest, AWatchThatIsRefusedTakesItsStreamAlong) {
  Logins logins;
  WatchServer server;
  logins.ServeAt(&server);
  RefuseStrangers(&server, &logins, "etcdserver: permission denied");
  const auto client = ConnectTo({server.url()}, WithUser());
  const auto first = client->watches().Start("k", {.created_notify = true});
  ASSERT_TRUE(first->Next().ok());
  logins.Forget();
  const auto second = client->watches().Start("k", {.created_notify = true});
  const auto created = second->Next();
  ASSERT_TRUE(created.ok()) << created.status();
  server.Put();
  EXPECT_EQ(Read(first.get(), 1), UpTo(2, 2));
  EXPECT_EQ(Read(second.get(), 1), UpTo(2, 2));
  EXPECT_EQ(logins.count(), 2);
}

// The second as etcd up to 3.4 passes its inner errors on.
TEST(WatchTokenTest, AStreamThatEndsForItsTokenGoesOnWithANewOne) {
  const std::pair<grpc::StatusCode, const char*> ends[] = {
      {grpc::UNAUTHENTICATED, "etcdserver: invalid auth token"}, {grpc::UNKNOWN, "auth: invalid auth token"}};
  for (const auto& [code, text] : ends) {
    SCOPED_TRACE(text);
    Logins logins;
    WatchServer server;
    logins.ServeAt(&server);
    server.refuse = [&, code = code, text = text](ServerCall* call, WatchResponse*) {
      if (logins.Knows(*call)) return false;
      call->End(code, text);
      return true;
    };
    const auto client = ConnectTo({server.url()}, WithUser());
    const auto watch = client->watches().Start("k");
    server.WaitForCreated(1);
    logins.Forget();
    server.BreakStreams(grpc::UNAVAILABLE, "broken");
    server.Put();
    const auto response = watch->Next(std::chrono::seconds(60));
    ASSERT_TRUE(response.has_value());
    ASSERT_TRUE(response->ok()) << response->status();
    EXPECT_EQ((*response)->events(0).kv().mod_revision(), 2);
    EXPECT_EQ(logins.count(), 2);
  }
}

// A member that is told of logins elsewhere never, say: it has another key. Each watch tries, also one that
// is started when the member has come to its senses.
TEST(WatchTokenTest, IsNotRenewedForEverButForEachWatch) {
  for (const int attempts : {1, 4}) {
    Logins logins;
    WatchServer server;
    logins.ServeAt(&server);
    RefuseStrangers(&server, &logins, "etcdserver: invalid auth token");
    logins.ForgetAlways();
    const auto client = ConnectTo({server.url()}, WithUser(attempts));
    for (int i = 1; i <= 2; ++i) {
      const Status status = client->watches().Start("k")->Next().status();
      EXPECT_TRUE(absl::IsUnauthenticated(status)) << status;
      EXPECT_EQ(logins.count(), attempts * i);
    }
    logins.Remember();
    const auto created = client->watches().Start("k", {.created_notify = true})->Next();
    EXPECT_TRUE(created.ok()) << created.status();
    EXPECT_EQ(logins.count(), attempts * 2 + 1);
  }
}

// Missing rights are no reason to log in.
TEST(WatchTokenTest, ARefusalForRightsKeepsIt) {
  Logins logins;
  WatchServer server;
  logins.ServeAt(&server);
  RefuseStrangers(&server, &logins, "");
  server.refuse = [](ServerCall*, WatchResponse* response) {
    response->set_canceled(true);
    response->set_watch_id(-1);
    response->set_cancel_reason("etcdserver: permission denied");
    return true;
  };
  const auto client = ConnectTo({server.url()}, WithUser());
  for (int i = 0; i < 3; ++i) {
    const Status status = client->watches().Start("k")->Next().status();
    EXPECT_TRUE(absl::IsPermissionDenied(status)) << status;
  }
  EXPECT_EQ(logins.count(), 1);
}

}  // namespace
}  // namespace quorate::client
