// What entries do beside keys and values: quota, alarms, users and permissions, and what can't be read.
#include "server/applier.h"

#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include <random>
#include <string>

#include "auth/auth_errors.h"
#include "base/test_seed.h"
#include "server/member_harness_test.h"

namespace quorate::server {
namespace {

namespace pb = etcdserverpb;

template <typename Message>
Message Parsed(const std::string& text) {
  Message message;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &message)) << text;
  return message;
}

TEST(QuotaCost, AsTheOriginalCounts) {
  EXPECT_EQ(QuotaCost(PutRequest{.key = "abc", .value = "defg"}), 256 + 7);
  // The dearer branch; nested transactions are not counted.
  EXPECT_EQ(QuotaCost(Parsed<pb::TxnRequest>(R"(
      success { request_put { key: "a" value: "1" } } success { request_put { key: "a" value: "1" } }
      failure { request_put { key: "a" value: "123" } })")),
            2 * 258);
  EXPECT_EQ(QuotaCost(Parsed<pb::TxnRequest>(
                R"(success { request_txn { success { request_put { key: "a" } } } })")),
            0);
}

class QuotaTest : public testing::Test {
 protected:
  void SetUp() override {
    world_.config.quota_backend_bytes = 256 * 1024;
    world_.Start();
  }
  void TearDown() override { EXPECT_TRUE(world_.fatal.ok()) << world_.fatal; }

  // Puts until one is refused.
  void Fill() {
    Status status;
    for (int i = 0; i < 200 && status.ok(); ++i) {
      status = world_.Put("fill" + std::to_string(i), std::string(8000, 'x')).status();
      world_.member->backend().Commit({});
      world_.RunUntilIdle();
    }
    ASSERT_EQ(status, ErrNoSpace());
  }
  std::vector<pb::AlarmMember> Alarms() {
    const auto response = world_.Alarm(pb::AlarmRequest::GET, pb::NONE, 0);
    EXPECT_TRUE(response.ok()) << response.status();
    return {response->alarms().begin(), response->alarms().end()};
  }

  MemberHarness world_{11};
};

TEST_F(QuotaTest, AFullDatabaseRaisesTheAlarmAndRefusesGrowth) {
  Fill();
  const auto alarms = Alarms();
  ASSERT_EQ(alarms.size(), 1u);
  EXPECT_EQ(alarms[0].alarm(), pb::NOSPACE);
  EXPECT_EQ(alarms[0].memberid(), world_.member->id());

  EXPECT_EQ(world_.Put("small", "").status(), ErrNoSpace());
  EXPECT_EQ(world_.Grant(5, 10).status(), ErrNoSpace());
  EXPECT_EQ(world_.Txn(Parsed<pb::TxnRequest>(R"(success { request_put { key: "a" } })")).status(),
            ErrNoSpace());
  EXPECT_FALSE(world_.member->QuotaAvailable(1));
  // What frees space still works.
  EXPECT_TRUE(
      world_.Txn(Parsed<pb::TxnRequest>(R"(success { request_delete_range { key: "fill0" } })")).ok());
  EXPECT_GT(world_.Delete("fill", "film")->deleted(), 0);
  EXPECT_TRUE(world_.ReadAll().empty());

  // The alarm outlives a restart, and is only ended by request.
  world_.config.quota_backend_bytes = 0;
  world_.Restart();
  EXPECT_EQ(world_.Put("a", "1").status(), ErrNoSpace());
  const auto disarmed = world_.Alarm(pb::AlarmRequest::DEACTIVATE, pb::NOSPACE, world_.member->id());
  ASSERT_TRUE(disarmed.ok());
  EXPECT_EQ(disarmed->alarms_size(), 1);
  EXPECT_TRUE(Alarms().empty());
  EXPECT_TRUE(world_.Put("a", "1").ok());
}

TEST_F(QuotaTest, NegativeIsUnlimited) {
  world_.config.quota_backend_bytes = -1;
  world_.Restart();
  for (int i = 0; i < 50; ++i) ASSERT_TRUE(world_.Put("k" + std::to_string(i), std::string(8000, 'x')).ok());
  EXPECT_TRUE(Alarms().empty());
}

TEST(Alarms, CorruptStopsEverything) {
  MemberHarness world(12);
  world.Start();
  ASSERT_TRUE(world.Put("a", "1").ok());
  ASSERT_TRUE(world.Alarm(pb::AlarmRequest::ACTIVATE, pb::CORRUPT, 77).ok());
  EXPECT_EQ(world.Put("a", "2").status(), ErrCorrupt());
  EXPECT_EQ(world.Delete("a").status(), ErrCorrupt());
  EXPECT_EQ(world.Txn(Parsed<pb::TxnRequest>(R"(success { request_delete_range { key: "a" } })")).status(),
            ErrCorrupt());
  EXPECT_EQ(world.Compact(2).status(), ErrCorrupt());
  EXPECT_EQ(world.Grant(1, 10).status(), ErrCorrupt());
  EXPECT_EQ(
      world.Ask<pb::LeaseRevokeResponse>(EntryKind::kLeaseRevoke, Parsed<pb::LeaseRevokeRequest>("ID: 1"))
          .status(),
      ErrCorrupt());
  EXPECT_TRUE(world.fatal.ok()) << world.fatal;
  // Another member's does not count for ours.
  EXPECT_EQ(world.Alarm(pb::AlarmRequest::DEACTIVATE, pb::CORRUPT, 78)->alarms_size(), 0);
  EXPECT_EQ(world.Put("a", "2").status(), ErrCorrupt());
  EXPECT_EQ(world.Alarm(pb::AlarmRequest::DEACTIVATE, pb::CORRUPT, 77)->alarms_size(), 1);
  EXPECT_TRUE(world.Put("a", "2").ok());
}

TEST(Alarms, RaisedTwiceIsOne) {
  MemberHarness world(13);
  world.Start();
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(world.Alarm(pb::AlarmRequest::ACTIVATE, pb::NOSPACE, 1)->alarms_size(), 1);
  }
  ASSERT_TRUE(world.Alarm(pb::AlarmRequest::ACTIVATE, pb::CORRUPT, 2).ok());
  EXPECT_EQ(world.Alarm(pb::AlarmRequest::GET, pb::NONE, 0)->alarms_size(), 2);
  EXPECT_EQ(world.Alarm(pb::AlarmRequest::GET, pb::CORRUPT, 0)->alarms_size(), 1);
}

