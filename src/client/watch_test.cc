// Watches against a server that breaks, refuses and repeats as each case needs.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <condition_variable>
#include <set>

#include "client/fake_server_test.h"
#include "quorate/client/client.h"

namespace quorate::client {
namespace {

using etcdserverpb::WatchRequest;
using std::chrono::milliseconds;
using ServerCall = FakeServer::Call;
using List = std::vector<int64_t>;

// A member with a store of one key: Put makes a revision, and every watch sees those from its start on.
class WatchServer : public FakeServer {
 public:
  WatchServer() {
    On("Watch/Watch", [this](ServerCall* call, const grpc::ByteBuffer& bytes) {
      const auto request = Parse<WatchRequest>(bytes);
      const std::lock_guard lock(store_mutex_);
      if (request.has_create_request()) Create(call, request.create_request());
      if (request.has_cancel_request()) Cancel(request.cancel_request().watch_id());
      changed_.notify_all();
    });
  }
  ~WatchServer() override { Stop(); }

  void Put() {
    const std::lock_guard lock(store_mutex_);
    ++revision_;
    for (auto& [id, watcher] : watchers_) SendFrom(id, watcher);
  }
  void BreakStreams(grpc::StatusCode code, const std::string& text) {
    const std::lock_guard lock(store_mutex_);
    std::set<ServerCall*> calls;
    for (auto& [id, watcher] : watchers_) calls.insert(watcher.call);
    watchers_.clear();
    for (ServerCall* call : calls) call->End(code, text);
  }
  void WaitForCreated(size_t count) {
    std::unique_lock lock(store_mutex_);
    changed_.wait(lock, [&] { return starts_.size() >= count; });
  }
  void WaitForCancelled(size_t count) {
    std::unique_lock lock(store_mutex_);
    changed_.wait(lock, [&] { return cancelled_ >= count; });
  }
  List starts() {
    const std::lock_guard lock(store_mutex_);
    return starts_;
  }

  std::function<bool(ServerCall*, WatchResponse*)> refuse;  // May turn the confirmation into a refusal.
  std::atomic<bool> fragments = false;                      // Break each answer into one event each.
  std::atomic<int64_t> compacted = 0;

 private:
  void Gone(ServerCall* call) override {
    const std::lock_guard lock(store_mutex_);
    std::erase_if(watchers_, [&](const auto& one) { return one.second.call == call; });
  }

  struct Watcher {
    ServerCall* call;
    int64_t next;
  };

  void Create(ServerCall* call, const etcdserverpb::WatchCreateRequest& create) {
    WatchResponse response;
    response.mutable_header()->set_revision(revision_);
    response.set_created(true);
    response.set_watch_id(next_id_++);
    if (refuse && refuse(call, &response)) return call->Send(response);
    starts_.push_back(create.start_revision());
    call->Send(response);
    if (create.start_revision() != 0 && create.start_revision() < compacted) {
      response.set_created(false);
      response.set_canceled(true);
      response.set_compact_revision(compacted);
      return call->Send(response);
    }
    const int64_t start = create.start_revision() == 0 ? revision_ + 1 : create.start_revision();
    Watcher& watcher = watchers_[response.watch_id()] = {call, start};
    SendFrom(response.watch_id(), watcher);
  }
  void Cancel(int64_t id) {
    const auto it = watchers_.find(id);
    ++cancelled_;
    if (it == watchers_.end()) return;
    WatchResponse response;
    response.mutable_header()->set_revision(revision_);
    response.set_watch_id(id);
    response.set_canceled(true);
    it->second.call->Send(response);
    watchers_.erase(it);
  }
  void SendFrom(int64_t id, Watcher& watcher) {
    if (watcher.next > revision_) return;
    WatchResponse response;
    response.mutable_header()->set_revision(revision_);
    response.set_watch_id(id);
    for (; watcher.next <= revision_; ++watcher.next) {
      mvccpb::KeyValue* kv = response.add_events()->mutable_kv();
      kv->set_key("k");
      kv->set_mod_revision(watcher.next);
      if (!fragments) continue;
      response.set_fragment(watcher.next != revision_);
      watcher.call->Send(response);
      response.clear_events();
    }
    if (!response.events().empty()) watcher.call->Send(response);
  }

