// Streams that are given up before there was a connection, and the tokens that they start with.
#include "client/stream_opening.h"

#include <gtest/gtest.h>

#include <future>
#include <optional>
#include <string>

#include "client/core.h"
#include "client/fake_server_test.h"
#include "client/pulled_stream.h"
#include "client/watch_state.h"
#include "quorate/client/client.h"

namespace quorate::client {
namespace {

class GivenUp : public testing::Test {
 protected:
  GivenUp() : core_({}, nullptr) {
    OnLoop([this] { EXPECT_TRUE(core_.SetUrls({"http://127.0.0.1:1"}).ok()); });  // Nobody listens there.
  }
  void OnLoop(const std::function<void()>& work) {
    std::promise<void> done;
    core_.loop().Post([&] {
      work();
      done.set_value();
    });
    done.get_future().wait();
  }
  void ExpectWaiting(size_t count) { EXPECT_EQ(core_.balancer().waiting(), count); }

  Core core_;
};

TEST_F(GivenUp, NothingIsKeptOfIt) {
  OnLoop([this] {
    auto opening =
        std::make_shared<StreamOpening>(&core_, [](const auto&) { ADD_FAILURE() << "it was given up"; });
    opening->Start({}, Clock::time_point::max());
    ExpectWaiting(1);
    opening->Cancel();
    ExpectWaiting(0);
    const std::weak_ptr<StreamOpening> rest = opening;
    opening.reset();
    EXPECT_TRUE(rest.expired());
  });
}

TEST_F(GivenUp, AWatch) {
  OnLoop([this] {
    WatchStream stream(&core_, true);
    const auto watch = std::make_shared<WatchState>("k", WatchOptions(), nullptr, 1);
    stream.Add(watch);
    ExpectWaiting(1);
    stream.Remove(watch);
    ExpectWaiting(0);
  });
}

TEST_F(GivenUp, ALeasesRenewal) {
  OnLoop([this] {
    LeaseKeeper keeper(&core_);
    const auto lease = std::make_shared<KeepAliveState>(7, nullptr);
    keeper.Add(lease);
    ExpectWaiting(1);
    keeper.Remove(lease);
    ExpectWaiting(0);
  });
}

// Not given up: other members have been named meanwhile.
TEST_F(GivenUp, NotWhenThereAreOtherEndpoints) {
  FakeServer server;
  std::promise<std::string> opened;
  OnLoop([&] {
    std::make_shared<StreamOpening>(&core_, [&](const StatusOr<std::shared_ptr<Endpoint>>& endpoint) {
      opened.set_value(endpoint.ok() ? (*endpoint)->address().url : endpoint.status().ToString());
    })->Start({}, Clock::now() + std::chrono::minutes(1));
    ExpectWaiting(1);
    EXPECT_TRUE(core_.SetUrls({server.url()}).ok());
  });
  EXPECT_EQ(opened.get_future().get(), server.url());
}

TEST_F(GivenUp, AStreamThatIsRead) {
  const auto stream =
      std::make_shared<PulledStream>(&core_, kSnapshot, grpc::ByteBuffer(nullptr, 0), CallOptions());
  stream->Start();
  OnLoop([this] { ExpectWaiting(1); });
  stream->Cancel();
  OnLoop([this] { ExpectWaiting(0); });
}

// etcd up to 3.4 passes its inner errors on there.
class SnapshotServer : public FakeServer {
 public:
  SnapshotServer() {
    logins.ServeAt(this);
    On("Maintenance/Snapshot", [this](FakeServer::Call* call, const grpc::ByteBuffer&) {
      if (!logins.Knows(*call)) return call->End(grpc::UNKNOWN, "auth: invalid auth token");
      etcdserverpb::SnapshotResponse response;
      response.set_blob("x");
      call->Reply(response);
    });
  }
  ~SnapshotServer() override { Stop(); }

