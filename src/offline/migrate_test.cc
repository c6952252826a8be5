#include "offline/migrate.h"

#include <gmock/gmock.h>

#include "cluster/v2_request.h"
#include "offline/data_directory.h"
#include "offline/member_state.h"
#include "offline/offline_fixture.h"
#include "raft_internal.pb.h"
#include "wal/log_reader.h"
#include "wal/wal.h"

namespace quorate::offline {
namespace {

using testing::HasSubstr;

class MigrateTest : public OfflineTest {
 protected:
  void MakeMember(const std::string& version) {
    MakeSnapshot("/snapshot.db", SomeRecords(), version);
    ASSERT_TRUE(Restore(&files, Options(), {}).ok());
  }

  // One more entry in the log, committed.
  void AppendEntry(const std::string& data) {
    wal::LogContents log;
    auto wal = wal::Wal::Open(&files, at.wal, {3, 1, std::nullopt}, {}, &log);
    ASSERT_TRUE(wal.ok()) << wal.status();
    raft::Entry entry;
    entry.term = 1;
    entry.index = log.last_index + 1;
    entry.data = raft::Payload(data);
    raft::HardState state = log.hard_state;
    state.commit = entry.index;
    (*wal)->Append({&entry, 1}, state);
    ASSERT_TRUE((*wal)->WriteAndSync((*wal)->TakeBatch()).ok());
    ASSERT_TRUE((*wal)->Close().ok());
  }

  std::string StorageVersion() { return Row(at.db, "meta", "storageVersion"); }

  const DataDirectory at = LocateData("/data/m1.etcd", "");
};

TEST_F(MigrateTest, GoesUpAndDown) {
  MakeMember("3.5.0");
  const auto up = Migrate(&files, at, cluster::kVersion37, false);
  ASSERT_TRUE(up.ok()) << up.status();
  EXPECT_EQ(up->from, cluster::kVersion35);
  EXPECT_EQ(StorageVersion(), "3.7.0");
  EXPECT_EQ(Migrate(&files, at, cluster::kVersion37, false)->from, cluster::kVersion37);
  ASSERT_TRUE(Migrate(&files, at, cluster::kVersion36, false).ok());
  EXPECT_EQ(StorageVersion(), "3.6.0");
  ASSERT_TRUE(Migrate(&files, at, cluster::kVersion35, false).ok());
  EXPECT_EQ(StorageVersion(), "");
}

TEST_F(MigrateTest, NewerEntriesHinderTheWayDownUnlessForced) {
  MakeMember("3.6.0");
  etcdserverpb::InternalRaftRequest request;
  request.mutable_cluster_version_set()->set_ver("3.6.0");
  AppendEntry(request.SerializeAsString());
  const auto down = Migrate(&files, at, cluster::kVersion35, false);
  EXPECT_THAT(
      std::string(Message(down.status())),
      HasSubstr(
          "cannot downgrade storage, WAL contains newer entries, as the target version (3.5.0) is lower "
          "than the version (3.6.0) detected from WAL logs"));
  EXPECT_EQ(StorageVersion(), "3.6.0");
  const auto forced = Migrate(&files, at, cluster::kVersion35, true);
  ASSERT_TRUE(forced.ok());
  EXPECT_TRUE(forced->forced);
  EXPECT_EQ(StorageVersion(), "");
}

TEST_F(MigrateTest, RefusesWhatItCantKnow) {
  MakeMember("3.4.0");
  EXPECT_THAT(std::string(Message(Migrate(&files, at, cluster::kVersion36, true).status())),
              HasSubstr("cannot detect storage schema version: missing term information"));
  EXPECT_EQ(ParseTargetVersion("3.6")->minor, 6u);
  const struct {
    const char* text;
    const char* error;
  } cases[] = {{"3", "wrong target version format, expected \"X.Y\", got \"3\""},
               {"3.6.0", "wrong target version format, expected \"X.Y\", got \"3.6.0\""},
               {"3.x", "failed to parse target version"},
               {"3.4", "target version \"3.4\" not supported. Minimal \"3.5\""}};
  for (const auto& c : cases) {
    EXPECT_THAT(std::string(Message(ParseTargetVersion(c.text).status())), HasSubstr(c.error));
  }
}

TEST_F(MigrateTest, RefusesVersionsThatAreNotThere) {
  MakeMember("3.6.0");
  EXPECT_THAT(std::string(Message(Migrate(&files, at, {3, 9, 0}, false).status())),
              HasSubstr("is not supported"));
  EXPECT_THAT(std::string(Message(Migrate(&files, at, {4, 0, 0}, false).status())),
              HasSubstr("changing major storage version is not supported"));
}

TEST_F(MigrateTest, VerifyTellsWhichPartIsOlder) {
  MakeMember("3.4.0");
  MemberState state = *ReadMemberState(&files, at);
  EXPECT_TRUE(VerifyMember(state, true).ok());
  state.consistent_index = 9;
  EXPECT_THAT(std::string(Message(VerifyMember(state, false))),
              HasSubstr("backend.ConsistentIndex (9) must be <= WAL.HardState.commit (3)"));
  // Only beyond the log's end: a process that was killed has applied what its log does not call committed.
  for (uint64_t index = 4; index <= 9; ++index) state.entries.push_back({1, index});
  EXPECT_TRUE(VerifyMember(state, false).ok()) << VerifyMember(state, false);
  EXPECT_THAT(TrailingCommit(state).value_or(""), HasSubstr("(9) is ahead of WAL.HardState.commit (3)"));
  state.consistent_index = 10;
  EXPECT_FALSE(VerifyMember(state, false).ok());
  state.entries.clear();
  state.consistent_index = 2;
  EXPECT_THAT(std::string(Message(VerifyMember(state, false))),
              HasSubstr("backend.ConsistentIndex (2) must be >= last snapshot index (3)"));
  state.consistent_index = 3;
  state.hard_state.commit = 5;
  EXPECT_THAT(std::string(Message(VerifyMember(state, true))),
              HasSubstr("expected == WAL.HardState.commit (5)"));
  EXPECT_THAT(std::string(Message(VerifyMember(state, false))), HasSubstr("the log has lost its end"));
}

TEST_F(MigrateTest, FindsDataOfTheV2Api) {
  MakeMember("3.4.0");
  EXPECT_TRUE(CheckV2Store(&files, at).ok());
  cluster::V2Request request;
  request.id = 5;
  request.method = "PUT";
  request.path = "/1/foo";
  request.value = "bar";
  AppendEntry(cluster::EncodeV2Request(request));
  EXPECT_EQ(Message(CheckV2Store(&files, at)), "detected custom v2 content in WAL records");
}

}  // namespace
}  // namespace quorate::offline
