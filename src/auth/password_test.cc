#include "auth/password.h"

#include <gtest/gtest.h>

namespace quorate::auth {
namespace {

Salt SaltOf(char first) {
  Salt salt{};
  salt[0] = first;
  salt[15] = '\x7f';
  return salt;
}

// Vectors of golang.org/x/crypto/bcrypt's own test and of other implementations of $2a$.
TEST(Password, HashesOfGoAreVerified) {
  const struct {
    const char* password;
    const char* hash;
  } cases[] = {
      {"allmine", "$2a$10$XajjQvNhvvRt5GSeFk1xFeyqRrsxkhBkUiQeg0dt.wU1qD4aFDcga"},
      {"a", "$2a$06$m0CrhHm10qJ3lXRY.5zDGO3rS2KdeeWLuGmsfGlMfOxih58VYVfxe"},
      {"U*U", "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW"},
      // The byte 0xff, whose sign the buggy implementations of old extended.
      {"\xff\xff\xa3", "$2a$05$/OK.fbVrR/bpIqNJ5ianF.CE5elHaaO4EbggVDjb8P19RukzXSM3e"},
  };
  for (const auto& c : cases) {
    const std::string hash = c.hash;
    EXPECT_EQ(hash.size(), 60u) << hash;
    EXPECT_TRUE(VerifyPassword(hash, c.password)) << hash;
    EXPECT_FALSE(VerifyPassword(hash, std::string(c.password) + "x")) << hash;
    EXPECT_TRUE(VerifyPassword("$2$" + hash.substr(4), c.password)) << hash;
    EXPECT_TRUE(VerifyPassword("$2y$" + hash.substr(4), c.password)) << hash;
  }
}

TEST(Password, NewHashes) {
  const auto hash = HashPassword("secret", 4, SaltOf('a'));
  ASSERT_TRUE(hash.ok());
  EXPECT_TRUE(hash->starts_with("$2a$04$"));
  EXPECT_EQ(hash->size(), 60u);
  EXPECT_TRUE(VerifyPassword(*hash, "secret"));
  EXPECT_FALSE(VerifyPassword(*hash, "Secret"));
  EXPECT_FALSE(VerifyPassword(*hash, ""));
  EXPECT_NE(*hash, *HashPassword("secret", 4, SaltOf('b')));
  EXPECT_EQ(*hash, *HashPassword("secret", 4, SaltOf('a')));
  EXPECT_TRUE(VerifyPassword(*HashPassword("", 4, SaltOf('a')), ""));
  // Only 72 bytes count.
  const std::string longest(72, 'p');
  EXPECT_TRUE(VerifyPassword(*HashPassword(longest + "one", 4, SaltOf('a')), longest + "two"));
  const std::string very_long(100'000, 'p');
  EXPECT_TRUE(VerifyPassword(*HashPassword(longest, 4, SaltOf('a')), very_long));
  EXPECT_TRUE(VerifyPassword(*HashPassword(very_long, 4, SaltOf('a')), longest));
}

TEST(Password, WhatIsNoHashVerifiesNothing) {
  const std::string good = *HashPassword("secret", 4, SaltOf('a'));
  const std::string cases[] = {"",
                               "secret",
                               "*0",
                               good.substr(0, 59),
                               good + "x",
                               "$1" + good.substr(2),
                               "$2a$03" + good.substr(6),
                               "$2a$32" + good.substr(6),
                               "$2a$0x" + good.substr(6),
                               "$2a$04x" + good.substr(7),
                               "$2a$04$!" + good.substr(8)};
  for (const std::string& hash : cases) EXPECT_FALSE(VerifyPassword(hash, "secret")) << hash;
}

TEST(Password, RefusedInput) {
  EXPECT_EQ(HashPassword("secret", 3, SaltOf('a')).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(HashPassword("secret", 32, SaltOf('a')).status().code(), absl::StatusCode::kInvalidArgument);
  const std::string with_zero("a\0b", 3);
  EXPECT_EQ(HashPassword(with_zero, 4, SaltOf('a')).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_FALSE(VerifyPassword(*HashPassword("a", 4, SaltOf('a')), with_zero));
}

}  // namespace
}  // namespace quorate::auth
