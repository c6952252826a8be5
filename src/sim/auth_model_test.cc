// What users may do, and stores that are full: planted violations are seen.
#include "sim/auth_model.h"

#include <gtest/gtest.h>

#include <string>

#include "rpc.pb.h"
#include "server/requests.h"
#include "sim/scheduler.h"
#include "sim/trace.h"
#include "sim/truth.h"

namespace quorate::sim {
namespace {

namespace pb = etcdserverpb;
using server::EntryKind;

class Users : public testing::Test {
 protected:
  Users() : trace_(&scheduler_, false), truth_(&scheduler_, &trace_) {}

  raft::Entry Entry(EntryKind kind, const google::protobuf::Message& message,
                    const std::string& user = "root", uint64_t revision = 0) {
    raft::Entry entry;
    entry.term = 1;
    entry.index = ++index_;
    entry.data = server::EncodeEntry(kind, message.SerializeAsString(),
                                     {index_, user, revision != 0 ? revision : auth_.revision});
    return entry;
  }
  // The first member applies it.
  void Apply(const raft::Entry& entry) { truth_.OnApplied(0, entry, store_, auth_); }
  // A change of users that takes effect.
  void Change(EntryKind kind, const google::protobuf::Message& message) {
    const raft::Entry entry = Entry(kind, message);
    ++auth_.revision;
    Apply(entry);
  }
  void Put(const std::string& key, const std::string& user, bool takes_effect, uint64_t revision = 0) {
    pb::PutRequest put;
    put.set_key(key);
    put.set_value("v" + std::to_string(index_));
    const raft::Entry entry = Entry(EntryKind::kPut, put, user, revision);
    store_ += takes_effect;
    Apply(entry);
  }
  void Grant(const std::string& key, const std::string& end, authpb::Permission::Type type) {
    pb::AuthRoleGrantPermissionRequest grant;
    grant.set_name("r");
    grant.mutable_perm()->set_key(key);
    grant.mutable_perm()->set_range_end(end);
    grant.mutable_perm()->set_permtype(type);
    Change(EntryKind::kAuthRoleGrantPermission, grant);
  }
  void MakeUsers() {
    for (const char* name : {"root", "alice"}) {
      pb::AuthUserAddRequest add;
      add.set_name(name);
      Change(EntryKind::kAuthUserAdd, add);
    }
    pb::AuthRoleAddRequest role;
    role.set_name("r");
    Change(EntryKind::kAuthRoleAdd, role);
    for (const auto& [user, granted] : {std::pair("root", "root"), std::pair("alice", "r")}) {
      pb::AuthUserGrantRoleRequest grant;
      grant.set_user(user);
      grant.set_role(granted);
      Change(EntryKind::kAuthUserGrantRole, grant);
    }
    auth_.enabled = true;
    Apply(Entry(EntryKind::kAuthEnable, pb::AuthEnableRequest()));
  }
  std::string broken() const { return trace_.failed_check(); }

