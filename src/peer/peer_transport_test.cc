// Real transports and servers on loopback, members that record.
#include "peer/peer_transport.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "cluster/member.h"
#include "mvcc/backend.h"
#include "peer/message_codec.h"
#include "peer/peer_test_harness.h"
#include "peer/peer_test_messages.h"

namespace quorate::peer {
namespace {

using raft::MessageType;

class TransportTest : public testing::Test {
 protected:
  void SetUp() override {
    KeepQuiet();
    a_ = std::make_unique<TestMember>(&loop_, 0xa);
    b_ = std::make_unique<TestMember>(&loop_, 0xb);
  }
  void TearDown() override {
    a_.reset();
    b_.reset();
  }
  // Both know each other and all four streams are open.
  void Connect() {
    a_->Know(*b_);
    b_->Know(*a_);
    a_->Start();
    b_->Start();
    ASSERT_TRUE(Until([&] { return StreamsOpen(*a_, *b_) && StreamsOpen(*b_, *a_); }));
  }
  bool Until(const std::function<bool()>& condition) { return TurnUntil(&loop_, condition); }
  // Whether what `from` sends goes by streams: found out by the requests that `to` has not got.
  static bool StreamsOpen(TestMember& from, TestMember& to) {
    return from.transport->open_streams(to.id) == 2;
  }
  raft::Message Append(raft::Index index, size_t bytes = 10) {
    return {.type = MessageType::kApp,
            .to = b_->id,
            .from = a_->id,
            .term = 3,
            .log_term = 3,
            .index = index,
            .entries = {{.term = 3, .index = index + 1, .data = std::string(bytes, 'd')}},
            .commit = index};
  }
  raft::Message Heartbeat() {
    return {.type = MessageType::kHeartbeat, .to = b_->id, .from = a_->id, .term = 3};
  }

