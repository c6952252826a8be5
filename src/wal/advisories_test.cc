// Published advisories about the write-ahead log; docs/security.md lists them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "base/env_sim.h"
#include "wal/wal_fixture.h"

namespace quorate::wal {
namespace {

using testing::HasSubstr;

class AdvisoryTest : public testing::Test {
 protected:
  SimFileSystem files_{1};
  LogContents contents_;
};

// CVE-2020-15112: an entry whose index lies far beyond its place made the reader index a slice with it.
TEST_F(AdvisoryTest, Cve202015112AnEntryOfAHugeIndex) {
  for (const uint64_t index : {uint64_t{1} << 40, uint64_t{1} << 63, UINT64_MAX}) {
    SimFileSystem files(1);
    auto wal = *CreateLog(&files);
    ASSERT_TRUE(Save(*wal, MakeEntries(1, 1, 2)).ok());
    ASSERT_TRUE(Save(*wal, MakeEntries(1, index, 1)).ok());
    wal.reset();
    const Status status = OpenLog(&files, &contents_).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss) << index;
    EXPECT_THAT(std::string(Message(status)), HasSubstr("follows 2"));
  }
}

// Finding 13 of the audit of 2020: reading a log that was just created dereferenced nothing.
TEST_F(AdvisoryTest, TobEtcd013ALogThatWasJustCreated) {
  CreateLog(&files_)->reset();
  const auto wal = OpenLog(&files_, &contents_);
  ASSERT_TRUE(wal.ok()) << wal.status();
  EXPECT_TRUE(contents_.entries.empty());
}

}  // namespace
}  // namespace quorate::wal
