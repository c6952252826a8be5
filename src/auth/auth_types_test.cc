#include "auth/auth_types.h"

#include <gtest/gtest.h>

#include "base/env_sim.h"
#include "base/test_seed.h"

namespace quorate::auth {
namespace {

using namespace std::string_literals;

TEST(AuthTypes, StoredBytesAreThoseOfEtcd) {
  User user;
  user.name = "al";
  user.password_hash = "h";
  user.roles = {"r1", "r2"};
  user.no_password = false;
  EXPECT_EQ(Encode(user),
            "\x0a\x02"
            "al"
            "\x12\x01h"
            "\x1a\x02r1"
            "\x1a\x02r2"
            "\x22\x00"s);
  user.no_password = true;
  user.password_hash.clear();
  user.roles.clear();
  EXPECT_EQ(Encode(user),
            "\x0a\x02"
            "al"
            "\x22\x02\x08\x01"s);
  user.no_password.reset();
  EXPECT_EQ(Encode(user),
            "\x0a\x02"
            "al"s);
  Role role;
  role.name = "r";
  role.permissions = {{PermissionType::kRead, "a", ""}, {PermissionType::kReadWrite, "b", "\0"s}};
  EXPECT_EQ(Encode(role),
            "\x0a\x01r"
            "\x12\x03\x12\x01"
            "a"
            "\x12\x08\x08\x02\x12\x01"
            "b"
            "\x1a\x01\x00"s);
}

TEST(AuthTypes, ComeBackWithUnknownFieldsIgnored) {
  User user;
  user.name = "al";
  user.password_hash = "h";
  user.roles = {"r1", ""};
  for (const std::optional<bool> no_password :
       {std::optional<bool>(), std::optional(false), std::optional(true)}) {
    user.no_password = no_password;
    EXPECT_EQ(*DecodeUser(Encode(user) + "\x78\x01\x7a\x01z"), user);
  }
  Role role;
  role.name = "r";
  role.permissions = {{static_cast<PermissionType>(7), "a", ""}, {static_cast<PermissionType>(-1), "b", "c"}};
  EXPECT_EQ(*DecodeRole(Encode(role) + "\x78\x01"), role);
}

TEST(AuthTypes, MalformedBytesAreDataLoss) {
  EXPECT_EQ(DecodeUser("\x0a\x05"
                       "ab")
                .status()
                .code(),
            absl::StatusCode::kDataLoss);
  EXPECT_EQ(DecodeUser("\x22\x01\x08").status().code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(DecodeRole("\x12\x01\x08").status().code(), absl::StatusCode::kDataLoss);
  SeededRandom random(TestSeed(5));
  for (int i = 0; i < 5000; ++i) {
    std::string bytes(random.Below(24), '\0');
    for (char& c : bytes) c = static_cast<char>(random.Below(36));
    (void)DecodeUser(bytes);
    (void)DecodeRole(bytes);
  }
}

}  // namespace
}  // namespace quorate::auth
