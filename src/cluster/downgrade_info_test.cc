#include "cluster/downgrade_info.h"

#include <gtest/gtest.h>

#include "base/env_sim.h"
#include "cluster/membership.h"

namespace quorate::cluster {
namespace {

TEST(DowngradeInfo, RowAsEtcdWritesIt) {
  EXPECT_EQ(DowngradeInfoJson({true, kVersion35}), R"({"target-version":"3.5.0","enabled":true})");
  EXPECT_EQ(DowngradeInfoJson({}), R"({"target-version":"","enabled":false})");
  for (const DowngradeInfo& info : {DowngradeInfo{}, DowngradeInfo{true, kVersion36}}) {
    EXPECT_EQ(*ParseDowngradeInfo(DowngradeInfoJson(info)), info);
  }
  EXPECT_EQ(*ParseDowngradeInfo("{}"), DowngradeInfo{});
  for (const char* bad : {"", "[]", R"({"enabled":true})", R"({"enabled":true,"target-version":"x"})"}) {
    EXPECT_FALSE(ParseDowngradeInfo(bad).ok()) << bad;
  }
}

TEST(DowngradeInfo, SurvivesARestart) {
  SimFileSystem files(1);
  SimClock clock;
  SeededRandom random(1);
  InlineExecutor executor;
  const Env env{&files, &clock, &random, &executor};
  std::string v2;
  {
    const auto backend = *mvcc::Backend::Open(env, "/db", {});
    Membership membership(1, 100, backend.get());
    membership.SetDowngrade({true, kVersion35});
    v2 = membership.V2Json();
    ASSERT_TRUE(backend->Close().ok());
  }
  const auto backend = *mvcc::Backend::Open(env, "/db", {});
  Membership membership(1, 100, backend.get());
  ASSERT_TRUE(membership.LoadV2(v2).ok());
  EXPECT_EQ(membership.downgrade(), (DowngradeInfo{true, kVersion35}));
}

}  // namespace
}  // namespace quorate::cluster
