#include "base/log_limit.h"

#include <gtest/gtest.h>

namespace quorate {
namespace {

constexpr int64_t kSecond = 1'000'000'000;

TEST(LogLimit, SoManyLinesASecond) {
  log::LineLimit limit("attempts");
  for (int64_t second : {5, 6}) {
    int written = 0;
    for (int i = 0; i < 1000; ++i) written += limit.Admit(second * kSecond + i) ? 1 : 0;
    EXPECT_EQ(log::LineLimit::kLinesPerSecond, written);
  }
}

TEST(LogLimit, WhatWasLeftOutIsSaidOnceAndWithItsNumber) {
  log::LineLimit limit("attempts");
  for (int i = 0; i < 30; ++i) limit.Admit(kSecond);
  testing::internal::CaptureStderr();
  EXPECT_TRUE(limit.Admit(2 * kSecond));
  EXPECT_TRUE(limit.Admit(3 * kSecond));
  const std::string said = testing::internal::GetCapturedStderr();
  EXPECT_NE(std::string::npos, said.find(R"("lines":"attempts","count":10)")) << said;
  EXPECT_EQ(said.find("left out"), said.rfind("left out")) << said;
}

}  // namespace
}  // namespace quorate
