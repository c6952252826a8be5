#include "auth/simple_tokens.h"

#include <gtest/gtest.h>

#include "base/env_sim.h"

namespace quorate::auth {
namespace {

constexpr int64_t kSecond = 1'000'000'000;

TEST(SimpleTokens, FormAndIndex) {
  SeededRandom random(1);
  const std::string prefix = SimpleTokens::NewPrefix(random);
  EXPECT_EQ(prefix.size(), kTokenPrefixLetters);
  for (const char c : prefix) EXPECT_TRUE(std::isalpha(static_cast<unsigned char>(c))) << prefix;
  EXPECT_NE(prefix, SimpleTokens::NewPrefix(random));
  SimpleTokens tokens(300 * kSecond);
  EXPECT_EQ(tokens.Assign("al", "Prefix", 42, 0), "Prefix.42");
  EXPECT_EQ(SimpleTokens::Index("Prefix.42"), 42u);
  EXPECT_EQ(SimpleTokens::Index(".0"), 0u);
  for (const char* bad :
       {"", "Prefix", "Prefix.", "Prefix.-1", "Prefix.+1", "a.1.2", "a.1x", "a.99999999999999999999"}) {
    EXPECT_EQ(SimpleTokens::Index(bad), std::nullopt) << bad;
  }
}

TEST(SimpleTokens, UseProlongsLife) {
  SimpleTokens tokens(300 * kSecond);
  const std::string token = tokens.Assign("al", "P", 1, 0);
  EXPECT_EQ(tokens.Use(token, 300 * kSecond), "al");
  EXPECT_EQ(tokens.Use(token, 600 * kSecond), "al");
  EXPECT_EQ(tokens.Use(token, 900 * kSecond + 1), std::nullopt);
  EXPECT_EQ(tokens.Use(token, 0), std::nullopt);
  EXPECT_EQ(tokens.Use("P.2", 0), std::nullopt);
}

TEST(SimpleTokens, EndedOnesAreSweptAndUsersForgotten) {
  SimpleTokens tokens(300 * kSecond);
  for (uint64_t i = 0; i < 10; ++i) tokens.Assign("al", "P", i, 0);
  tokens.Assign("bo", "Q", 1, 200 * kSecond);
  EXPECT_EQ(tokens.size(), 11u);
  tokens.Assign("al", "P", 11, 301 * kSecond);
  EXPECT_EQ(tokens.size(), 2u);
  tokens.InvalidateUser("al");
  EXPECT_EQ(tokens.size(), 1u);
  EXPECT_EQ(tokens.Use("Q.1", 301 * kSecond), "bo");
  tokens.InvalidateAll();
  EXPECT_EQ(tokens.size(), 0u);
}

// What was found last is not asked for again, as long as it is there.
TEST(SimpleTokens, WhatIsForgottenIsNotFoundAgain) {
  SimpleTokens tokens(300 * kSecond);
  const auto used = [&](std::string_view token, int64_t now) { return tokens.Use(token, now).has_value(); };
  const std::string al = tokens.Assign("al", "P", 1, 0);
  const std::string bo = tokens.Assign("bo", "Q", 2, 0);
  EXPECT_TRUE(used(al, 0));
  EXPECT_TRUE(used(al, 0));
  EXPECT_TRUE(used(bo, 0));
  tokens.InvalidateUser("bo");
  EXPECT_FALSE(used(bo, 0));
  EXPECT_TRUE(tokens.Has(al));
  for (uint64_t i = 3; i < 1000; ++i) tokens.Assign("cy", "R", i, 0);  // The table grows.
  EXPECT_TRUE(used(al, 1));
  EXPECT_FALSE(used(al, 301 * kSecond));
  EXPECT_FALSE(tokens.Has(al));
  const std::string again = tokens.Assign("al", "P", 1, 301 * kSecond);
  EXPECT_TRUE(used(again, 301 * kSecond));
  tokens.InvalidateAll();
  EXPECT_FALSE(tokens.Has(again));
}

}  // namespace
}  // namespace quorate::auth