  Logins logins;
};

Status ReadSnapshot(Client* client) {
  const auto snapshot = client->maintenance().Snapshot();
  etcdserverpb::SnapshotResponse part;
  StatusOr<bool> more = snapshot->Next(&part);
  while (more.ok() && *more) more = snapshot->Next(&part);
  return more.status();
}

std::unique_ptr<Client> ConnectTo(const std::string& url, int max_attempts = 100) {
  auto client = Client::Connect({.endpoints = {url},
                                 .username = "u",
                                 .password = "p",
                                 .dial_timeout = std::chrono::minutes(1),
                                 .max_attempts = max_attempts});
  EXPECT_TRUE(client.ok()) << client.status();
  return *std::move(client);
}

TEST(StreamTokenTest, AStreamLogsInAgainOnlyWhenItIsRefused) {
  SnapshotServer server;
  const auto client = ConnectTo(server.url());
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(ReadSnapshot(client.get()).ok());
  EXPECT_EQ(server.logins.count(), 1);
  server.logins.Forget();
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(ReadSnapshot(client.get()).ok());
  EXPECT_EQ(server.logins.count(), 2);
}

TEST(StreamTokenTest, IsRenewedForTheNextStreamWhenThereIsButOneAttempt) {
  SnapshotServer server;
  const auto client = ConnectTo(server.url(), /*max_attempts=*/1);
  server.logins.Forget();
  EXPECT_EQ(Text(ReadSnapshot(client.get())), "auth: invalid auth token");
  const Status next = ReadSnapshot(client.get());
  EXPECT_TRUE(next.ok()) << next;
  EXPECT_EQ(server.logins.count(), 2);
}

class StreamTimeTest : public testing::TestWithParam<std::optional<grpc::Status>> {};

// Who tells it is a matter of chance: gRPC here, the server, or etcd 3.4 in its own way.
TEST_P(StreamTimeTest, TheEndIsToldInTheSameWords) {
  FakeServer server;
  const auto answer = [end = GetParam()](FakeServer::Call* call, const grpc::ByteBuffer&) {
    if (end) call->End(*end);
  };
  server.On("Maintenance/Snapshot", answer);
  server.On("Lease/LeaseKeepAlive", answer);
  server.On("KV/Put", [](FakeServer::Call* call, const grpc::ByteBuffer&) {
    call->Reply(etcdserverpb::PutResponse());
  });
  const auto client = *Client::Connect({.endpoints = {server.url()}});
  ASSERT_TRUE(client->kv().Put("k", "v", {}, {.timeout = std::chrono::minutes(1)}).ok());  // It is connected.
  const CallOptions call{.timeout = GetParam() ? std::chrono::minutes(1) : std::chrono::milliseconds(300)};
  etcdserverpb::SnapshotResponse part;
  const Status saved = client->maintenance().Snapshot(call)->Next(&part).status();
  EXPECT_TRUE(absl::IsDeadlineExceeded(saved)) << saved;
  EXPECT_EQ(Text(saved), "context deadline exceeded");
  if (!GetParam()) return;  // A fake server is not silent when a client has said all to LeaseKeepAlive.
  const Status renewed = client->leases().KeepAliveOnce(7, call).status();
  EXPECT_TRUE(absl::IsDeadlineExceeded(renewed)) << renewed;
  EXPECT_EQ(Text(renewed), "context deadline exceeded");
}

INSTANTIATE_TEST_SUITE_P(All, StreamTimeTest,
                         testing::Values(std::nullopt,
                                         grpc::Status(grpc::DEADLINE_EXCEEDED, "Deadline Exceeded"),
                                         grpc::Status(grpc::UNKNOWN, "context deadline exceeded")),
                         [](const auto& one) {
                           if (!one.param) return std::string("client");
                           return std::string(one.param->error_code() == grpc::UNKNOWN ? "etcd_3_4"
                                                                                       : "server");
                         });

}  // namespace
}  // namespace quorate::client
