#include "server/requests.h"

#include <gtest/gtest.h>

#include <random>
#include <string>

#include "base/test_seed.h"
#include "raft_internal.pb.h"

namespace quorate::server {
namespace {

class Generator {
 public:
  explicit Generator(uint64_t seed) : random_(seed) {}

  std::string Bytes() {
    std::string bytes(random_() % 4 == 0 ? 0 : random_() % 200, '\0');
    for (char& c : bytes) c = static_cast<char>(random_());
    return bytes;
  }
  bool Flag() { return random_() % 2 == 0; }
  int64_t Number() {
    switch (random_() % 4) {
      case 0:
        return 0;
      case 1:
        return static_cast<int64_t>(random_() % 300);
      default:
        return static_cast<int64_t>(random_());
    }
  }
  uint64_t Below(uint64_t bound) { return random_() % bound; }

  etcdserverpb::PutRequest Put() {
    etcdserverpb::PutRequest r;
    r.set_key(Bytes());
    r.set_value(Bytes());
    r.set_lease(Number());
    r.set_prev_kv(Flag());
    r.set_ignore_value(Flag());
    r.set_ignore_lease(Flag());
    return r;
  }
  etcdserverpb::DeleteRangeRequest Delete() {
    etcdserverpb::DeleteRangeRequest r;
    r.set_key(Bytes());
    r.set_range_end(Bytes());
    r.set_prev_kv(Flag());
    return r;
  }
  etcdserverpb::RangeRequest Range() {
    etcdserverpb::RangeRequest r;
    r.set_key(Bytes());
    r.set_range_end(Bytes());
    r.set_limit(Number());
    r.set_revision(Number());
    r.set_sort_order(static_cast<etcdserverpb::RangeRequest::SortOrder>(Below(4)));
    r.set_sort_target(static_cast<etcdserverpb::RangeRequest::SortTarget>(Below(6)));
    r.set_serializable(Flag());
    r.set_keys_only(Flag());
    r.set_count_only(Flag());
    r.set_min_mod_revision(Number());
    r.set_max_mod_revision(Number());
    r.set_min_create_revision(Number());
    r.set_max_create_revision(Number());
    return r;
  }