// ---- users and permissions
// -----------------------------------------------------------------------------------------

class AuthTest : public testing::Test {
 protected:
  // root; and alice, who may read [r, s), write [w, x) and do both with "both".
  void SetUp() override {
    world_.Start();
    for (const char* key : {"r1", "w1", "both", "secret"}) ASSERT_TRUE(world_.Put(key, "1").ok());
    ASSERT_TRUE(world_.Grant(50, 1000).ok());
    ASSERT_TRUE(world_.Put("secret2", "1", 50).ok());
    Change<pb::AuthUserAddRequest>(EntryKind::kAuthUserAdd, R"(name: "root" password: "pw")");
    Change<pb::AuthUserGrantRoleRequest>(EntryKind::kAuthUserGrantRole, R"(user: "root" role: "root")");
    Change<pb::AuthUserAddRequest>(EntryKind::kAuthUserAdd, R"(name: "alice" password: "pw")");
    Change<pb::AuthRoleAddRequest>(EntryKind::kAuthRoleAdd, R"(name: "role")");
    for (const char* permission :
         {R"(permType: READ key: "r" range_end: "s")", R"(permType: WRITE key: "w" range_end: "x")",
          R"(permType: READWRITE key: "both")"}) {
      Change<pb::AuthRoleGrantPermissionRequest>(EntryKind::kAuthRoleGrantPermission,
                                                 R"(name: "role" perm { )" + std::string(permission) + " }");
    }
    Change<pb::AuthUserGrantRoleRequest>(EntryKind::kAuthUserGrantRole, R"(user: "alice" role: "role")");
    Change<pb::AuthEnableRequest>(EntryKind::kAuthEnable, "");
  }
  void TearDown() override { EXPECT_TRUE(world_.fatal.ok()) << world_.fatal; }

