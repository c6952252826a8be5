#include "peer/bootstrap.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "cluster/member.h"
#include "peer/peer_test_harness.h"

namespace quorate::peer {
namespace {

// Answers /members and /version as told.
class BootstrapTest : public testing::Test {
 protected:
  void SetUp() override {
    KeepQuiet();
    server_ = std::make_unique<net::Server>(&loop_, net::ServerOptions());
    server_->SetHttpHandler([this](const net::HttpRequest& request, net::HttpReply reply) {
      if (request.path == "/members") {
        reply.Send(200, {{"X-Etcd-Cluster-ID", cluster_id_}}, members_);
      } else {
        reply.Send(200, {}, "{\"etcdserver\":\"3.4.23\",\"etcdcluster\":\"" + version_ + "\"}");
      }
    });
    port_ = std::to_string(server_->Listen("127.0.0.1", 0).value());
    options_.name = "new";
    options_.cluster_token = "token";
    options_.initial_cluster = {{"new", {"http://127.0.0.1:1"}}, {"old", {"http://0x7f.1:" + port_}}};
    // IDs over 2^53, and the address in another form than the configured one.
    members_ =
        "[{\"id\":16000730538506613920,\"peerURLs\":[\"http://127.0.0.1:" + port_ +
        "\"],\"name\":\"x\",\"clientURLs\":[\"http://c:1\"]},"
        "{\"id\":386042036870572385,\"peerURLs\":[\"http://127.0.0.1:1\"],\"isLearner\":true,\"name\":\"\"}]";
  }
  StatusOr<cluster::RemoteCluster> Join() {
    StatusOr<cluster::RemoteCluster> result = Unknown("none");
    bool done = false;
    JoinExisting(&loop_, options_, [&](StatusOr<cluster::RemoteCluster> got) {
      result = std::move(got);
      done = true;
    });
    EXPECT_FALSE(done);
    EXPECT_TRUE(TurnUntil(&loop_, [&] { return done; }));
    loop_.RunRound(false);
    return result;
  }
  Status CheckNew() {
    Status result = Unknown("none");
    bool done = false;
    CheckNotBootstrapped(&loop_, options_, [&](const Status& got) {
      result = got;
      done = true;
    });
    EXPECT_TRUE(TurnUntil(&loop_, [&] { return done; }));
    loop_.RunRound(false);
    return result;
  }

  net::Loop loop_;
  std::unique_ptr<net::Server> server_;
  std::string port_;
  std::string members_;
  std::string cluster_id_ = "b45b56bbb82d734d";
  std::string version_ = "3.4.0";
  BootstrapOptions options_;
};

TEST_F(BootstrapTest, JoiningTakesTheClustersIds) {
  const auto cluster = Join();
  ASSERT_TRUE(cluster.ok()) << cluster.status();
  EXPECT_EQ(0xb45b56bbb82d734du, cluster->cluster_id);
  ASSERT_EQ(2u, cluster->members.size());
  EXPECT_EQ(386042036870572385u, cluster->members[0].id);
  EXPECT_EQ("new", cluster->members[0].attributes.name);
  EXPECT_TRUE(cluster->members[0].is_learner);
  EXPECT_EQ(16000730538506613920u, cluster->members[1].id);
  EXPECT_EQ("old", cluster->members[1].attributes.name);
}

TEST_F(BootstrapTest, JoiningIsRefusedWhenTheMembersDiffer) {
  options_.initial_cluster["third"] = {"http://127.0.0.1:2"};
  EXPECT_NE(std::string_view::npos, Message(Join().status()).find("member count is unequal"));
  options_.initial_cluster.erase("third");
  options_.initial_cluster["new"] = {"http://127.0.0.1:7"};
  EXPECT_NE(std::string_view::npos, Message(Join().status()).find("no match found for existing member"));
}

TEST_F(BootstrapTest, JoiningIsRefusedAtAnotherVersion) {
  for (const char* version : {"3.8.0", "2.3.0", "not_decided", ""}) {
    version_ = version;
    EXPECT_EQ("incompatible with current running cluster", Message(Join().status())) << version;
  }
  options_.newest = {3, 4, 0};
  version_ = "3.5.0";
  EXPECT_FALSE(Join().ok());
  version_ = "3.4.0";
  EXPECT_TRUE(Join().ok());
}

TEST_F(BootstrapTest, JoiningIsRefusedWhenNobodyAnswersSensibly) {
  for (const char* members : {"", "{}", "[]", "[1]", "[{\"id\":\"x\"}]", "[[[[", "null"}) {
    members_ = members;
    const Status status = Join().status();
    EXPECT_TRUE(Message(status).starts_with("cannot fetch cluster info from peer urls: "))
        << members << status;
  }
  cluster_id_ = "no id";
  EXPECT_FALSE(Join().ok());
  options_.initial_cluster.erase("old");
  EXPECT_FALSE(Join().ok());
}

TEST_F(BootstrapTest, ANewClusterMustNotKnowUsYet) {
  EXPECT_TRUE(CheckNew().ok());  // Nobody of our ID there.
  const uint64_t own = cluster::ComputeMemberId({"http://127.0.0.1:1"}, "token", std::nullopt);
  members_ = "[{\"id\":" + std::to_string(own) + ",\"peerURLs\":[\"http://127.0.0.1:1\"],\"name\":\"\"}]";
  EXPECT_TRUE(CheckNew().ok());  // There, and never started.
  members_ = "[{\"id\":" + std::to_string(own) +
             ",\"peerURLs\":[\"http://127.0.0.1:1\"],\"name\":\"new\",\"clientURLs\":[\"http://c:1\"]}]";
  const Status known = CheckNew();
  EXPECT_TRUE(absl::IsFailedPrecondition(known)) << known;
  EXPECT_NE(std::string_view::npos, Message(known).find("has already been bootstrapped")) << known;
  server_.reset();
  EXPECT_TRUE(CheckNew().ok());  // Nobody answers.
}

}  // namespace
}  // namespace quorate::peer