  Scheduler scheduler_;
  Trace trace_;
  Truth truth_;
  AuthState auth_;
  uint64_t index_ = 0;
  int64_t store_ = 1;
};

TEST_F(Users, PermissionsDecide) {
  MakeUsers();
  Grant("a", "c", authpb::Permission::READWRITE);
  Grant("c", "d", authpb::Permission::READ);
  Put("b", "alice", true);
  Put("c", "alice", false);
  Put("z", "root", true);
  Put("b", "", false);
  Put("b", "nobody", false);
  Grant("c", "", authpb::Permission::WRITE);
  Put("c", "alice", true);
  EXPECT_EQ(broken(), "");
  EXPECT_TRUE(truth_.modelled());
}

TEST_F(Users, RangesAreCoveredByPiecesTogether) {
  MakeUsers();
  Grant("a", "b", authpb::Permission::WRITE);
  Grant("b", "c", authpb::Permission::WRITE);
  Put("a", "root", true);
  pb::DeleteRangeRequest range;
  range.set_key("a");
  range.set_range_end("c");
  const raft::Entry covered = Entry(EntryKind::kDeleteRange, range, "alice");
  ++store_;
  Apply(covered);
  range.set_range_end("cc");
  Apply(Entry(EntryKind::kDeleteRange, range, "alice"));
  EXPECT_EQ(broken(), "");
}

TEST_F(Users, AWriteThatWasNotPermittedIsFound) {
  MakeUsers();
  Put("b", "alice", true);
  EXPECT_EQ(broken(), "same-revision");
}

TEST_F(Users, AWriteWithPermissionsOfThePastIsFound) {
  MakeUsers();
  Grant("a", "c", authpb::Permission::READWRITE);
  Put("b", "alice", false, auth_.revision - 1);
  EXPECT_EQ(broken(), "");
  Put("b", "alice", true, auth_.revision - 1);
  EXPECT_EQ(broken(), "same-revision");
}

// As a leader's own revocation of what expired, when users change between its proposal and its place in the
// log.
TEST_F(Users, AnAdministratorRevokesLeasesWhateverChangedMeanwhile) {
  MakeUsers();
  pb::LeaseGrantRequest grant;
  grant.set_id(7);
  grant.set_ttl(10);
  Apply(Entry(EntryKind::kLeaseGrant, grant));
  pb::PutRequest put;
  put.set_key("b");
  put.set_lease(7);
  const raft::Entry attached = Entry(EntryKind::kPut, put);
  ++store_;
  Apply(attached);
  pb::LeaseRevokeRequest revoke;
  revoke.set_id(7);
  Apply(Entry(EntryKind::kLeaseRevoke, revoke, "alice"));
  EXPECT_EQ(broken(), "");
  const raft::Entry revoked = Entry(EntryKind::kLeaseRevoke, revoke, "root", auth_.revision - 1);
  ++store_;
  Apply(revoked);
  EXPECT_EQ(broken(), "");
}

TEST_F(Users, ARefusalOfWhatIsPermittedIsFound) {
  MakeUsers();
  Grant("a", "c", authpb::Permission::READWRITE);
  Put("b", "alice", false);
  EXPECT_EQ(broken(), "same-revision");
}

TEST_F(Users, MembersWithOtherUsersAreFound) {
  pb::AuthUserAddRequest add;
  add.set_name("alice");
  const raft::Entry entry = Entry(EntryKind::kAuthUserAdd, add);
  truth_.OnApplied(0, entry, 1, {false, 2});
  truth_.OnApplied(1, entry, 1, {false, 2});
  EXPECT_EQ(broken(), "");
  truth_.OnApplied(2, entry, 1, {false, 1});
  EXPECT_EQ(broken(), "same-users");
}

TEST_F(Users, AWriteIntoAFullStoreIsFound) {
  pb::AlarmRequest alarm;
  alarm.set_action(pb::AlarmRequest::ACTIVATE);
  alarm.set_alarm(pb::NOSPACE);
  alarm.set_memberid(7);
  Apply(Entry(EntryKind::kAlarm, alarm));
  Put("a", "", false);
  EXPECT_EQ(broken(), "");
  alarm.set_action(pb::AlarmRequest::DEACTIVATE);
  alarm.set_memberid(8);
  Apply(Entry(EntryKind::kAlarm, alarm));
  Put("a", "", false);
  EXPECT_EQ(broken(), "");
  alarm.set_memberid(7);
  Apply(Entry(EntryKind::kAlarm, alarm));
  Put("a", "", true);
  EXPECT_EQ(broken(), "");
  alarm.set_action(pb::AlarmRequest::ACTIVATE);
  Apply(Entry(EntryKind::kAlarm, alarm));
  Put("a", "", true);
  EXPECT_EQ(broken(), "same-revision");
}

}  // namespace
}  // namespace quorate::sim
