#include "backup/others_backups.h"

#include <gtest/gtest.h>

namespace quorate::backup {
namespace {

TEST(BackupAnswer, ComesOutAsItWentIn) {
  for (const BackupAnswer& answer :
       {BackupAnswer{}, BackupAnswer{0, 1, true},
        BackupAnswer{3'600'000'000'000, 1'767'225'600'000'000'000, false}, BackupAnswer{5, {}, true}}) {
    const BackupAnswer read = DecodeAnswer(EncodeAnswer(answer));
    EXPECT_EQ(read.age_nanos, answer.age_nanos);
    EXPECT_EQ(read.newest_unix_nanos, answer.newest_unix_nanos);
    EXPECT_EQ(read.running, answer.running);
  }
}

TEST(BackupAnswer, WhatCanNotBeReadSaysNothing) {
  const std::string long_one = "{\"running\":true,\"x\":\"" + std::string(5000, 'x') + "\"}";
  for (const std::string& text : {std::string(), std::string("[]"), std::string("null"), std::string("{"),
                                  long_one, std::string(R"({"ageNanos":-1,"running":1,"takenUnixNanos":-5})"),
                                  std::string(R"({"ageNanos":"5","running":"true","takenUnixNanos":1.5})")}) {
    const BackupAnswer read = DecodeAnswer(text);
    EXPECT_FALSE(read.age_nanos || read.newest_unix_nanos || read.running) << text;
  }
}

}  // namespace
}  // namespace quorate::backup