  template <typename Request>
  Status Try(EntryKind kind, const std::string& text, const auth::AuthInfo& who = {}) {
    return world_.Ask<pb::AuthUserAddResponse>(kind, Parsed<Request>(text), who).status();
  }
  template <typename Request>
  void Change(EntryKind kind, const std::string& text) {
    const Status status =
        Try<Request>(kind, text, world_.member->auth().enabled() ? Who("root") : auth::AuthInfo{});
    ASSERT_TRUE(status.ok()) << text << ": " << status;
  }
  auth::AuthInfo Who(const std::string& name) { return {name, world_.member->auth().revision()}; }
  Status TxnAs(const auth::AuthInfo& who, const std::string& text) {
    return world_.Txn(Parsed<pb::TxnRequest>(text), who).status();
  }

  MemberHarness world_{21};
};

TEST_F(AuthTest, KeysAreEnforcedAtApply) {
  const auth::AuthInfo alice = Who("alice");
  EXPECT_TRUE(world_.Put("w1", "2", 0, alice).ok());
  EXPECT_EQ(world_.Put("r1", "2", 0, alice).status(), auth::ErrPermissionDenied());
  EXPECT_EQ(world_.Put("secret", "2", 0, alice).status(), auth::ErrPermissionDenied());
  EXPECT_TRUE(world_.Delete("w1", "", false, alice).ok());
  EXPECT_EQ(world_.Delete("w1", "", true, alice).status(), auth::ErrPermissionDenied());  // prev_kv reads.
  EXPECT_TRUE(world_.Delete("both", "", true, alice).ok());
  EXPECT_EQ(world_.Delete("w", "y", false, alice).status(), auth::ErrPermissionDenied());
  EXPECT_EQ(world_.Delete("w", std::string(1, '\0'), false, alice).status(), auth::ErrPermissionDenied());
  pb::PutRequest put = Parsed<pb::PutRequest>(R"(key: "w2" prev_kv: true)");
  EXPECT_EQ(world_.Ask<pb::PutResponse>(EntryKind::kPut, put, alice).status(), auth::ErrPermissionDenied());
  // Nobody, an old revision, somebody unknown.
  EXPECT_EQ(world_.Put("w1", "2").status(), auth::ErrUserEmpty());
  EXPECT_EQ(world_.Put("w1", "2", 0, {"alice", alice.revision - 1}).status(), auth::ErrAuthOldRevision());
  EXPECT_EQ(world_.Put("w1", "2", 0, Who("bob")).status(), auth::ErrPermissionDenied());
  EXPECT_TRUE(world_.Put("secret", "2", 0, Who("root")).ok());
  EXPECT_EQ(world_.Get("secret")->value(), "2");
}

TEST_F(AuthTest, TransactionsAreEnforcedDownToTheLast) {
  const auth::AuthInfo alice = Who("alice");
  const char* denied[] = {
      R"(compare { target: VERSION key: "secret" } success { request_put { key: "w1" } })",
      R"(compare { target: VERSION key: "r" range_end: "t" } success { request_put { key: "w1" } })",
      R"(success { request_put { key: "secret" } })",
      // The branch not taken, too.
      R"(failure { request_put { key: "secret" } } success { request_put { key: "w1" } })",
      R"(success { request_range { key: "secret" } } success { request_put { key: "w1" } })",
      R"(success { request_put { key: "w1" prev_kv: true } })",
      R"(success { request_delete_range { key: "secret" } })",
      R"(success { request_delete_range { key: "w1" prev_kv: true } })",
      R"(success { request_txn { success { request_put { key: "secret" } } } })",
      R"(success { request_txn { compare { target: VERSION key: "secret" } } })",
      R"(success { request_txn { failure { request_txn { success { request_range { key: "secret" } } } } } })",
      // A lease that holds keys which the user may not delete.
      R"(success { request_put { key: "w1" lease: 50 } })",
  };
  for (const char* txn : denied) EXPECT_EQ(TxnAs(alice, txn), auth::ErrPermissionDenied()) << txn;
  EXPECT_TRUE(TxnAs(alice, R"(compare { target: VERSION key: "r1" } success { request_put { key: "w1" } }
                              failure { request_range { key: "r1" } })")
                  .ok());
  EXPECT_TRUE(TxnAs(Who("root"), denied[2]).ok());
}

