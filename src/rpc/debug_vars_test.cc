#include "rpc/debug_vars.h"

#include <gtest/gtest.h>

namespace quorate::rpc {
namespace {

TEST(DebugVars, PasswordsAreNotShown) {
  const std::vector<std::string> given = {"quorate",
                                          "--name",
                                          "a",
                                          "--discovery-password=x",
                                          "-discovery-user",
                                          "u:p",
                                          "--discovery-user=u:p",
                                          "--discovery-token=t",
                                          "discovery-password=value-of-another",
                                          "--discovery-password"};
  const std::vector<std::string> shown = {"quorate",
                                          "--name",
                                          "a",
                                          "--discovery-password=<hidden>",
                                          "-discovery-user",
                                          "<hidden>",
                                          "--discovery-user=<hidden>",
                                          "--discovery-token=t",
                                          "discovery-password=value-of-another",
                                          "--discovery-password"};
  EXPECT_EQ(WithoutSecrets(given), shown);
  EXPECT_TRUE(WithoutSecrets({}).empty());
  EXPECT_EQ(WithoutSecrets({"", "-", "--"}), (std::vector<std::string>{"", "-", "--"}));
}

}  // namespace
}  // namespace quorate::rpc
