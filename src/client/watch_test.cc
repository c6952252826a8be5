// Watches of a client: what becomes of them when streams break, and how each ends.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <future>
#include <mutex>

#include "client/watch_server_test.h"

namespace quorate::client {
namespace {

using std::chrono::milliseconds;

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

TEST(WatchTest, NextWithALongTimeoutWaits) {
  WatchServer server;
  const auto client = ConnectTo({server.url()});
  const auto watch = client->watches().Start("k");
  auto next = std::async(std::launch::async, [&] { return watch->Next(milliseconds::max()); });
  watch->Cancel();
  const auto end = next.get();
  ASSERT_TRUE(end.has_value());
  EXPECT_TRUE(absl::IsCancelled(end->status()));
  EXPECT_TRUE(watch->Next(milliseconds(-1)).has_value());
}

TEST(WatchTest, AHandlerThatAlwaysStartsAgainDoesNotHoldUpTheEnd) {
  WatchServer server;
  auto client = ConnectTo({server.url()});
  std::vector<std::unique_ptr<Watch>> watches;
  std::function<void()> again = [&, hub = &client->watches()] {
    watches.push_back(hub->Start("k", {}, [&](const auto&) { again(); }));
  };
  again();
  server.WaitForCreated(1);
  client.reset();
  ASSERT_EQ(watches.size(), 2U);
  EXPECT_TRUE(absl::IsCancelled(watches[1]->Next().status()));
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

// Both are to hear of the same answer: whichever is first cancels the other.
TEST(WatchTest, AfterCancelInAHandlerNoHandlerIsCalled) {
  WatchServer server;
  auto client = ConnectTo({server.url()});
  std::unique_ptr<Watch> watches[2];
  std::promise<void> heard;
  int calls = 0;
  for (int i = 0; i < 2; ++i) {
    watches[i] = client->watches().Start("k", {}, [&, i](const StatusOr<WatchResponse>& response) {
      if (!response.ok()) return;
      watches[1 - i].reset();
      if (++calls == 1) heard.set_value();
    });
  }
  server.WaitForCreated(2);
  client->watches().RequestProgress();
  heard.get_future().wait();
  client.reset();
  EXPECT_EQ(calls, 1);
}

TEST(WatchTest, AHandlerMayDestroyItsWatch) {
  WatchServer server;
  auto client = ConnectTo({server.url()});
  // Keeps the stream.
  const auto other = client->watches().Start("k");
  std::mutex mutex;  // The server makes the same order, but by gRPC, where ThreadSanitizer does not see it.
  std::unique_ptr<Watch> watch;
  int calls = 0;
  std::promise<void> heard;
  {
    const std::lock_guard lock(mutex);
    watch = client->watches().Start("k", {}, [&, held = std::make_shared<int>(0)](const auto&) {
      const std::lock_guard locked(mutex);
      ++*held;
      if (++calls == 1) heard.set_value();
      watch.reset();
    });
  }
  server.WaitForCreated(2);
  for (int i = 0; i < 20; ++i) server.Put();
  heard.get_future().wait();
  EXPECT_EQ(Read(other.get(), 20), UpTo(2, 21));
  client.reset();
  EXPECT_EQ(calls, 1);
}

// It comes to the client's thread before the task that takes it up does.
TEST(WatchTest, AWatchMayBeDestroyedOnTheClientsThreadAtOnce) {
  WatchServer server;
  auto client = ConnectTo({server.url()});
  int calls = 0;
  std::promise<void> started;
  const auto watch =
      client->watches().Start("k", {.created_notify = true}, [&](const StatusOr<WatchResponse>& response) {
        if (!response.ok()) return;
        client->watches().Start("k", {.start_revision = 1}, [&](const auto&) { ++calls; });
        started.set_value();
      });
  started.get_future().wait();
  EXPECT_EQ(Read(client->watches().Start("k", {.start_revision = 1}).get(), 1), UpTo(1, 1));
  client.reset();
  EXPECT_EQ(calls, 0);
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

}  // namespace
}  // namespace quorate::client