  net::Loop loop_;
  std::unique_ptr<TestMember> a_;
  std::unique_ptr<TestMember> b_;
};

TEST_F(TransportTest, MessagesArriveInOrderAndWhole) {
  Connect();
  std::vector<raft::Message> sent;
  for (raft::Index i = 0; i < 500; ++i) sent.push_back(Append(i, i * 10));
  for (size_t i = 0; i < sent.size(); i += 50) {
    a_->transport->Send(
        {sent.begin() + static_cast<ptrdiff_t>(i), sent.begin() + static_cast<ptrdiff_t>(i) + 50});
  }
  ASSERT_TRUE(Until([&] { return b_->events.stepped.size() == sent.size(); }));
  for (size_t i = 0; i < sent.size(); ++i) {
    EXPECT_TRUE(Same(sent[i], b_->events.stepped[i])) << i;
    EXPECT_EQ(server::MessagePath::kStream, b_->events.paths[i]) << i;
  }
  a_->transport->Send({Heartbeat()});
  ASSERT_TRUE(Until([&] { return b_->events.stepped.size() == sent.size() + 1; }));
  EXPECT_EQ(MessageType::kHeartbeat, b_->events.stepped.back().type);
  EXPECT_GT(a_->transport->ActiveSince(b_->id), 0);
  EXPECT_TRUE(a_->metrics(b_->id).active);
  EXPECT_GT(a_->metrics(b_->id).sent_bytes, 100'000u);
  EXPECT_GT(b_->metrics(a_->id).received_bytes, 100'000u);
}

TEST_F(TransportTest, PostIsTheWayBeforeStreamsAreOpen) {
  a_->Know(*b_);
  a_->Start();
  b_->Start();  // Does not know a, so it dials nobody.
  a_->transport->Send({Heartbeat(), Append(5)});
  ASSERT_TRUE(Until([&] { return b_->events.stepped.size() == 2; }));
  EXPECT_TRUE(b_->transport->metrics().peers.at(a_->id).received_bytes > 0);
}

TEST_F(TransportTest, PostsInTheNameOfAMemberWhoseStreamIsReadAreNotTaken) {
  Connect();
  const auto post = [&](MessageType type, uint64_t from) {
    std::string body;
    raft::Message message{.type = type, .to = b_->id, .from = from};
    if (type != MessageType::kProp) message.term = 3;
    if (type == MessageType::kProp) message.entries.emplace_back();
    AppendMessage(body, message);
    RawSocket socket(&loop_, b_->port);
    socket.Write(
        "POST /raft HTTP/1.1\r\nHost: h\r\nConnection: close\r\nX-Server-Version: 3.4.23\r\n"
        "X-Min-Cluster-Version: 3.0.0\r\nX-Etcd-Cluster-Id: c1\r\nX-Server-From: " +
        cluster::IdText(from) + "\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body);
    return socket.ReadAll().substr(9, 3);
  };
  a_->transport->Send({Heartbeat()});
  ASSERT_TRUE(Until([&] { return b_->events.stepped.size() == 1; }));
  const size_t before = 1;
  for (const MessageType type : {MessageType::kHeartbeat, MessageType::kVote, MessageType::kAppResp}) {
    EXPECT_EQ("204", post(type, a_->id));
  }
  EXPECT_EQ(before, b_->events.stepped.size());
  EXPECT_EQ("204", post(MessageType::kProp, a_->id));
  EXPECT_EQ("204", post(MessageType::kHeartbeat, 0xdead));
  EXPECT_EQ(before + 2, b_->events.stepped.size());
}

TEST_F(TransportTest, WhatCannotGoOutIsDroppedAndReportedLater) {
  RawListener silent(&loop_);
  a_->transport->AddPeer(0xd, {silent.url()});
  a_->Start();
  for (int i = 0; i < 200; ++i) {
    raft::Message m = Heartbeat();
    m.to = 0xd;
    a_->transport->Send({m});
  }
  EXPECT_TRUE(a_->events.unreachable.empty());  // Never from within Send.
  ASSERT_TRUE(Until([&] { return a_->events.unreachable.contains(0xd); }));
  EXPECT_EQ(1, a_->events.unreachable[0xd]);  // Once a round.
  EXPECT_EQ(200u - 64 - 4, a_->metrics(0xd).sent_failures);
}

TEST_F(TransportTest, AMemberThatReadsNothingCostsBoundedMemory) {
  a_->transport->AddPeer(b_->id, {b_->url()});
  a_->Start();
  // Opens a stream and never reads it.
  RawSocket stream(&loop_, a_->port);
  stream.Write(
      "GET /raft/stream/msgapp/b HTTP/1.1\r\nHost: h\r\nX-Server-Version: 3.4.23\r\nX-Min-Cluster-Version: "
      "3.0.0\r\nX-Etcd-Cluster-Id: c1\r\nX-Raft-To: a\r\n\r\n");
  ASSERT_TRUE(Until([&] { return a_->transport->open_streams(b_->id) == 1; }));
  for (raft::Index i = 0; i < 200; ++i) a_->transport->Send({Append(i, 1'000'000)});
  ASSERT_TRUE(Until([&] { return a_->events.unreachable.contains(b_->id); }));
  EXPECT_GT(a_->metrics(b_->id).sent_failures, 100u);
  EXPECT_LT(a_->metrics(b_->id).sent_bytes, 20'000'000u);
}

TEST_F(TransportTest, ANewerStreamReplacesTheOlder) {
  a_->transport->AddPeer(0xd, {"http://127.0.0.1:1"});
  a_->Start();
  const std::string request =
      "GET /raft/stream/message/d HTTP/1.1\r\nHost: h\r\nX-Server-Version: 3.4.23\r\nX-Min-Cluster-Version: "
      "3.0.0\r\n"
      "X-Etcd-Cluster-Id: c1\r\nX-Raft-To: a\r\n\r\n";
  RawSocket first(&loop_, a_->port);
  first.Write(request);
  first.ReadUntil("\r\n\r\n");
  RawSocket second(&loop_, a_->port);
  second.Write(request);
  second.ReadUntil("\r\n\r\n");
  first.ReadUntil("0\r\n\r\n");
  raft::Message m = Heartbeat();
  m.to = 0xd;
  a_->transport->Send({m});
  std::string bytes;
  AppendMessage(bytes, m);
  second.ReadUntil(bytes);
}

TEST_F(TransportTest, StreamsComeBackAfterTheOtherWasAway) {
  Connect();
  const uint16_t port = b_->port;
  b_.reset();
  ASSERT_TRUE(Until([&] { return a_->transport->ActiveSince(0xb) == 0; }));
  EXPECT_TRUE(Until([&] { return a_->events.unreachable[0xb] > 0; }));
  EXPECT_FALSE(a_->metrics(0xb).active);
  EXPECT_GT(a_->metrics(0xb).disconnected, 0u);
  b_ = std::make_unique<TestMember>(&loop_, 0xb, port);
  b_->Know(*a_);
  b_->Start();
  ASSERT_TRUE(Until([&] { return StreamsOpen(*a_, *b_) && StreamsOpen(*b_, *a_); }));
  a_->transport->Send({Append(1)});
  EXPECT_TRUE(Until([&] { return b_->events.stepped.size() == 1; }));
}

TEST_F(TransportTest, AStopSendsWhatWaits) {
  Connect();
  for (raft::Index i = 0; i < 20; ++i) a_->transport->Send({Append(i, 500'000)});
  a_->transport->Stop();
  ASSERT_TRUE(Until([&] { return b_->events.stepped.size() == 20; }));
  a_->transport->Send({Append(30)});
  EXPECT_EQ(0, a_->transport->ActiveSince(b_->id));
}

TEST_F(TransportTest, OneThatWasRemovedIsTold) {
  a_->events.removed.insert(b_->id);
  b_->Know(*a_);
  a_->Start();
  b_->Start();
  ASSERT_TRUE(Until([&] { return b_->events.refused_as_removed > 0; }));
  EXPECT_EQ(1, b_->events.refused_as_removed);
}

TEST_F(TransportTest, OneThatPostsAfterItsRemovalIsTold) {
  a_->events.removed.insert(b_->id);
  b_->Know(*a_);
  a_->Start();
  b_->Start();
  raft::Message m{.type = MessageType::kVote, .to = a_->id, .from = b_->id, .term = 9};
  b_->transport->Send({m});
  ASSERT_TRUE(
      Until([&] { return b_->events.refused_as_removed == 1 && b_->events.unreachable[a_->id] > 0; }));
  EXPECT_TRUE(a_->events.stepped.empty());
}

TEST_F(TransportTest, AnotherClusterIsRefusedInBothDirections) {
  a_->Know(*b_);
  b_->Know(*a_);
  a_->Start(0xc1);
  b_->Start(0xc2);
  a_->transport->Send({Heartbeat()});
  ASSERT_TRUE(Until([&] { return a_->events.unreachable[b_->id] > 0; }));
  EXPECT_TRUE(b_->events.stepped.empty());
  EXPECT_EQ(0, a_->transport->ActiveSince(b_->id));
  EXPECT_EQ(0, a_->transport->open_streams(b_->id));
}

TEST_F(TransportTest, MessagesInAnothersNameOrToAnotherAreDropped) {
  Connect();
  raft::Message forged = Heartbeat();
  forged.from = 0xf;
  raft::Message astray = Heartbeat();
  astray.to = b_->id;
  a_->transport->Send({forged, astray});
  raft::Message forwarded{.type = MessageType::kProp, .to = b_->id, .from = 0xf, .entries = {{.data = "x"}}};
  a_->transport->Send({forwarded});
  ASSERT_TRUE(Until([&] { return b_->events.stepped.size() == 2; }));
  EXPECT_EQ(a_->id, b_->events.stepped[0].from);
  EXPECT_EQ(MessageType::kProp, b_->events.stepped[1].type);
}

TEST_F(TransportTest, WhatNoMemberMaySayEndsTheStreamOnly) {
  Connect();
  raft::Message local{.type = MessageType::kHup, .to = b_->id, .from = a_->id};
  a_->transport->Send({local, Heartbeat()});
  ASSERT_TRUE(Until([&] { return a_->transport->open_streams(b_->id) == 1; }));
  EXPECT_TRUE(b_->events.stepped.empty());
  ASSERT_TRUE(Until([&] { return StreamsOpen(*a_, *b_); }));
  a_->transport->Send({Heartbeat()});
  EXPECT_TRUE(Until([&] { return b_->events.stepped.size() == 1; }));
}

TEST_F(TransportTest, AMessageMayLeadToTheRemovalOfItsSender) {
  Connect();
  b_->events.on_step = [&](const raft::Message&) { b_->transport->RemovePeer(a_->id); };
  a_->transport->Send({Append(1), Append(2), Heartbeat()});
  ASSERT_TRUE(Until([&] { return !b_->events.stepped.empty(); }));
  for (int i = 0; i < 100; ++i) loop_.RunRound(false);
  EXPECT_EQ(1u, b_->events.stepped.size());
  EXPECT_EQ(0, b_->transport->ActiveSince(a_->id));
}

TEST_F(TransportTest, CallsAreAnsweredByTheMember) {
  Connect();
  StatusOr<server::PeerAnswer> got = Unknown("none yet");
  int calls = 0;
  a_->transport->Call(
      b_->id, {.method = "POST", .path = "/leases?x=1", .body = "body", .content_type = "t/y", .token = ""},
      5'000'000'000, [&](StatusOr<server::PeerAnswer> answer) {
        got = std::move(answer);
        ++calls;
      });
  EXPECT_EQ(0, calls);
  ASSERT_TRUE(Until([&] { return calls == 1; }));
  ASSERT_TRUE(got.ok()) << got.status();
  EXPECT_EQ(200, got->status);
  EXPECT_EQ("POST /leases?x=1 body", got->body);
  EXPECT_EQ("text/x", got->content_type);
  EXPECT_EQ("t/y", b_->events.served[0].content_type);
}

TEST_F(TransportTest, CallsToNobodyAndWithoutAnAnswerFail) {
  Connect();
  b_->events.hold_answers = true;
  Status unknown;
  Status late;
  server::PeerCall version;
  version.path = "/version";
  a_->transport->Call(0x99, version, 1'000'000'000,
                      [&](const StatusOr<server::PeerAnswer>& answer) { unknown = answer.status(); });
  a_->transport->Call(b_->id, version, 50'000'000,
                      [&](const StatusOr<server::PeerAnswer>& answer) { late = answer.status(); });
  ASSERT_TRUE(Until([&] { return !unknown.ok() && !late.ok(); }));
  EXPECT_TRUE(absl::IsUnavailable(unknown)) << unknown;
  EXPECT_TRUE(absl::IsDeadlineExceeded(late)) << late;
}

// A database of about `bytes`, for snapshots at index 77 and before.
std::shared_ptr<mvcc::Backend::Snapshot> MakeDatabase(TestMember& member, size_t bytes) {
  static int number = 0;
  auto backend = mvcc::Backend::Open(member.env, "/db" + std::to_string(++number), {});
  EXPECT_TRUE(backend.ok()) << backend.status();
  (*backend)->SetConsistentIndex(77, 3);
  for (size_t i = 0; i < bytes / 1000; ++i) {
    (*backend)->Put(mvcc::Bucket::kLease, std::to_string(i),
                    std::string(1000, static_cast<char>('a' + i % 26)));
  }
  std::shared_ptr<mvcc::Backend::Snapshot> snapshot;
  (*backend)->BeginSnapshot([&](auto s) { snapshot = s.value(); });
  for (int i = 0; i < 100 && snapshot == nullptr; ++i) member.executor.RunCompletions();
  EXPECT_NE(nullptr, snapshot);
  static_cast<void>((*backend)->Close());
  return snapshot;
}

raft::Message SnapshotMessage(const TestMember& from, const TestMember& to, raft::Index index) {
  return {.type = MessageType::kSnap,
          .to = to.id,
          .from = from.id,
          .term = 3,
          .snapshot = MakeSnapshot(index, 3)};
}

std::string Contents(const mvcc::Backend::Snapshot& snapshot) {
  std::string all;
  EXPECT_TRUE(const_cast<mvcc::Backend::Snapshot&>(snapshot)
                  .CopyTo([&](std::string_view chunk) {
                    all.append(chunk);
                    return absl::OkStatus();
                  })
                  .ok());
  return all;
}

TEST_F(TransportTest, ASnapshotArrivesBeforeItsMessageIsStepped) {
  Connect();
  const auto database = MakeDatabase(*a_, 20'000'000);
  bool there_when_stepped = false;
  b_->events.on_step = [&](const raft::Message&) {
    there_when_stepped = b_->files.Exists(b_->snapshot_files.DatabasePath(77));
  };
  a_->transport->SendSnapshot(SnapshotMessage(*a_, *b_, 77), database);
  ASSERT_TRUE(Until([&] { return !a_->events.snapshots.empty(); }));
  EXPECT_EQ((std::pair<uint64_t, bool>(b_->id, true)), a_->events.snapshots[0]);
  ASSERT_EQ(1u, b_->events.stepped.size());
  EXPECT_TRUE(Same(SnapshotMessage(*a_, *b_, 77), b_->events.stepped[0]));
  EXPECT_TRUE(there_when_stepped);
  EXPECT_TRUE(Contents(*database) == b_->files.ReadAll(b_->snapshot_files.DatabasePath(77)).value());
  EXPECT_EQ(1u, b_->files.List("/snap").value().size());
  EXPECT_EQ(1u, a_->metrics(b_->id).snapshot_send.success);
  EXPECT_EQ(0, a_->metrics(b_->id).snapshot_send.inflights);
  EXPECT_EQ(1u, b_->metrics(a_->id).snapshot_receive.success);
  EXPECT_EQ(0, b_->metrics(a_->id).snapshot_receive.inflights);
}

// The bytes of a database until reading fails.
class BrokenDatabase : public mvcc::Backend::Snapshot {
 public:
  explicit BrokenDatabase(std::string bytes) : bytes_(std::move(bytes)) {}
  uint64_t size_bytes() const override { return bytes_.size() * 2; }
  Status CopyTo(const std::function<Status(std::string_view)>& write) override {
    QUORATE_RETURN_IF_ERROR(write(bytes_));
    return DataLoss("the disk gave out");
  }
  StatusOr<uint32_t> Hash(const std::vector<std::string>&) override { return 0; }

 private:
  const std::string bytes_;
};

TEST_F(TransportTest, ASnapshotThatBreaksOffLeavesNothing) {
  Connect();
  const auto database = std::make_shared<BrokenDatabase>(Contents(*MakeDatabase(*a_, 1'000'000)));
  a_->transport->SendSnapshot(SnapshotMessage(*a_, *b_, 77), database);
  ASSERT_TRUE(Until([&] { return !a_->events.snapshots.empty(); }));
  EXPECT_FALSE(a_->events.snapshots[0].second);
  ASSERT_TRUE(Until([&] { return b_->metrics(a_->id).snapshot_receive.failures == 1; }));
  for (int i = 0; i < 10; ++i) loop_.RunRound(false);
  EXPECT_TRUE(b_->events.stepped.empty());
  EXPECT_TRUE(b_->files.List("/snap").value().empty());
  EXPECT_EQ(1u, a_->metrics(b_->id).snapshot_send.failures);
}

TEST_F(TransportTest, SnapshotsAreReportedHoweverTheyEnd) {
  Connect();
  const auto database = MakeDatabase(*a_, 3'000'000);
  raft::Message unknown = SnapshotMessage(*a_, *b_, 5);
  unknown.to = 0x77;
  a_->transport->SendSnapshot(unknown, database);
  EXPECT_TRUE(a_->events.snapshots.empty());
  ASSERT_TRUE(Until([&] { return a_->events.snapshots.size() == 1; }));
  // The other's disk refuses.
  b_->files.InjectError(SimOperation::kWrite, 1);
  a_->transport->SendSnapshot(SnapshotMessage(*a_, *b_, 6), database);
  ASSERT_TRUE(Until([&] { return a_->events.snapshots.size() == 2; }));
  // The member is removed meanwhile.
  a_->transport->SendSnapshot(SnapshotMessage(*a_, *b_, 7), database);
  loop_.RunRound(false);
  a_->transport->RemovePeer(b_->id);
  ASSERT_TRUE(Until([&] { return a_->events.snapshots.size() == 3; }));
  for (const auto& [id, ok] : a_->events.snapshots) EXPECT_FALSE(ok) << id;
  EXPECT_TRUE(b_->events.stepped.empty());
}

TEST_F(TransportTest, StoppingDuringASnapshotIsSafe) {
  Connect();
  a_->transport->SendSnapshot(SnapshotMessage(*a_, *b_, 7), MakeDatabase(*a_, 30'000'000));
  for (int i = 0; i < 5; ++i) loop_.RunRound(false);
  a_->transport->Stop();
  for (int i = 0; i < 100; ++i) loop_.RunRound(false);
  EXPECT_TRUE(a_->events.snapshots.empty());
  EXPECT_TRUE(b_->events.stepped.empty());
}

TEST_F(TransportTest, WhatIsBeingReceivedEndsWithTheTransport) {
  Connect();
  a_->transport->SendSnapshot(SnapshotMessage(*a_, *b_, 7), MakeDatabase(*a_, 30'000'000));
  ASSERT_TRUE(Until([&] { return !b_->files.List("/snap").value().empty(); }));
  b_->transport->Stop();
  EXPECT_TRUE(b_->files.List("/snap").value().empty());
  ASSERT_TRUE(Until([&] { return a_->events.snapshots.size() == 1; }));
  EXPECT_FALSE(a_->events.snapshots[0].second);
  EXPECT_TRUE(b_->events.stepped.empty());
}

}  // namespace
}  // namespace quorate::peer