 private:
  std::mt19937_64 random_;
};

void ExpectSame(const PutRequest& a, const etcdserverpb::PutRequest& b) {
  EXPECT_EQ(a.key, b.key());
  EXPECT_EQ(a.value, b.value());
  EXPECT_EQ(a.lease, b.lease());
  EXPECT_EQ(a.prev_kv, b.prev_kv());
  EXPECT_EQ(a.ignore_value, b.ignore_value());
  EXPECT_EQ(a.ignore_lease, b.ignore_lease());
}
void ExpectSame(const DeleteRangeRequest& a, const etcdserverpb::DeleteRangeRequest& b) {
  EXPECT_EQ(a.key, b.key());
  EXPECT_EQ(a.range_end, b.range_end());
  EXPECT_EQ(a.prev_kv, b.prev_kv());
}
void ExpectSame(const RangeRequest& a, const etcdserverpb::RangeRequest& b) {
  EXPECT_EQ(a.key, b.key());
  EXPECT_EQ(a.range_end, b.range_end());
  EXPECT_EQ(a.limit, b.limit());
  EXPECT_EQ(a.revision, b.revision());
  EXPECT_EQ(a.sort_order, b.sort_order());
  EXPECT_EQ(a.sort_target, b.sort_target());
  EXPECT_EQ(a.serializable, b.serializable());
  EXPECT_EQ(a.keys_only, b.keys_only());
  EXPECT_EQ(a.count_only, b.count_only());
  EXPECT_EQ(a.min_mod_revision, b.min_mod_revision());
  EXPECT_EQ(a.max_mod_revision, b.max_mod_revision());
  EXPECT_EQ(a.min_create_revision, b.min_create_revision());
  EXPECT_EQ(a.max_create_revision, b.max_create_revision());
}

// Protobuf's bytes are read as protobuf reads them, and ours are protobuf's.
TEST(Requests, AgreeWithProtobuf) {
  const uint64_t seed = TestSeed(1);
  SCOPED_TRACE("seed " + std::to_string(seed));
  Generator generate(seed);
  for (int i = 0; i < 500 && !::testing::Test::HasFailure(); ++i) {
    const auto put = generate.Put();
    const std::string put_bytes = put.SerializeAsString();
    PutRequest put_view;
    ASSERT_TRUE(Decode(put_bytes, &put_view));
    ExpectSame(put_view, put);
    std::string again;
    Append(again, put_view);
    EXPECT_EQ(again, put_bytes);

    const auto del = generate.Delete();
    const std::string del_bytes = del.SerializeAsString();
    DeleteRangeRequest del_view;
    ASSERT_TRUE(Decode(del_bytes, &del_view));
    ExpectSame(del_view, del);
    again.clear();
    Append(again, del_view);
    EXPECT_EQ(again, del_bytes);

    const auto range = generate.Range();
    const std::string range_bytes = range.SerializeAsString();
    RangeRequest range_view;
    ASSERT_TRUE(Decode(range_bytes, &range_view));
    ExpectSame(range_view, range);
  }
}

// A damaged message is refused, or read as protobuf reads it; it never reads beyond its end.
TEST(Requests, Garbage) {
  const uint64_t seed = TestSeed(2);
  SCOPED_TRACE("seed " + std::to_string(seed));
  Generator generate(seed);
  for (int i = 0; i < 5000 && !::testing::Test::HasFailure(); ++i) {
    std::string bytes = generate.Put().SerializeAsString();
    for (uint64_t flips = generate.Below(3); flips > 0 && !bytes.empty(); --flips) {
      bytes[generate.Below(bytes.size())] = static_cast<char>(generate.Number());
    }
    bytes.resize(generate.Below(bytes.size() + 1));
    bytes.shrink_to_fit();
    PutRequest view;
    etcdserverpb::PutRequest message;
    if (Decode(bytes, &view) && message.ParseFromString(bytes)) ExpectSame(view, message);
    RangeRequest range_view;
    etcdserverpb::RangeRequest range;
    if (Decode(bytes, &range_view) && range.ParseFromString(bytes)) ExpectSame(range_view, range);
    EntryView entry;
    DecodeEntry(bytes, &entry);
  }
}

TEST(Requests, PutEntryIsWhatProtobufWrites) {
  const uint64_t seed = TestSeed(3);
  SCOPED_TRACE("seed " + std::to_string(seed));
  Generator generate(seed);
  for (int i = 0; i < 300 && !::testing::Test::HasFailure(); ++i) {
    etcdserverpb::InternalRaftRequest whole;
    *whole.mutable_put() = generate.Put();
    whole.mutable_header()->set_id(static_cast<uint64_t>(generate.Number()));
    if (generate.Flag()) {
      whole.mutable_header()->set_username("root");
      whole.mutable_header()->set_auth_revision(generate.Below(100));
    }
    const RequestHeader header{whole.header().id(), whole.header().username(),
                               whole.header().auth_revision()};
    const std::string body = whole.put().SerializeAsString();
    PutRequest put;
    ASSERT_TRUE(Decode(body, &put));
    EXPECT_EQ(EncodePutEntry(put, header), whole.SerializeAsString());
    EXPECT_EQ(EncodeEntry(EntryKind::kPut, body, header), whole.SerializeAsString());
  }
}

struct Kind {
  EntryKind kind;
  const char* field;
};
class EveryKind : public testing::TestWithParam<Kind> {};

// An entry as any member writes it: kind, header and body come out, and ours has the same bytes.
TEST_P(EveryKind, DecodesFromProtobuf) {
  etcdserverpb::InternalRaftRequest whole;
  const auto* field = whole.GetDescriptor()->FindFieldByName(GetParam().field);
  ASSERT_NE(field, nullptr);
  const std::string body = whole.GetReflection()->MutableMessage(&whole, field)->SerializeAsString();
  whole.mutable_header()->set_id(77);
  whole.mutable_header()->set_username("u");
  whole.mutable_header()->set_auth_revision(5);
  const std::string bytes = whole.SerializeAsString();
  EntryView view;
  ASSERT_TRUE(DecodeEntry(bytes, &view));
  EXPECT_EQ(view.kind, GetParam().kind);
  EXPECT_EQ(view.field, static_cast<uint32_t>(field->number()));
  EXPECT_EQ(view.header.id, 77u);
  EXPECT_EQ(view.header.username, "u");
  EXPECT_EQ(view.header.auth_revision, 5u);
  EXPECT_EQ(view.body, body);
  EXPECT_EQ(EncodeEntry(view.kind, view.body, view.header), bytes);
}

INSTANTIATE_TEST_SUITE_P(
    Requests, EveryKind,
    testing::Values(
        Kind{EntryKind::kRange, "range"}, Kind{EntryKind::kPut, "put"},
        Kind{EntryKind::kDeleteRange, "delete_range"}, Kind{EntryKind::kTxn, "txn"},
        Kind{EntryKind::kCompaction, "compaction"}, Kind{EntryKind::kLeaseGrant, "lease_grant"},
        Kind{EntryKind::kLeaseRevoke, "lease_revoke"}, Kind{EntryKind::kAlarm, "alarm"},
        Kind{EntryKind::kLeaseCheckpoint, "lease_checkpoint"}, Kind{EntryKind::kAuthEnable, "auth_enable"},
        Kind{EntryKind::kAuthDisable, "auth_disable"}, Kind{EntryKind::kAuthenticate, "authenticate"},
        Kind{EntryKind::kAuthStatus, "auth_status"}, Kind{EntryKind::kAuthUserAdd, "auth_user_add"},
        Kind{EntryKind::kAuthUserDelete, "auth_user_delete"}, Kind{EntryKind::kAuthUserGet, "auth_user_get"},
        Kind{EntryKind::kAuthUserChangePassword, "auth_user_change_password"},
        Kind{EntryKind::kAuthUserGrantRole, "auth_user_grant_role"},
        Kind{EntryKind::kAuthUserRevokeRole, "auth_user_revoke_role"},
        Kind{EntryKind::kAuthUserList, "auth_user_list"}, Kind{EntryKind::kAuthRoleList, "auth_role_list"},
        Kind{EntryKind::kAuthRoleAdd, "auth_role_add"}, Kind{EntryKind::kAuthRoleDelete, "auth_role_delete"},
        Kind{EntryKind::kAuthRoleGet, "auth_role_get"},
        Kind{EntryKind::kAuthRoleGrantPermission, "auth_role_grant_permission"},
        Kind{EntryKind::kAuthRoleRevokePermission, "auth_role_revoke_permission"},
        Kind{EntryKind::kClusterVersionSet, "cluster_version_set"},
        Kind{EntryKind::kClusterMemberAttrSet, "cluster_member_attr_set"},
        Kind{EntryKind::kDowngradeInfoSet, "downgrade_info_set"}),
    [](const auto& param_info) { return std::string(param_info.param.field); });

TEST(Requests, EntryWithoutRequest) {
  EntryView view;
  EXPECT_FALSE(DecodeEntry("", &view));
  etcdserverpb::InternalRaftRequest whole;
  whole.mutable_header()->set_id(1);
  EXPECT_FALSE(DecodeEntry(whole.SerializeAsString(), &view));
}

}  // namespace
}  // namespace quorate::server
