// The peer port as a stranger sees it: the order of the checks and the texts are etcd's (formats.md 8.1
// and 8.2).
#include "peer/peer_handler.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/endian.h"
#include "peer/message_codec.h"
#include "peer/peer_test_harness.h"
#include "peer/peer_test_messages.h"

namespace quorate::peer {
namespace {

using raft::MessageType;

constexpr char kVersions[] = "X-Server-Version: 3.4.23\r\nX-Min-Cluster-Version: 3.0.0\r\n";
constexpr char kCluster[] = "X-Etcd-Cluster-Id: c1\r\n";

class HandlerTest : public testing::Test {
 protected:
  void SetUp() override {
    KeepQuiet();
    member_ = std::make_unique<TestMember>(&loop_, 0xa);
    member_->transport->AddPeer(0xb, {"http://127.0.0.1:1"});
    member_->Start();
  }
  // The answer to one request, without its Date.
  std::string Ask(const std::string& line, const std::string& headers = "", const std::string& body = "") {
    RawSocket socket(&loop_, member_->port);
    socket.Write(line + " HTTP/1.1\r\nHost: h\r\nConnection: close\r\n" + headers +
                 (body.empty() ? "" : "Content-Length: " + std::to_string(body.size()) + "\r\n") + "\r\n" +
                 body);
    std::string answer = socket.ReadAll();
    const size_t date = answer.find("Date: ");
    if (date != std::string::npos) answer.erase(date, answer.find("\r\n", date) + 2 - date);
    return answer;
  }
  static std::string Status(const std::string& answer) { return answer.substr(9, 3); }
  static std::string Body(const std::string& answer) { return answer.substr(answer.find("\r\n\r\n") + 4); }
  std::string All() const { return std::string(kVersions) + kCluster; }

