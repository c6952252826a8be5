#include "cmd/quoratectl/role_text.h"

#include <gtest/gtest.h>

namespace quorate::cmd {
namespace {

authpb::Permission MakePermission(authpb::Permission::Type type, const std::string& key,
                                  const std::string& end) {
  authpb::Permission permission;
  permission.set_permtype(type);
  permission.set_key(key);
  permission.set_range_end(end);
  return permission;
}

TEST(RoleTextTest, Lines) {
  etcdserverpb::AuthRoleGetResponse role;
  *role.add_perm() = MakePermission(authpb::Permission::READ, "one", "");
  *role.add_perm() = MakePermission(authpb::Permission::WRITE, "dir/", "dir0");
  *role.add_perm() = MakePermission(authpb::Permission::READWRITE, "z", std::string(1, '\0'));
  *role.add_perm() = MakePermission(authpb::Permission::READ, "a", "c");
  EXPECT_EQ(RoleLines("r", role),
            "Role r\nKV Read:\n\tone\n\t[z, <open ended>\n\t[a, c)\n"
            "KV Write:\n\t[dir/, dir0) (prefix dir/)\n\t[z, <open ended>\n");
}

TEST(RoleTextTest, PermissionTypes) {
  EXPECT_EQ(*ParsePermissionType("read"), authpb::Permission::READ);
  EXPECT_EQ(*ParsePermissionType("ReadWrite"), authpb::Permission::READWRITE);
  EXPECT_EQ(Message(ParsePermissionType("all").status()), "invalid permission type: all");
}

struct RangeCase {
  std::vector<std::string> values;
  bool prefix;
  bool from_key;
  std::string key;
  std::string end;
  std::string error;
};

TEST(RoleTextTest, Ranges) {
  const std::string zero(1, '\0');
  const RangeCase cases[] = {
      {{"k"}, false, false, "k", "", ""},
      {{"k"}, true, false, "k", "l", ""},
      {{"k"}, false, true, "k", zero, ""},
      {{"a", "b"}, false, false, "a", "b", ""},
      {{""}, false, false, zero, "", ""},
      {{""}, true, false, zero, zero, ""},
      {{""}, false, true, zero, zero, ""},
      {{"k"}, true, true, "", "", "--from-key and --prefix flags are mutually exclusive"},
      {{""}, true, true, "", "", "--from-key and --prefix flags are mutually exclusive"},
      {{"a", "b"}, true, false, "", "", "unexpected endkey argument with --prefix flag"},
      {{"a", "b"}, false, true, "", "", "unexpected endkey argument with --from-key flag"},
  };
  for (const RangeCase& one : cases) {
    const auto range = PermissionRange(one.values, one.prefix, one.from_key);
    if (!one.error.empty()) {
      EXPECT_EQ(Message(range.status()), one.error);
      continue;
    }
    ASSERT_TRUE(range.ok());
    EXPECT_EQ(range->key, one.key);
    EXPECT_EQ(range->end, one.end);
  }
}

}  // namespace
}  // namespace quorate::cmd
