#include "rpc/snapshot_stream.h"

#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <thread>
#include <vector>

#include "rpc/service_harness_test.h"

namespace quorate::rpc {
namespace {

class SnapshotStreamTest : public ServiceTest {
 protected:
  void Register(const SnapshotPatience& patience) {
    context_->AddStreaming(servers(), "etcdserverpb.Maintenance", "Snapshot", CallType::kServerStream,
                           [this, patience](Stream stream) {
                             return MakeSnapshotStream(context_.get(), &loop_, stream, patience);
                           });
  }
  void Ask(TestClient* client) { ServiceTest::Ask("/etcdserverpb.Maintenance/Snapshot", "", client); }
  // The copies have threads of their own.
  bool Until(const std::function<bool()>& condition) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    while (!condition() && std::chrono::steady_clock::now() < end) {
      Round();
      std::this_thread::yield();
    }
    return condition();
  }
};

// There are few places: those who hold them and read nothing make room for one who reads.
TEST_F(SnapshotStreamTest, WhoReadsNothingMakesRoom) {
  Register({.look = std::chrono::milliseconds(1), .looks_while_others_wait = 3, .looks = 1'000'000'000});
  std::vector<TestClient> unread(limits::kSnapshotStreamsMax);
  for (TestClient& client : unread) {
    client.reads_nothing = true;
    Ask(&client);
  }
  ASSERT_TRUE(Until([&] { return !unread.back().responses.empty(); }));
  for (const TestClient& client : unread) EXPECT_FALSE(client.ended) << client.text;
  TestClient reader;
  Ask(&reader);
  ASSERT_TRUE(Until([&] { return reader.ended; }));
  EXPECT_EQ(reader.code, net::Code::kOk) << reader.text;
  size_t ended = 0;
  for (const TestClient& client : unread) {
    if (!client.ended) continue;
    ++ended;
    EXPECT_EQ(client.code, net::Code::kResourceExhausted);
    EXPECT_EQ(client.text.substr(0, 49), "etcdserver: nothing of the snapshot was read for ");
  }
  EXPECT_GT(ended, 0U);
}

TEST_F(SnapshotStreamTest, WhoReadsNothingForLongIsEndedInAnyCase) {
  Register({.look = std::chrono::milliseconds(1), .looks_while_others_wait = 1'000'000'000, .looks = 5});
  TestClient unread;
  unread.reads_nothing = true;
  Ask(&unread);
  ASSERT_TRUE(Until([&] { return unread.ended; }));
  EXPECT_EQ(unread.code, net::Code::kResourceExhausted);
  // One who reads is not looked at.
  TestClient reader;
  Ask(&reader);
  ASSERT_TRUE(Until([&] { return reader.ended; }));
  EXPECT_EQ(reader.code, net::Code::kOk) << reader.text;
}

}  // namespace
}  // namespace quorate::rpc
