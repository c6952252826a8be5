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

}  // namespace
}  // namespace quorate::auth
