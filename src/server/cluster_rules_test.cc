// The rules of cluster life as functions of what is known: versions, changes of the members, hashes.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "cluster/membership_errors.h"
#include "server/compact_hash_rules.h"
#include "server/corruption_monitor.h"
#include "server/errors.h"
#include "server/reconfiguration.h"
#include "server/storage_version.h"
#include "server/version_monitor.h"

namespace quorate::server {
namespace {

using cluster::DowngradeInfo;
using cluster::kVersion34;
using cluster::kVersion35;
using cluster::kVersion36;
using cluster::kVersion37;
using cluster::Version;
using testing::HasSubstr;

MemberVersion Etcd(Version server) { return {server, std::nullopt, std::nullopt, true}; }
MemberVersion Ours(Version server, Version newest = kVersion37, bool covered = true) {
  return {server, std::nullopt, newest, covered};
}

TEST(ClusterVersion, IsDecided) {
  const Version undecided{3, 0, 0};
  const Version v3423{3, 4, 23};
  struct Case {
    std::string what;
    std::optional<Version> present;
    DowngradeInfo downgrade;
    MemberVersions members;
    Version initial;
    std::optional<Version> decided;
  };
  const Case cases[] = {
      {"new, all there", {}, {}, {{1, Ours(v3423)}, {2, Etcd(v3423)}}, kVersion34, kVersion34},
      {"new, one away", {}, {}, {{1, Ours(v3423)}, {2, {}}}, kVersion34, undecided},
      {"3.0, one away", undecided, {}, {{1, Ours(v3423)}, {2, {}}}, kVersion34, {}},
      {"3.0, all there", undecided, {}, {{1, Ours(v3423)}, {2, Etcd(v3423)}}, kVersion34, kVersion34},
      {"new at 3.6, ours", {}, {}, {{1, Ours(v3423)}, {2, Ours(v3423)}}, kVersion36, kVersion36},
      {"new at 3.6, an etcd 3.5", {}, {}, {{1, Ours(v3423)}, {2, Etcd({3, 5, 9})}}, kVersion36, kVersion35},
      {"decided: not raised", kVersion34, {}, {{1, Etcd({3, 5, 9})}, {2, Etcd({3, 5, 9})}}, kVersion37, {}},
      {"down", kVersion36, {true, kVersion35}, {{1, Etcd({3, 6, 1})}}, kVersion34, kVersion35},
      {"down, two minors", kVersion37, {true, kVersion35}, {{1, Etcd({3, 7, 1})}}, kVersion34, {}},
      {"down, arrived", kVersion35, {true, kVersion35}, {{1, Etcd({3, 5, 1})}}, kVersion34, {}},
      {"nobody known", {}, {}, {}, kVersion34, undecided},
  };
  for (const Case& c : cases) {
    EXPECT_EQ(DecideClusterVersion(c.present, c.downgrade, c.members, c.initial), c.decided) << c.what;
  }
}

TEST(ClusterVersion, IsRaisedOneMinorAtATime) {
  const MemberVersions fine = {{1, Ours({3, 4, 45})}, {2, Etcd({3, 5, 1})}};
  EXPECT_EQ(CheckRaise(kVersion34, kVersion35, {}, fine), absl::OkStatus());
  const auto refused = [](std::optional<Version> present, Version target, DowngradeInfo downgrade,
                          MemberVersions members) {
    const Status status = CheckRaise(present, target, downgrade, members);
    EXPECT_TRUE(absl::IsFailedPrecondition(status));
    return std::string(Message(status));
  };
  EXPECT_THAT(refused({}, kVersion35, {}, fine), HasSubstr("no version of its own yet"));
  EXPECT_THAT(refused(kVersion34, kVersion34, {}, fine), HasSubstr("already"));
  EXPECT_THAT(refused(kVersion34, kVersion36, {}, fine), HasSubstr("the next is 3.5"));
  EXPECT_THAT(refused(kVersion35, kVersion34, {}, fine), HasSubstr("one minor at a time"));
  EXPECT_THAT(refused(kVersion35, kVersion36, {}, fine), HasSubstr("member 2 runs etcd 3.5.1"));
  EXPECT_THAT(refused(kVersion36, kVersion37, {true, kVersion35}, {{1, Ours({3, 6, 1})}}),
              HasSubstr("downgrade to 3.5"));
  EXPECT_THAT(refused(kVersion37, {3, 8, 0}, {}, {{1, Ours({3, 7, 1})}}), HasSubstr("versions up to 3.7"));
  const std::string many =
      refused(kVersion34, kVersion35, {}, {{1, std::nullopt}, {2, Ours({3, 4, 45}, kVersion37, false)}});
  EXPECT_THAT(many, HasSubstr("member 1 can't be reached; member 2 has v2-style log entries"));
}

TEST(ClusterVersion, DowngradeTargets) {
  EXPECT_EQ(*ParseDowngradeTarget("3.5"), kVersion35);
  EXPECT_EQ(*ParseDowngradeTarget("3.5.4"), kVersion35);
  EXPECT_EQ(ParseDowngradeTarget("three").status(), ErrWrongDowngradeVersionFormat());
  EXPECT_EQ(ParseDowngradeTarget("").status(), ErrWrongDowngradeVersionFormat());
  EXPECT_EQ(CheckDowngrade({}, kVersion35, {}), ErrClusterVersionUnavailable());
  EXPECT_EQ(CheckDowngrade(kVersion36, kVersion35, {}), absl::OkStatus());
  EXPECT_EQ(CheckDowngrade(kVersion36, kVersion34, {}), ErrInvalidDowngradeTarget());
  EXPECT_EQ(CheckDowngrade(kVersion35, kVersion34, {}), ErrInvalidDowngradeTarget());
  EXPECT_EQ(CheckDowngrade(kVersion36, kVersion35, {true, kVersion35}), ErrDowngradeInProcess());
}

TEST(ClusterVersion, Json) {
  EXPECT_EQ(VersionsJson({}, {}), R"({"etcdserver":"3.4.45","etcdcluster":"not_decided"})");
  EXPECT_EQ(VersionsJson(kVersion36, {}),
            R"({"etcdserver":"3.6.14","etcdcluster":"3.6.0","storage":"unknown"})");
  const auto parsed = ParseVersions(R"({"etcdserver":"3.4.23","etcdcluster":"not_decided"})");
  ASSERT_TRUE(parsed.ok());
  EXPECT_EQ(parsed->server, (Version{3, 4, 23}));
  EXPECT_EQ(parsed->cluster, std::nullopt);
  for (const char* bad :
       {"", "[]", "{}", R"({"etcdserver":3})", R"({"etcdserver":"x"})", "{\"etcdserver\""}) {
    EXPECT_FALSE(ParseVersions(bad).ok()) << bad;
  }
  MemberVersion own;
  EXPECT_TRUE(ParseOwnVersion(OwnVersionJson(false), &own).ok());
  EXPECT_EQ(own.newest_cluster, kVersion37);
  EXPECT_FALSE(own.v2_entries_covered);
  EXPECT_FALSE(ParseOwnVersion("{}", &own).ok());
}

// ---- members ----

constexpr int64_t kNow = 100'000'000'000;

struct Somebody {
  uint64_t id;
  bool started = true;
  bool learner = false;
  int64_t active_since = 1;
};

Status Check(const std::vector<Somebody>& members,
             const std::function<Status(const cluster::Membership&, const ActiveSince&)>& check) {
  cluster::Membership membership(1, 100, nullptr);
  for (const Somebody& somebody : members) {
    cluster::Member member;
    member.id = somebody.id;
    member.peer_urls = {"http://h" + std::to_string(somebody.id) + ":1"};
    member.is_learner = somebody.learner;
    if (somebody.started) member.attributes.name = "m" + std::to_string(somebody.id);
    membership.ApplyConfChange(cluster::AddMemberChange(0, member));
  }
  return check(membership, [&](uint64_t id) {
    for (const Somebody& somebody : members) {
      if (somebody.id == id) return somebody.active_since;
    }
    return int64_t{0};
  });
}

TEST(Reconfiguration, Add) {
  const auto add = [](const std::vector<Somebody>& members, bool learner = false) {
    return Check(members, [&](const auto& membership, const auto& active) {
      return CheckAdd(membership, learner, kNow, active);
    });
  };
  constexpr int64_t kJustNow = kNow - 1;
  EXPECT_EQ(add({{1}}), absl::OkStatus());
  EXPECT_EQ(add({{1}, {2, false}}), cluster::ErrNotEnoughStarted());
  EXPECT_EQ(add({{1}, {2}, {3}}), absl::OkStatus());
  EXPECT_EQ(add({{1}, {2}, {3, false}}), cluster::ErrNotEnoughStarted());
  EXPECT_EQ(add({{1}, {2, true, false, 0}, {3}}), cluster::ErrUnhealthyCluster());
  EXPECT_EQ(add({{1}, {2, true, false, kJustNow}, {3}}), cluster::ErrUnhealthyCluster());
  EXPECT_EQ(add({{1}, {2, true, false, 0}, {3}, {4}}), absl::OkStatus());
  EXPECT_EQ(add({{1}, {2, true, false, 0}, {3}, {4}, {5}}), absl::OkStatus());
  EXPECT_EQ(add({{1}, {2, false}}, /*learner=*/true), absl::OkStatus());
  EXPECT_EQ(add({{1}, {2, true, false, 0}}, /*learner=*/true), cluster::ErrUnhealthyCluster());
}

TEST(Reconfiguration, Remove) {
  const auto remove = [](const std::vector<Somebody>& members, uint64_t id) {
    return Check(members, [&](const auto& membership, const auto& active) {
      return CheckRemove(membership, id, kNow, active);
    });
  };
  EXPECT_EQ(remove({{1}}, 1), cluster::ErrNotEnoughStarted());
  EXPECT_EQ(remove({{1}, {2}, {3}}, 3), absl::OkStatus());
  EXPECT_EQ(remove({{1}, {2}, {3}}, 1), absl::OkStatus());
  EXPECT_EQ(remove({{1}, {2, false}, {3}}, 3), cluster::ErrNotEnoughStarted());
  EXPECT_EQ(remove({{1}, {2, false, false, 0}, {3}}, 2), absl::OkStatus());
  EXPECT_EQ(remove({{1}, {2, true, false, 0}, {3}}, 3), cluster::ErrUnhealthyCluster());
  EXPECT_EQ(remove({{1}, {2, true, false, 0}, {3}}, 2), absl::OkStatus());
  EXPECT_EQ(remove({{1}, {2, true, true, 0}}, 2), absl::OkStatus());  // A learner.
}

TEST(Reconfiguration, Promote) {
  const auto promote = [](const std::vector<Somebody>& members) {
    return Check(members, [](const auto& membership, const auto&) { return CheckPromote(membership); });
  };
  EXPECT_EQ(promote({{1}, {2, true, true}}), absl::OkStatus());
  EXPECT_EQ(promote({{1, false}, {2, false}, {3, false}, {4, true, true}}), cluster::ErrNotEnoughStarted());

  std::map<uint64_t, raft::Progress> progress;
  EXPECT_EQ(CheckLearnerReady(progress, 1, 2), ErrNotLeader());
  progress[1].match = 1000;
  EXPECT_EQ(CheckLearnerReady(progress, 1, 2), cluster::ErrMemberNotFound());
  progress[2].match = 899;
  EXPECT_EQ(CheckLearnerReady(progress, 1, 2), cluster::ErrLearnerNotReady());
  progress[2].match = 900;
  EXPECT_EQ(CheckLearnerReady(progress, 1, 2), absl::OkStatus());
}

// ---- hashes ----

PeerHash Peer(uint64_t id, StatusOr<mvcc::HashKvResult> hash) { return {id, {}, std::move(hash)}; }
mvcc::HashKvResult Hash(uint32_t hash, int64_t compacted, int64_t revision) {
  return {hash, compacted, revision};
}

TEST(Corruption, Initially) {
  const auto local = Hash(7, 3, 10);
  EXPECT_TRUE(CompareInitially(0xab, 10, local, {}).ok());
  EXPECT_TRUE(
      CompareInitially(0xab, 10, local, {Peer(2, Hash(7, 3, 12)), Peer(3, Unavailable("away"))}).ok());
  EXPECT_TRUE(
      CompareInitially(0xab, 10, local, {Peer(2, Hash(8, 4, 12)), Peer(3, ErrFutureRevision())}).ok());
  const Status status = CompareInitially(0xab, 10, local, {Peer(2, Hash(8, 3, 12))});
  EXPECT_EQ(Message(status), "ab found data inconsistency with peers");
}

TEST(Corruption, Periodically) {
  const auto before = Hash(7, 3, 10);
  const auto after = Hash(9, 5, 12);
  const auto find = [&](std::vector<PeerHash> peers, const mvcc::HashKvResult& then) {
    return FindCorrupt(1, 10, before, peers, then.current_revision, then);
  };
  EXPECT_EQ(find({Peer(2, Hash(7, 3, 11))}, after), std::nullopt);
  EXPECT_EQ(find({Peer(2, Hash(8, 4, 11))}, after), std::nullopt);  // Another compaction: not comparable.
  EXPECT_EQ(find({Peer(2, Hash(7, 3, 11)), Peer(3, Hash(8, 3, 11))}, after), 3u);
  EXPECT_EQ(find({Peer(2, Hash(7, 3, 13))}, after), 2u);
  EXPECT_EQ(find({Peer(2, Hash(8, 6, 11))}, after), 2u);
  EXPECT_EQ(find({Peer(2, Unavailable("away"))}, after), std::nullopt);
  EXPECT_EQ(find({}, Hash(8, 3, 10)), 1u);
}

TEST(Corruption, OfCompactions) {
  const mvcc::CompactionHash own{10, 3, 7};
  const auto same = Hash(7, 3, 12);
  const auto other = Hash(8, 3, 12);
  const auto another = Hash(9, 3, 12);
  const auto older = Hash(8, 2, 12);
  const struct {
    std::vector<PeerHash> peers;
    bool settled;
    bool all_equal;
    std::vector<uint64_t> corrupt;
  } cases[] = {
      {{}, true, true, {}},
      {{Peer(2, same), Peer(3, same)}, true, true, {}},
      {{Peer(2, same), Peer(3, Unavailable("away"))}, false, false, {}},
      {{Peer(2, same), Peer(3, older)}, false, false, {}},
      {{Peer(2, other), Peer(3, same)}, true, false, {2}},
      // The leader is the one.
      {{Peer(2, other), Peer(3, other)}, true, false, {1}},
      // Nobody has a majority: one of two, three different ones, one that is away.
      {{Peer(2, other)}, true, false, {0}},
      {{Peer(2, other), Peer(3, another)}, true, false, {0}},
      {{Peer(2, other), Peer(3, Unavailable("away"))}, true, false, {0}},
      {{Peer(2, same), Peer(3, same), Peer(4, other), Peer(5, another)}, true, false, {4, 5}},
  };
  for (const auto& c : cases) {
    const CompactHashVerdict verdict = JudgeCompactHash(1, own, c.peers);
    EXPECT_EQ(verdict.settled, c.settled);
    EXPECT_EQ(verdict.all_equal, c.all_equal);
    EXPECT_EQ(verdict.corrupt, c.corrupt);
  }
}

TEST(Corruption, Json) {
  EXPECT_EQ(HashRequestJson(5), R"({"revision":5})");
  EXPECT_EQ(*ParseHashRequest("{}"), 0);
  EXPECT_EQ(*ParseHashRequest(R"({"revision":5})"), 5);
  EXPECT_EQ(HashJson(Hash(7, -1, 3), 3),
            R"({"header":{"revision":3},"hash":7,"compact_revision":-1,"hash_revision":3})");
  const auto parsed = ParseHash(R"({"header":{"cluster_id":9,"revision":3},"hash":4294967295})");
  ASSERT_TRUE(parsed.ok());
  EXPECT_EQ(parsed->hash, UINT32_MAX);
  EXPECT_EQ(parsed->current_revision, 3);
  for (const char* bad : {"", "{}", "[1]", R"({"header":{},"hash":-1})", R"({"header":{},"hash":4294967296})",
                          R"({"header":{},"hash":"7"})", R"({"header":1,"hash":7})"}) {
    EXPECT_FALSE(ParseHash(bad).ok()) << bad;
  }
  for (const char* bad : {"", "7", R"({"revision":"5"})", R"({"revision":1.5})"}) {
    EXPECT_FALSE(ParseHashRequest(bad).ok()) << bad;
  }
}

TEST(StorageVersion, ConfStateAsGoWritesIt) {
  EXPECT_EQ(ConfStateJson({{1, 2}, {}, {}, {}, false}), R"({"voters":[1,2],"auto_leave":false})");
  EXPECT_EQ(ConfStateJson({{1}, {3}, {}, {}, true}), R"({"voters":[1],"learners":[3],"auto_leave":true})");
}

}  // namespace
}  // namespace quorate::server