  net::Loop loop_;
  std::unique_ptr<TestMember> member_;
};

TEST_F(HandlerTest, ChecksComeInTheOriginalsOrder) {
  struct Case {
    std::string line;
    std::string headers;
    std::string status;
    std::string body;
  };
  const std::string other = "X-Etcd-Cluster-Id: c2\r\n";
  const std::vector<Case> cases = {
      {"PUT /raft", "", "405", "Method Not Allowed\n"},
      {"PUT /raft/snapshot", "", "405", "Method Not Allowed\n"},
      {"POST /raft/stream/msgapp/b", "", "405", "Method Not Allowed\n"},
      {"POST /raft", "", "412", "incompatible version\n"},
      {"POST /raft", other, "412", "incompatible version\n"},
      {"POST /raft", "X-Server-Version: x\r\n" + other, "412", "incompatible version\n"},
      {"POST /raft", "X-Server-Version: 3.7.1\r\nX-Min-Cluster-Version: 3.5.0\r\n" + other, "412",
       "incompatible version\n"},
      {"POST /raft", kVersions, "412", "cluster ID mismatch\n"},
      {"POST /raft", kVersions + other, "412", "cluster ID mismatch\n"},
      {"POST /raft/snapshot", kVersions + other, "412", "cluster ID mismatch\n"},
      {"GET /raft/stream/what/b", kVersions + other, "412", "cluster ID mismatch\n"},
      {"GET /raft/stream/what/b", All(), "404", "invalid path\n"},
      {"GET /raft/stream/msgapp/zz", All(), "404", "invalid from\n"},
      {"GET /raft/stream/msgapp/", All(), "404", "invalid from\n"},
      {"GET /raft/stream/msgapp/c", All(), "410", "removed member\n"},
      {"GET /raft/stream/msgapp/d", All(), "404", "error sender not found\n"},
      {"GET /raft/stream/msgapp/b", All(), "412", "to field mismatch\n"},
      {"GET /raft/stream/msgapp/b", All() + "X-Raft-To: f\r\n", "412", "to field mismatch\n"},
      {"GET /raft/what", All(), "404", "404 page not found\n"},
  };
  member_->events.removed.insert(0xc);
  for (const Case& c : cases) {
    const std::string answer = Ask(c.line, c.headers);
    EXPECT_EQ(c.status, Status(answer)) << c.line << "\n" << answer;
    EXPECT_EQ(c.body, Body(answer)) << c.line << "\n" << answer;
    const bool method = c.status == "405";
    EXPECT_EQ(method, answer.find("Allow: ") != std::string::npos) << answer;
    const bool named = c.status != "405" && c.line.find("what") == std::string::npos;
    if (named) {
      EXPECT_NE(std::string::npos, answer.find("X-Etcd-Cluster-Id: c1\r\n")) << answer;
    }
  }
  EXPECT_TRUE(member_->events.stepped.empty());
}

TEST_F(HandlerTest, AStreamBeginsAsTheOriginals) {
  RawSocket socket(&loop_, member_->port);
  socket.Write("GET /raft/stream/message/b HTTP/1.1\r\nHost: h\r\n" + All() + "X-Raft-To: a\r\n\r\n");
  const std::string head = socket.ReadUntil("\r\n\r\n");
  EXPECT_TRUE(head.starts_with("HTTP/1.1 200 OK\r\nX-Etcd-Cluster-Id: c1\r\nX-Server-Version: 3.4.45\r\n"))
      << head;
  EXPECT_NE(std::string::npos, head.find("Transfer-Encoding: chunked\r\n"));
}

TEST_F(HandlerTest, PostedMessages) {
  const std::string from_b = All() + "X-Server-From: b\r\n";
  const auto post = [&](const std::string& body) { return Ask("POST /raft", from_b, body); };
  std::string vote;
  AppendMessage(vote, {.type = MessageType::kVote, .to = 0xa, .from = 0xb, .term = 2});
  const std::string ok = post(vote);
  EXPECT_TRUE(ok.starts_with("HTTP/1.1 204 No Content\r\nX-Etcd-Cluster-Id: c1\r\n")) << ok;
  EXPECT_EQ(1u, member_->events.stepped.size());
  EXPECT_EQ(server::MessagePath::kPost, member_->events.paths.at(0));

  EXPECT_EQ("error unmarshalling raft message\n", Body(post(vote.substr(0, 5))));
  std::string local;
  AppendMessage(local, {.type = MessageType::kHup, .to = 0xa, .from = 0xb});
  EXPECT_EQ("400", Status(post(local)));
  std::string forged;
  AppendMessage(forged, {.type = MessageType::kVote, .to = 0xa, .from = 0xc, .term = 2});
  EXPECT_EQ("400", Status(post(forged)));
  std::string bare;
  AppendMessage(
      bare, {.type = MessageType::kSnap, .to = 0xa, .from = 0xb, .term = 2, .snapshot = MakeSnapshot(4, 1)});
  EXPECT_EQ("400", Status(post(bare)));
  EXPECT_EQ(1u, member_->events.stepped.size());

  member_->events.step_status = Unavailable("no leader");
  EXPECT_EQ("500", Status(post(vote)));
  EXPECT_EQ("error processing raft message\n", Body(post(vote)));
  member_->events.removed.insert(0xb);
  const std::string removed = post(vote);
  EXPECT_EQ("403", Status(removed));
  EXPECT_EQ("{\"message\":\"cannot process message from removed member\"}", Body(removed));
}

TEST_F(HandlerTest, BrokenSnapshotsAreRefused) {
  const std::string from_b = All() + "X-Server-From: b\r\n";
  const auto post = [&](const std::string& body) { return Ask("POST /raft/snapshot", from_b, body); };
  const auto frame = [](const raft::Message& message) {
    std::string out;
    AppendBig64(out, EncodedSize(message));
    AppendMessage(out, message);
    return out;
  };
  raft::Message snap{
      .type = MessageType::kSnap, .to = 0xa, .from = 0xb, .term = 2, .snapshot = MakeSnapshot(4, 1)};
  std::string huge;
  AppendBig64(huge, SnapshotReceiver::kMessageBytesMax + 1);
  EXPECT_EQ("400", Status(post(huge)));
  EXPECT_EQ("failed to decode raft message (unexpected EOF)\n", Body(post("\1\2\3")));
  EXPECT_EQ("400", Status(post(frame(snap).substr(0, 20))));
  const std::string no_database = post(frame(snap));
  EXPECT_EQ("500", Status(no_database));
  EXPECT_TRUE(Body(no_database).starts_with("failed to save KV snapshot (")) << no_database;
  EXPECT_EQ("500", Status(post(frame(snap) + std::string(100'000, 'x'))));
  raft::Message other = snap;
  other.to = 0xc;
  EXPECT_EQ("400", Status(post(frame(other) + "x")));
  other = snap;
  other.from = 0xc;
  EXPECT_EQ("400", Status(post(frame(other) + "x")));
  other = {.type = MessageType::kVote, .to = 0xa, .from = 0xb};
  EXPECT_EQ("wrong raft message type\n", Body(post(frame(other) + "x")));
  member_->events.removed.insert(0xb);
  EXPECT_EQ("403", Status(post(frame(snap) + "x")));
  EXPECT_TRUE(member_->events.stepped.empty());
  for (int i = 0; i < 10; ++i) loop_.RunRound(false);
  EXPECT_TRUE(member_->files.List("/snap").value().empty());
}

TEST_F(HandlerTest, AStrangersBodyIsNotWaitedFor) {
  for (const std::string path : {"/raft", "/raft/snapshot"}) {
    RawSocket socket(&loop_, member_->port);
    socket.Write("POST " + path + " HTTP/1.1\r\nHost: h\r\nContent-Length: 50000000\r\n" + kVersions +
                 "X-Etcd-Cluster-Id: c2\r\n\r\n");
    EXPECT_EQ("412", Status(socket.ReadUntil("cluster ID mismatch\n"))) << path;
  }
  RawSocket other(&loop_, member_->port);
  other.Write("POST /leases HTTP/1.1\r\nHost: h\r\nContent-Length: 50000000\r\n\r\n");
  EXPECT_TRUE(other.ReadUntil("\r\n\r\n").starts_with("HTTP/1.1 413 "));
}

// Messages whose senders stop in the middle: what is there of them is held, and no more than a share of it
// all by one connection.
TEST_F(HandlerTest, HalfMessagesAreCountedAndBounded) {
  net::ServerOptions options = PeerServerOptions();
  options.message_bytes_max = 1000;  // The sum has room for one.
  options.request_bytes_in_all_max = 100'000;
  TestMember busy(&loop_, 0xe, 0, {}, options);
  busy.Start();
  const auto held = [&] { return busy.server->stats().request_bytes_held; };
  const std::string head =
      "POST /raft HTTP/1.1\r\nHost: h\r\nX-Server-From: b\r\nContent-Length: 1000000\r\n" + All() + "\r\n";
  RawSocket large(&loop_, busy.port);
  large.Write(head + std::string(30'000, 'a'));
  ASSERT_TRUE(TurnUntil(&loop_, [&] { return held() >= 30'000; }));
  RawSocket small(&loop_, busy.port);
  small.Write(head + std::string(10'000, 'b'));
  ASSERT_TRUE(TurnUntil(&loop_, [&] { return held() >= 40'000; }));
  large.Write(std::string(70'000, 'a'));
  EXPECT_EQ("503", Status(large.ReadAll()));
  EXPECT_TRUE(TurnUntil(&loop_, [&] { return held() < 30'000; })) << held();
  EXPECT_FALSE(small.ended());

  // Others are served meanwhile, and the one in between when it goes on.
  std::string vote;
  AppendMessage(vote, {.type = MessageType::kVote, .to = 0xe, .from = 0xb, .term = 2});
  RawSocket fine(&loop_, busy.port);
  fine.Write("POST /raft HTTP/1.1\r\nHost: h\r\nConnection: close\r\nX-Server-From: b\r\nContent-Length: " +
             std::to_string(vote.size()) + "\r\n" + All() + "\r\n" + vote);
  EXPECT_EQ("204", Status(fine.ReadAll()));
  EXPECT_EQ(1u, busy.events.stepped.size());
  small.Close();
  EXPECT_TRUE(TurnUntil(&loop_, [&] { return held() == 0; })) << held();
}

TEST_F(HandlerTest, AMessageThatIsTooLargeIsNotKept) {
  RawSocket socket(&loop_, member_->port);
  socket.Write("POST /raft HTTP/1.1\r\nHost: h\r\nX-Server-From: b\r\nTransfer-Encoding: chunked\r\n" +
               All() + "\r\n");
  const std::string megabyte = "100000\r\n" + std::string(1 << 20, 'x') + "\r\n";
  for (size_t sent = 0; sent <= PeerHandler::kMessageBytesMax; sent += 1 << 20) socket.Write(megabyte);
  const std::string answer = socket.ReadAll();
  EXPECT_EQ("413", Status(answer));
  EXPECT_NE(std::string::npos, answer.find("request body too large\n"));
  EXPECT_TRUE(TurnUntil(&loop_, [&] { return member_->server->stats().request_bytes_held == 0; }));
  EXPECT_TRUE(member_->events.stepped.empty());
}

TEST_F(HandlerTest, OnlySoManySnapshotsAtOnce) {
  const std::string head = "POST /raft/snapshot HTTP/1.1\r\nHost: h\r\nContent-Length: 1000\r\n" + All() +
                           "X-Server-From: b\r\n\r\nabc";
  std::vector<std::unique_ptr<RawSocket>> open;
  for (size_t i = 0; i < ReceivingSnapshots::kMax; ++i) {
    open.push_back(std::make_unique<RawSocket>(&loop_, member_->port));
    open.back()->Write(head);
  }
  const auto post = [&] { return Ask("POST /raft/snapshot", All() + "X-Server-From: b\r\n", "\1\2\3"); };
  // The others are noticed when they have come.
  EXPECT_TRUE(TurnUntil(&loop_, [&] { return Body(post()) == "too many snapshots are being received\n"; }));
  open.pop_back();
  EXPECT_TRUE(
      TurnUntil(&loop_, [&] { return Body(post()) == "failed to decode raft message (unexpected EOF)\n"; }));
}

TEST_F(HandlerTest, SnapshotsOfStrangersMakeRoomForAMembers) {
  const std::string head = "POST /raft/snapshot HTTP/1.1\r\nHost: h\r\nContent-Length: 1000\r\n" + All() +
                           "X-Server-From: dead\r\n\r\nabc";
  std::vector<std::unique_ptr<RawSocket>> open;
  for (size_t i = 0; i < ReceivingSnapshots::kMax; ++i) {
    open.push_back(std::make_unique<RawSocket>(&loop_, member_->port));
    open.back()->Write(head);
  }
  const auto post = [&](const std::string& from) {
    return Body(Ask("POST /raft/snapshot", All() + "X-Server-From: " + from + "\r\n", "\1\2\3"));
  };
  EXPECT_TRUE(TurnUntil(&loop_, [&] { return post("dead") == "too many snapshots are being received\n"; }));
  EXPECT_EQ("failed to decode raft message (unexpected EOF)\n", post("b"));
  EXPECT_TRUE(open.front()->ReadUntil("another snapshot needs the room").starts_with("HTTP/1.1 500 "));
}

TEST_F(HandlerTest, StrangersAreRememberedSoThatTheyCanBeAnswered) {
  RawListener stranger(&loop_);
  const std::string urls = "X-PeerURLs: " + stranger.url() + "\r\n";
  EXPECT_EQ("404", Status(Ask("GET /raft/stream/msgapp/d", All() + urls)));
  member_->transport->Send({{.type = MessageType::kVoteResp, .to = 0xd, .from = 0xa, .term = 2}});
  const auto connection = stranger.Accept();
  const std::string request = connection->ReadUntil("\r\n\r\n");
  EXPECT_TRUE(request.starts_with("POST /raft HTTP/1.1\r\n")) << request;
  EXPECT_NE(std::string::npos, request.find("X-Server-From: a\r\n"));
  EXPECT_NE(std::string::npos, request.find("X-Min-Cluster-Version: 3.0.0\r\n"));
}

TEST_F(HandlerTest, ProbesAndTheRest) {
  const std::string probe = Ask("GET /raft/probing");
  EXPECT_EQ("200", Status(probe));
  EXPECT_TRUE(Body(probe).starts_with("{\"OK\":true,\"Now\":\"20")) << probe;
  const std::string other = Ask("GET /members/hashkv?x", "", "{\"revision\":0}");
  EXPECT_EQ("GET /members/hashkv?x {\"revision\":0}", Body(other));
  EXPECT_NE(std::string::npos, other.find("X-Etcd-Cluster-Id: c1\r\n"));
  EXPECT_EQ("412", Status(Ask("GET /members/hashkv", "X-Etcd-Cluster-Id: c9\r\n")));
}

TEST_F(HandlerTest, BeforeTheStartNothingIsServed) {
  TestMember other(&loop_, 0xe);
  RawSocket socket(&loop_, other.port);
  socket.Write("GET /members HTTP/1.1\r\nHost: h\r\n\r\n");
  EXPECT_TRUE(socket.ReadUntil("\r\n\r\n").starts_with("HTTP/1.1 503 "));
}

}  // namespace
}  // namespace quorate::peer