TEST_F(AuthTest, LeasesOfOthersKeys) {
  const auth::AuthInfo alice = Who("alice");
  EXPECT_EQ(world_.Put("w1", "1", 50, alice).status(), auth::ErrPermissionDenied());
  EXPECT_EQ(Try<pb::LeaseRevokeRequest>(EntryKind::kLeaseRevoke, "ID: 50", alice),
            auth::ErrPermissionDenied());
  LeasePermissions& permissions = world_.member->lease_permissions();
  EXPECT_EQ(permissions.Check(alice, 50, LeasePermissions::Access::kPut), auth::ErrPermissionDenied());
  EXPECT_TRUE(permissions.Check(alice, 51, LeasePermissions::Access::kPut).ok());
  // An administrator passes, even with an old revision.
  EXPECT_TRUE(permissions.Check({"root", 1}, 50, LeasePermissions::Access::kPut).ok());
  EXPECT_TRUE(Try<pb::LeaseRevokeRequest>(EntryKind::kLeaseRevoke, "ID: 50", {"root", 1}).ok());
  EXPECT_FALSE(world_.Get("secret2"));
}

// A lease may have 100,000 keys, and each put and renewal asks for all of them.
TEST_F(AuthTest, TheKeysOfALeaseAreNotLookedThroughForEachRequest) {
  const auth::AuthInfo alice = Who("alice");
  LeasePermissions& permissions = world_.member->lease_permissions();
  ASSERT_TRUE(world_.Grant(60, 1000).ok());
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(world_.Put("w" + std::to_string(i), "1", 60, alice).ok());
  // Only while there were few; from then on by the user's own puts.
  EXPECT_LT(permissions.looked_up(), 50U);
  const auto put = [](int i) { return "request_put { key: 'w" + std::to_string(i) + "' lease: 60 }"; };
  const uint64_t before = permissions.looked_up();
  std::string txn;
  for (int i = 100; i < 150; ++i) txn += "success { " + put(i) + " } failure { " + put(i) + " } ";
  txn += "success { request_txn { success { " + put(150) + " } } }";
  ASSERT_TRUE(TxnAs(alice, txn).ok());
  for (int i = 0; i < 1000; ++i) {
    ASSERT_TRUE(permissions.Check(alice, 60, LeasePermissions::Access::kPut).ok());
  }
  EXPECT_EQ(permissions.looked_up(), before);
  // Somebody else's key: looked through again, and refused as often as it is asked.
  ASSERT_TRUE(world_.Put("secret3", "1", 60, Who("root")).ok());
  for (int i = 0; i < 1000; ++i) {
    ASSERT_EQ(permissions.Check(alice, 60, LeasePermissions::Access::kPut), auth::ErrPermissionDenied());
  }
  EXPECT_EQ(world_.Put("w1", "2", 60, alice).status(), auth::ErrPermissionDenied());
  EXPECT_LE(permissions.looked_up(), before + 152);
  ASSERT_TRUE(world_.Delete("secret3", "", false, Who("root")).ok());
  EXPECT_TRUE(world_.Put("w1", "2", 60, alice).ok());
  // Another lease of the same ID is another set of keys.
  ASSERT_TRUE(world_.Put("secret3", "1", 60, Who("root")).ok());
  ASSERT_FALSE(permissions.Check(alice, 60, LeasePermissions::Access::kPut).ok());
  Change<pb::LeaseRevokeRequest>(EntryKind::kLeaseRevoke, "ID: 60");
  ASSERT_TRUE(world_.Grant(60, 1000).ok());
  EXPECT_TRUE(permissions.Check(alice, 60, LeasePermissions::Access::kPut).ok());
  for (int i = 0; i < 20; ++i) ASSERT_TRUE(world_.Put("w" + std::to_string(i), "1", 60, alice).ok());
  // Users and roles change.
  Change<pb::AuthUserRevokeRoleRequest>(EntryKind::kAuthUserRevokeRole, R"(name: "alice" role: "role")");
  EXPECT_EQ(permissions.Check(alice, 60, LeasePermissions::Access::kPut), auth::ErrAuthOldRevision());
  EXPECT_EQ(permissions.Check(Who("alice"), 60, LeasePermissions::Access::kPut), auth::ErrPermissionDenied());
  EXPECT_EQ(permissions.Check(Who("alice"), 60, LeasePermissions::Access::kRange),
            auth::ErrPermissionDenied());
}