  std::mutex store_mutex_;
  std::condition_variable changed_;
  int64_t revision_ = 1;  // All under store_mutex_.
  int64_t next_id_ = 0;
  std::map<int64_t, Watcher> watchers_;
  List starts_;
  size_t cancelled_ = 0;
};

std::unique_ptr<Client> ConnectTo(std::vector<std::string> endpoints, Options options = {}) {
  options.endpoints = std::move(endpoints);
  options.request_timeout = milliseconds(0);
  auto client = Client::Connect(std::move(options));
  EXPECT_TRUE(client.ok()) << client.status();
  return *std::move(client);
}

// The revisions of the next events, as many as asked for.
List Read(Watch* watch, size_t count) {
  List revisions;
  while (revisions.size() < count) {
    const StatusOr<WatchResponse> response = watch->Next();
    EXPECT_TRUE(response.ok()) << response.status();
    if (!response.ok()) break;
    for (const auto& event : response->events()) revisions.push_back(event.kv().mod_revision());
  }
  return revisions;
}

List UpTo(int64_t first, int64_t last) {
  List list;
  for (; first <= last; ++first) list.push_back(first);
  return list;
}

struct EndCase {
  const char* name;
  grpc::StatusCode code;
  const char* text;
};

class BrokenStream : public testing::TestWithParam<EndCase> {};

TEST_P(BrokenStream, IsOpenedAgainWhereItStood) {
  WatchServer server;
  const auto client = ConnectTo({server.url()});
  const auto watch = client->watches().Start("k");
  server.WaitForCreated(1);
  server.Put();
  EXPECT_EQ(Read(watch.get(), 1), UpTo(2, 2));
  server.BreakStreams(GetParam().code, GetParam().text);
  server.Put();
  server.Put();
  EXPECT_EQ(Read(watch.get(), 2), UpTo(3, 4));
  EXPECT_EQ(server.starts(), (List{0, 3}));
}

INSTANTIATE_TEST_SUITE_P(All, BrokenStream,
                         testing::Values(EndCase{"unavailable", grpc::UNAVAILABLE,
                                                 "etcdserver: server stopped"},
                                         EndCase{"no_leader", grpc::UNAVAILABLE, "etcdserver: no leader"},
                                         EndCase{"cancelled", grpc::CANCELLED, "etcdserver: watch canceled"},
                                         EndCase{"in_peace", grpc::OK, ""},
                                         EndCase{"internal", grpc::INTERNAL, "stream terminated"}),
                         [](const auto& one) { return std::string(one.param.name); });

TEST(WatchTest, WhatCameBeforeTheFirstEventIsNotLost) {
  WatchServer server;
  const auto client = ConnectTo({server.url()});
  const auto watch = client->watches().Start("k");
  server.WaitForCreated(1);
  // Read the confirmation, so that the client has seen it before the stream breaks.
  const auto other = client->watches().Start("k", {.created_notify = true});
  EXPECT_TRUE(other->Next()->created());
  server.BreakStreams(grpc::UNAVAILABLE, "");
  server.Put();
  EXPECT_EQ(Read(watch.get(), 1), UpTo(2, 2));
}

TEST(WatchTest, AKilledServerIsWaitedFor) {
  WatchServer server;
  const auto client = ConnectTo({server.url()});
  const auto watch = client->watches().Start("k", {.start_revision = 1});
  EXPECT_EQ(Read(watch.get(), 1), UpTo(1, 1));
  server.BreakStreams(grpc::UNAVAILABLE, "");
  server.Stop();
  server.Put();
  server.Restart();
  EXPECT_EQ(Read(watch.get(), 1), UpTo(2, 2));
}

TEST(WatchTest, AnotherEndpointTakesOver) {
  WatchServer first;
  WatchServer second;
  const auto client = ConnectTo({first.url()});
  const auto watch = client->watches().Start("k", {.start_revision = 1});
  first.WaitForCreated(1);
  for (WatchServer* server : {&first, &second}) server->Put();
  EXPECT_EQ(Read(watch.get(), 2), UpTo(1, 2));
  ASSERT_TRUE(client->SetEndpoints({second.url()}).ok());
  first.BreakStreams(grpc::UNAVAILABLE, "etcdserver: no leader");
  second.Put();
  EXPECT_EQ(Read(watch.get(), 1), UpTo(3, 3));
}

TEST(WatchTest, ManyOnOneStreamComeBackEachAtItsPlace) {
  WatchServer server;
  const auto client = ConnectTo({server.url()});
  for (int i = 0; i < 9; ++i) server.Put();
  std::vector<std::unique_ptr<Watch>> watches;
  for (int i = 0; i < 50; ++i)
    watches.push_back(client->watches().Start("k", {.start_revision = 1 + i % 10}));
  for (int round = 0; round < 3; ++round) {
    const int64_t top = 10 + round;
    for (int i = 0; i < 50; ++i) {
      const int64_t from = round == 0 ? 1 + i % 10 : top;
      EXPECT_EQ(Read(watches[i].get(), top - from + 1), UpTo(from, top));
    }
    server.BreakStreams(grpc::UNAVAILABLE, "");
    server.Put();
  }
}

TEST(WatchTest, FragmentsComeTogether) {
  WatchServer server;
  server.fragments = true;
  const auto client = ConnectTo({server.url()});
  for (int i = 0; i < 9; ++i) server.Put();
  const auto watch = client->watches().Start("k", {.start_revision = 1});
  const StatusOr<WatchResponse> response = watch->Next();
  ASSERT_TRUE(response.ok());
  EXPECT_EQ(response->events_size(), 10);
}

TEST(WatchTest, CompactionIsTheEndAndSaysWhereToGoOn) {
  WatchServer server;
  server.compacted = 5;
  const auto client = ConnectTo({server.url()});
  for (int i = 0; i < 9; ++i) server.Put();
  const auto watch = client->watches().Start("k", {.start_revision = 2});
  const Status status = watch->Next().status();
  EXPECT_TRUE(IsCompacted(status)) << status;
  EXPECT_EQ(status.code(), absl::StatusCode::kOutOfRange);
  EXPECT_EQ(watch->compact_revision(), 5);
  EXPECT_EQ(watch->end_header().revision(), 10);
  EXPECT_TRUE(IsCompacted(watch->Next().status()));
}

TEST(WatchTest, ARefusalEndsOnlyTheWatchRefused) {
  WatchServer server;
  std::atomic<bool> refusing = false;
  server.refuse = [&](ServerCall*, WatchResponse* response) {
    if (!refusing) return false;
    response->set_canceled(true);
    response->set_watch_id(-1);
    response->set_cancel_reason("rpc error: code = PermissionDenied desc = etcdserver: permission denied");
    return true;
  };
  const auto client = ConnectTo({server.url()});
  const auto fine = client->watches().Start("k");
  server.WaitForCreated(1);
  refusing = true;
  const auto refused = client->watches().Start("k");
  const Status status = refused->Next().status();
  EXPECT_EQ(status.code(), absl::StatusCode::kPermissionDenied);
  EXPECT_EQ(Text(status), "etcdserver: permission denied");
  server.Put();
  EXPECT_EQ(Read(fine.get(), 1), UpTo(2, 2));
}

TEST(WatchTest, CancelEndsItAndTheServerIsTold) {
  WatchServer server;
  const auto client = ConnectTo({server.url()});
  const auto kept = client->watches().Start("k");
  auto watch = client->watches().Start("k", {.created_notify = true});
  ASSERT_TRUE(watch->Next().ok());
  watch->Cancel();
  EXPECT_TRUE(absl::IsCancelled(watch->Next().status()));
  server.WaitForCancelled(1);
  server.Put();
  EXPECT_EQ(Read(kept.get(), 1), UpTo(2, 2));
}

TEST(WatchTest, NextWithATimeoutGivesUp) {
  WatchServer server;
  const auto client = ConnectTo({server.url()});
  const auto watch = client->watches().Start("k");
  EXPECT_FALSE(watch->Next(milliseconds(1)).has_value());
}

TEST(WatchTest, AHandlerHearsEventsAndTheEnd) {
  WatchServer server;
  auto client = ConnectTo({server.url()});
  std::promise<int64_t> seen;
  std::promise<Status> ended;
  const auto watch = client->watches().Start("k", {}, [&](const StatusOr<WatchResponse>& response) {
    if (response.ok()) {
      seen.set_value(response->events(0).kv().mod_revision());
    } else {
      ended.set_value(response.status());
    }
  });
  server.WaitForCreated(1);
  server.Put();
  EXPECT_EQ(seen.get_future().get(), 2);
  client.reset();
  EXPECT_TRUE(absl::IsCancelled(ended.get_future().get()));
}

TEST(WatchTest, ASlowReaderIsSuspendedAndMissesNothing) {
  WatchServer server;
  Options options;
  options.watch_buffer_bytes = 200;
  const auto client = ConnectTo({server.url()}, options);
  const auto slow = client->watches().Start("k", {.start_revision = 1});
  const auto quick = client->watches().Start("k", {.start_revision = 1});
  server.WaitForCreated(2);
  List seen = Read(quick.get(), 1);
  for (int i = 0; i < 200; ++i) {
    server.Put();
    for (const int64_t revision : Read(quick.get(), 1)) seen.push_back(revision);
  }
  EXPECT_EQ(seen, UpTo(1, 201));
  server.WaitForCancelled(1);
  EXPECT_EQ(Read(slow.get(), 201), UpTo(1, 201));
}

// Tokens.

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