// What is remembered never answers otherwise than a look at all keys would.
TEST_F(AuthTest, PermissionsOfLeasesAgreeWithALookAtAllKeys) {
  std::mt19937_64 random(TestSeed());
  const auto below = [&](uint64_t bound) { return random() % bound; };
  Change<pb::AuthUserAddRequest>(EntryKind::kAuthUserAdd, R"(name: "bob" password: "pw")");
  Change<pb::AuthUserGrantRoleRequest>(EntryKind::kAuthUserGrantRole, R"(user: "bob" role: "role")");
  LeasePermissions& permissions = world_.member->lease_permissions();
  const auth::AuthStore& auth = world_.member->auth();
  for (int round = 0; round < 3000; ++round) {
    const auto lease = static_cast<int64_t>(70 + below(3));
    const char* const names[] = {"alice", "bob", "root"};
    const auth::AuthInfo who = Who(names[below(3)]);
    const std::string key = (below(30) == 0 ? "secret" : "w") + std::to_string(below(40));
    switch (below(8)) {
      case 0:
        static_cast<void>(world_.Grant(lease, 1000));
        break;
      case 1:
        static_cast<void>(world_.Delete(key, "", false, Who("root")));
        break;
      case 2:
        if (below(10) == 0) {
          static_cast<void>(Try<pb::LeaseRevokeRequest>(EntryKind::kLeaseRevoke,
                                                        "ID: " + std::to_string(lease), Who("root")));
        }
        break;
      case 3:
        static_cast<void>(TxnAs(who, "success { request_put { key: '" + key +
                                         "' lease: " + std::to_string(lease) +
                                         " } } success { request_range { key: 'both' } }"));
        break;
      case 4:
        if (below(10) == 0) {
          Change<pb::AuthRoleGrantPermissionRequest>(
              EntryKind::kAuthRoleGrantPermission,
              "name: 'role' perm { permType: WRITE key: 'secret" + std::to_string(below(40)) + "' }");
        }
        break;
      default:
        static_cast<void>(world_.Put(key, "1", lease, who));
    }
    for (const auto access : {LeasePermissions::Access::kPut, LeasePermissions::Access::kRange}) {
      const auth::AuthInfo asker = Who(names[below(3)]);
      Status expected;
      if (!auth.IsAdminPermitted(asker).ok()) {
        for (const std::string& attached : world_.member->lessor().Keys(lease)) {
          expected = access == LeasePermissions::Access::kPut ? auth.IsPutPermitted(asker, attached)
                                                              : auth.IsRangePermitted(asker, attached, {});
          if (!expected.ok()) break;
        }
      }
      ASSERT_EQ(permissions.Check(asker, lease, access), expected) << round;
    }
  }
}

// The server's own requests get through.
TEST_F(AuthTest, ExpiredLeasesAreRevoked) {
  ASSERT_TRUE(world_.member->lessor().Exists(50));
  world_.clock.Advance(int64_t{2000} * 1'000'000'000);
  world_.Tick(20);
  EXPECT_FALSE(world_.member->lessor().Exists(50));
  EXPECT_FALSE(world_.Get("secret2"));
}

// The original's automatic compactions name no user, and all members must apply them.
TEST_F(AuthTest, CompactionIsAppliedWhoeverAsked) {
  EXPECT_TRUE(world_.Compact(3).ok());
  EXPECT_EQ(world_.member->store().compacted_revision(), 3);
}

TEST_F(AuthTest, AdministrationNeedsRoot) {
  const auth::AuthInfo alice = Who("alice");
  EXPECT_EQ(Try<pb::AuthUserAddRequest>(EntryKind::kAuthUserAdd, R"(name: "eve" password: "x")", alice),
            auth::ErrPermissionDenied());
  EXPECT_EQ(Try<pb::AuthRoleAddRequest>(EntryKind::kAuthRoleAdd, R"(name: "eve")", alice),
            auth::ErrPermissionDenied());
  EXPECT_EQ(Try<pb::AuthUserGrantRoleRequest>(EntryKind::kAuthUserGrantRole, R"(user: "alice" role: "root")",
                                              alice),
            auth::ErrPermissionDenied());
  EXPECT_EQ(Try<pb::AuthDisableRequest>(EntryKind::kAuthDisable, "", alice), auth::ErrPermissionDenied());
  EXPECT_EQ(Try<pb::AuthDisableRequest>(EntryKind::kAuthDisable, ""), auth::ErrUserEmpty());
  EXPECT_EQ(Try<pb::AuthUserListRequest>(EntryKind::kAuthUserList, "", alice), auth::ErrPermissionDenied());
  // Oneself and one's roles may be looked at.
  const auto self = world_.Ask<pb::AuthUserGetResponse>(
      EntryKind::kAuthUserGet, Parsed<pb::AuthUserGetRequest>(R"(name: "alice")"), alice);
  ASSERT_TRUE(self.ok());
  EXPECT_EQ(self->roles(0), "role");
  EXPECT_EQ(Try<pb::AuthUserGetRequest>(EntryKind::kAuthUserGet, R"(name: "root")", alice),
            auth::ErrPermissionDenied());
  const auto role = world_.Ask<pb::AuthRoleGetResponse>(
      EntryKind::kAuthRoleGet, Parsed<pb::AuthRoleGetRequest>(R"(role: "role")"), alice);
  ASSERT_TRUE(role.ok());
  EXPECT_EQ(role->perm_size(), 3);
  EXPECT_EQ(Try<pb::AuthRoleGetRequest>(EntryKind::kAuthRoleGet, R"(role: "other")", alice),
            auth::ErrPermissionDenied());
}

// The name is a key of the db file, and a file that can't take one ends the member, at each start again: a
// log of etcd's may hold such a request.
TEST_F(AuthTest, ANameThatNoFileTakesIsRefused) {
  const std::string longest(limits::kDbKeyBytesMax, 'x');
  const uint64_t revision = world_.member->auth().revision();
  for (const auto& [name, fits] : {std::pair(longest + "x", false), std::pair(longest, true)}) {
    const std::string text = "name: '" + name + "'";
    const Status user =
        Try<pb::AuthUserAddRequest>(EntryKind::kAuthUserAdd, text + " password: 'pw'", Who("root"));
    const Status role = Try<pb::AuthRoleAddRequest>(EntryKind::kAuthRoleAdd, text, Who("root"));
    EXPECT_EQ(user.ok(), fits) << user;
    EXPECT_EQ(role.ok(), fits) << role;
    EXPECT_EQ(world_.member->auth().revision(), revision + (fits ? 2 : 0));
    world_.member->backend().Commit({});
    world_.RunUntilIdle();
    ASSERT_TRUE(world_.fatal.ok()) << world_.fatal;
  }
  EXPECT_EQ(Message(auth::CheckUserNameFits(longest + "x")),
            "etcdserver: user name has 32769 bytes; at most 32768 are allowed");
  world_.Restart();
  EXPECT_TRUE(
      Try<pb::AuthUserGetRequest>(EntryKind::kAuthUserGet, "name: '" + longest + "'", Who("root")).ok());
}

TEST_F(AuthTest, SurvivesARestart) {
  world_.Restart();
  EXPECT_TRUE(world_.member->auth().enabled());
  EXPECT_EQ(world_.Put("secret", "2", 0, Who("alice")).status(), auth::ErrPermissionDenied());
  EXPECT_TRUE(world_.Put("w1", "2", 0, Who("alice")).ok());
  Change<pb::AuthDisableRequest>(EntryKind::kAuthDisable, "");
  EXPECT_TRUE(world_.Put("secret", "2").ok());
}

// A password that another member has logged plain is hashed on a reader thread; what is committed behind it
// waits, and the log goes on.
TEST(PlainPasswords, AreHashedBeforeTheirEntryIsApplied) {
  MemberHarness world(23, InlineExecutor::Mode::kQueued);
  world.Start();
  const auto log_rounds = [&] {
    for (int i = 0; i < 10; ++i) {
      world.Round();
      while (world.executor.Step(Lane::kLog)) {
      }
    }
  };
  const uint64_t before = world.member->applied_index();
  const auto added =
      world.Propose(EntryKind::kAuthUserAdd, Parsed<pb::AuthUserAddRequest>(R"(name: "al" password: "pw")"));
  const auto put = world.Propose(EntryKind::kPut, Parsed<pb::PutRequest>(R"(key: "a" value: "1")"));
  log_rounds();
  const auto later = world.Propose(EntryKind::kPut, Parsed<pb::PutRequest>(R"(key: "a" value: "2")"));
  log_rounds();
  EXPECT_EQ(world.member->committed_index(), before + 3);
  EXPECT_EQ(world.member->applied_index(), before);
  EXPECT_FALSE(added->given || put->given || later->given);

  ASSERT_TRUE(world.executor.Step(Lane::kRead));
  world.RunUntilIdle();
  EXPECT_EQ(world.member->applied_index(), before + 3);
  EXPECT_TRUE(added->given && added->status.ok());
  EXPECT_TRUE(put->given && later->given);
  EXPECT_EQ(world.Get("a")->value(), "2");
  EXPECT_EQ(world.member->auth().UserList(), std::vector<std::string>{"al"});
  EXPECT_TRUE(world.member->CheckInvariants().ok());
}

TEST(PlainPasswords, WhatWillBeRefusedIsNotHashed) {
  MemberHarness world(24, InlineExecutor::Mode::kQueued);
  world.Start();
  const auto answers = [&](EntryKind kind, const google::protobuf::Message& request) {
    const auto answer = world.Propose(kind, request);
    for (int i = 0; i < 10; ++i) {
      world.Round();
      while (world.executor.Step(Lane::kLog)) {
      }
    }
    return answer->given;
  };
  EXPECT_TRUE(answers(EntryKind::kAuthUserChangePassword,
                      Parsed<pb::AuthUserChangePasswordRequest>(R"(name: "nobody" password: "pw")")));
  EXPECT_TRUE(
      answers(EntryKind::kAuthUserAdd,
              Parsed<pb::AuthUserAddRequest>(R"(name: "al" password: "pw" options { no_password: true })")));
  EXPECT_TRUE(
      answers(EntryKind::kAuthUserAdd, Parsed<pb::AuthUserAddRequest>(R"(name: "al" password: "pw")")));
  EXPECT_FALSE(
      answers(EntryKind::kAuthUserAdd, Parsed<pb::AuthUserAddRequest>(R"(name: "bo" password: "pw")")));
  world.RunUntilIdle();
}

TEST_F(AuthTest, TokenOfALogin) {
  const auto response = world_.Ask<pb::AuthenticateResponse>(
      EntryKind::kAuthenticate,
      Parsed<pb::InternalAuthenticateRequest>(R"(name: "alice" simple_token: "abcdefghijklmnop")"));
  ASSERT_TRUE(response.ok()) << response.status();
  EXPECT_EQ(response->token(), "abcdefghijklmnop." + std::to_string(world_.member->applied_index()));
  const auto who = world_.member->Identify("Bearer " + response->token());
  ASSERT_TRUE(who.ok());
  EXPECT_EQ(who->username, "alice");
  EXPECT_EQ(world_.member->Identify("wrong.1").status(), auth::ErrInvalidAuthToken());
}

// ---- what can't be read
// --------------------------------------------------------------------------------------------

TEST(UnreadableEntries, StopTheMember) {
  const struct {
    EntryKind kind;
    std::string body;
  } cases[] = {{EntryKind::kPut, "\x0a\xff"},          {EntryKind::kDeleteRange, "\x0a\xff"},
               {EntryKind::kTxn, "\x0a\xff"},          {EntryKind::kCompaction, "\xff"},
               {EntryKind::kLeaseGrant, "\xff"},       {EntryKind::kAlarm, "\xff"},
               {EntryKind::kAuthUserAdd, "\xff"},      {static_cast<EntryKind>(1234), ""},
               {static_cast<EntryKind>(2), "\x08\x01"}};
  for (const auto& c : cases) {
    MemberHarness world(31);
    world.Start();
    world.member->Propose(c.kind, c.body, {}, {});
    world.RunUntilIdle();
    EXPECT_EQ(world.fatal.code(), absl::StatusCode::kDataLoss)
        << static_cast<uint32_t>(c.kind) << ": " << world.fatal;
    EXPECT_EQ(world.member->store().current_revision(), 1);
  }
}

}  // namespace
}  // namespace quorate::server
