#include "offline/restore.h"

#include "base/test_seed.h"
#include "cluster/v2_store.h"
#include "offline/check_db.h"
#include "offline/check_log.h"
#include "offline/data_directory.h"
#include "offline/member_state.h"
#include "offline/offline_fixture.h"
#include "wal/log_reader.h"
#include "wal/snap_files.h"

namespace quorate::offline {
namespace {

class RestoreTest : public OfflineTest {
 protected:
  StatusOr<Restored> Run(const RestoreOptions& options) { return Restore(&files, options, {}); }

  // The member is whole: its parts are sound and belong together.
  void ExpectWhole(const RestoreOptions& options) {
    const DataDirectory at = LocateData(options.data_dir, options.wal_dir);
    const auto state = ReadMemberState(&files, at);
    ASSERT_TRUE(state.ok()) << state.status();
    EXPECT_TRUE(VerifyMember(*state, true).ok()) << VerifyMember(*state, true);
    const auto db = CheckDbFile(&files, at.db, {});
    ASSERT_TRUE(db.ok());
    for (const Finding& finding : db->findings) ADD_FAILURE() << finding.text;
    const auto log = CheckLog(&files, at.wal, {});
    ASSERT_TRUE(log.ok()) << log.status();
    for (const Finding& finding : log->findings) ADD_FAILURE() << finding.text;
  }
};

TEST_F(RestoreTest, MakesAMemberOfANewCluster) {
  MakeSnapshot("/snapshot.db", SomeRecords());
  const auto restored = Run(Options());
  ASSERT_TRUE(restored.ok()) << restored.status();
  EXPECT_EQ(restored->revision, 6);
  ExpectWhole(Options());
  EXPECT_EQ(*files.List("/data/m1.etcd"), std::vector<std::string>({"member"}));

  const std::string db = "/data/m1.etcd/member/snap/db";
  EXPECT_EQ(Row(db, "members", "abc"), "");
  EXPECT_EQ(Row(db, "members_removed", "def"), "");
  EXPECT_EQ(Row(db, "meta", "consistent_index"), Number(3));
  EXPECT_EQ(Row(db, "meta", "term"), "") << "a row that etcd 3.4 does not keep";
  EXPECT_EQ(Row(db, "meta", "confState"), "");
  EXPECT_EQ(Row(db, "cluster", "clusterVersion"), "3.4.0");
  const std::string id = cluster::IdText(restored->member_id);
  EXPECT_EQ(Row(db, "members", id), "{\"id\":" + std::to_string(restored->member_id) +
                                        ",\"peerURLs\":[\"http://10.0.0.1:2380\"],\"name\":\"m1\"}");

  const auto snapshot = wal::ReadSnapshotFile(&files, "/data/m1.etcd/member/snap/" + wal::SnapshotName(1, 3));
  ASSERT_TRUE(snapshot.ok()) << snapshot.status();
  EXPECT_EQ(snapshot->metadata.conf_state.voters.size(), 3u);
  const auto store = cluster::V2Store::Parse(snapshot->data);
  ASSERT_TRUE(store.ok());
  EXPECT_EQ(store->Members()->size(), 3u);
  EXPECT_EQ(*store->ClusterVersion(), cluster::kVersion34);
}

// The same cluster on every member, each with an ID of its own.
TEST_F(RestoreTest, MembersOfOneClusterAgree) {
  MakeSnapshot("/snapshot.db", SomeRecords());
  RestoreOptions second = Options();
  second.name = "m2";
  second.data_dir = "/data/m2.etcd";
  second.peer_urls = {"http://10.0.0.2:2380"};
  const auto one = Run(Options());
  const auto two = Run(second);
  ASSERT_TRUE(one.ok() && two.ok());
  EXPECT_EQ(one->cluster_id, two->cluster_id);
  EXPECT_NE(one->member_id, two->member_id);
}

TEST_F(RestoreTest, KeepsTheRowsOfNewerVersionsInStep) {
  MakeSnapshot("/snapshot.db", SomeRecords(), "3.6.0");
  const auto restored = Run(Options());
  ASSERT_TRUE(restored.ok()) << restored.status();
  ExpectWhole(Options());
  const std::string db = "/data/m1.etcd/member/snap/db";
  EXPECT_EQ(Row(db, "meta", "term"), Number(1));
  EXPECT_EQ(Row(db, "meta", "storageVersion"), "3.6.0");
  EXPECT_NE(Row(db, "meta", "confState").find(std::to_string(restored->member_id)), std::string::npos);
}

TEST_F(RestoreTest, BumpsTheRevisionAndMarksItCompacted) {
  MakeSnapshot("/snapshot.db", SomeRecords());
  RestoreOptions options = Options();
  options.revision_bump = 1'000'000;
  EXPECT_EQ(Message(Run(options).status()).substr(0, 47), "--mark-compacted required if --revision-bump > ");
  options.mark_compacted = true;
  const auto restored = Run(options);
  ASSERT_TRUE(restored.ok()) << restored.status();
  EXPECT_EQ(restored->revision, 1'000'006);
  const auto mark = mvcc::EncodeRevision({1'000'006, 0}, false);
  EXPECT_EQ(Row("/data/m1.etcd/member/snap/db", "meta", "scheduledCompactRev"), mark.view());
  ExpectWhole(options);

  options.data_dir = "/data/other";
  options.revision_bump = UINT64_MAX;
  EXPECT_EQ(Run(options).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_FALSE(files.Exists("/data/other"));
}

// Members that are restored side by side below a directory that none of them found.
TEST_F(RestoreTest, AFailureLeavesWhatOthersMadeMeanwhile) {
  MakeSnapshot("/snapshot.db", SomeRecords());
  for (const bool others : {false, true}) {
    RestoreOptions options = Options();
    options.data_dir = "/new/cluster/m1.etcd";
    options.prepare_db = [&](const std::string&) -> StatusOr<std::string> {
      if (others) WriteFile("/new/cluster/m2.etcd/member/snap/db", "another member");
      return DataLoss("it fails now");
    };
    EXPECT_TRUE(absl::IsDataLoss(Run(options).status()));
    EXPECT_FALSE(files.Exists("/new/cluster/m1.etcd"));
    EXPECT_EQ(files.Exists("/new"), others);
    EXPECT_EQ(files.Exists("/new/cluster/m2.etcd/member/snap/db"), others);
  }
}

// Of one token and of two states.
TEST_F(RestoreTest, WhatPreparesTheDatabaseTellsClustersApart) {
  MakeSnapshot("/snapshot.db", SomeRecords());
  std::vector<uint64_t> ids;
  for (const char* state : {"", "@1", "@2", "@1"}) {
    RestoreOptions options = Options();
    options.data_dir = "/data/" + std::to_string(ids.size());
    options.prepare_db = [&](const std::string&) -> StatusOr<std::string> { return std::string(state); };
    const auto restored = Run(options);
    ASSERT_TRUE(restored.ok()) << restored.status();
    ids.push_back(restored->cluster_id);
    ExpectWhole(options);
  }
  EXPECT_EQ(ids[1], ids[3]);
  EXPECT_NE(ids[1], ids[2]);
  EXPECT_NE(ids[0], ids[1]);
}

TEST_F(RestoreTest, RefusesBadFilesAndLeavesNothing) {
  MakeSnapshot("/good.db", SomeRecords());
  const std::string good = *files.ReadAll("/good.db");
  const std::string db = good.substr(0, good.size() - 32);
  std::string changed = good;
  changed[db.size() / 2] ^= 1;
  std::string damaged = db;
  damaged.replace(2 * 4096, damaged.size() - 2 * 4096, damaged.size() - 2 * 4096, '\xff');
  const struct {
    std::string bytes;
    bool skip;
    const char* error;  // Its beginning.
    const char* way_out;
  } cases[] = {
      {db, false, "snapshot missing hash but --skip-hash-check=false", "give --skip-hash-check=true"},
      {changed, false, "expected sha256 [", "was changed after it was saved"},
      {good.substr(0, 4096 * 2 + 100), false, "snapshot missing hash but", "was cut off"},
      {good.substr(0, 4096 * 2), true, "invalid database: ", "was cut off"},
      {std::string(5000, 'x'), false, "snapshot missing hash but", "is not a db file of etcd"},
      {std::string(512 + 32, 'x'), false, "expected sha256 [", "is not a db file of etcd"},
      {"", false, "snapshot missing hash but", "is empty"},
      {damaged, true, "snapshot file integrity check failed.", ""},
  };
  for (const auto& c : cases) {
    WriteFile("/snapshot.db", c.bytes);
    RestoreOptions options = Options();
    options.skip_hash_check = c.skip;
    const Status status = Run(options).status();
    EXPECT_EQ(Message(status).substr(0, std::string_view(c.error).size()), c.error);
    EXPECT_NE(Message(status).find(c.way_out), std::string::npos) << status;
    EXPECT_EQ(Message(status).find('\n'), std::string::npos) << status;
    EXPECT_FALSE(files.Exists("/data")) << "left behind after: " << status;
  }
  ASSERT_TRUE(files.Remove("/snapshot.db").ok());
  EXPECT_EQ(Run(Options()).status().code(), absl::StatusCode::kNotFound);
}

TEST_F(RestoreTest, RefusesWrongClusters) {
  MakeSnapshot("/snapshot.db", SomeRecords());
  RestoreOptions options = Options();
  options.name = "zz";
  EXPECT_EQ(Message(Run(options).status()),
            "couldn't find local name \"zz\" in the initial cluster configuration");
  options = Options();
  options.peer_urls = {"http://10.0.0.9:2380"};
  EXPECT_FALSE(Run(options).ok());
  options = Options();
  options.initial_cluster = "m1";
  EXPECT_FALSE(Run(options).ok());
  EXPECT_FALSE(files.Exists("/data"));
}

TEST_F(RestoreTest, RefusesWhatIsThere) {
  MakeSnapshot("/snapshot.db", SomeRecords());
  WriteFile("/data/m1.etcd/mine", "precious");
  EXPECT_NE(
      Message(Run(Options()).status()).find("data-dir \"/data/m1.etcd\" not empty or could not be read"),
      std::string::npos);
  EXPECT_EQ(*files.ReadAll("/data/m1.etcd/mine"), "precious");
  ASSERT_TRUE(files.Remove("/data/m1.etcd/mine").ok());

  RestoreOptions options = Options();
  options.wal_dir = "/wal/m1";
  WriteFile("/wal/m1/mine", "precious");
  EXPECT_NE(Message(Run(options).status()).find("wal-dir \"/wal/m1\" exists"), std::string::npos);
  EXPECT_EQ(*files.ReadAll("/wal/m1/mine"), "precious");
  // An empty data directory is as good as none: it may be where a disk is mounted.
  ASSERT_TRUE(files.RemoveAll("/wal/m1").ok());
  EXPECT_TRUE(Run(options).ok());
  ExpectWhole(options);
  EXPECT_FALSE(files.Exists("/wal/m1.restore.part"));
}

class RestoreCrashTest : public RestoreTest, public testing::WithParamInterface<bool> {};

// Power is lost, or the process killed, before each operation that changes anything. Then there is no member,
// or the whole of it; and where there is none, the next restore succeeds.
TEST_P(RestoreCrashTest, LeavesNothingOrAll) {
  const uint64_t seed = TestSeed(20261128);
  MakeSnapshot("/snapshot.db", SomeRecords());
  const std::string bytes = *files.ReadAll("/snapshot.db");
  RestoreOptions options = Options();
  if (GetParam()) options.wal_dir = "/wal/m1";
  bool finished = false;
  int whole = 0;
  for (uint64_t stop = 1; !finished; ++stop) {
    SimFileSystem disk(seed + stop);
    ASSERT_TRUE(disk.WriteAtomically("/snapshot.db", bytes, 0600).ok());
    uint64_t changes = 0;
    bool crashed = false;
    disk.set_before_operation([&](SimOperation op, const std::string&) -> Status {
      if (crashed) return Unavailable("the process is gone");
      if (!Changes(op) || ++changes != stop) return absl::OkStatus();
      crashed = true;
      if (stop % 2 == 0) {
        disk.Crash();
      } else {
        disk.Kill();
      }
      return Unavailable("the process is gone");
    });
    const auto restored = Restore(&disk, options, {});
    disk.set_before_operation({});
    finished = !crashed;
    const DataDirectory at = LocateData(options.data_dir, options.wal_dir);
    const bool there = *wal::LogExists(&disk, at.wal) && disk.Exists(at.db);
    if (there) {
      ++whole;
      const auto state = ReadMemberState(&disk, at);
      ASSERT_TRUE(state.ok()) << "after " << stop << ": " << state.status();
      EXPECT_TRUE(VerifyMember(*state, true).ok()) << "after " << stop;
      continue;
    }
    EXPECT_FALSE(restored.ok()) << "after " << stop;
    const bool begun = disk.Exists(at.member) || (GetParam() && disk.Exists(at.wal));
    if (begun) {
      // Only with the log apart: its parts are there, the database is not. Nothing is overwritten.
      EXPECT_TRUE(GetParam()) << "after " << stop;
      EXPECT_FALSE(disk.Exists(at.db));
      EXPECT_FALSE(Restore(&disk, options, {}).ok());
      continue;
    }
    const auto again = Restore(&disk, options, {});
    ASSERT_TRUE(again.ok()) << "after " << stop << ": " << again.status();
  }
  EXPECT_GT(whole, 0);
}

// Each operation fails once: an error, and nothing is left.
TEST_P(RestoreCrashTest, AnErrorLeavesNothing) {
  MakeSnapshot("/snapshot.db", SomeRecords());
  const std::string bytes = *files.ReadAll("/snapshot.db");
  RestoreOptions options = Options();
  if (GetParam()) options.wal_dir = "/wal/m1";
  bool finished = false;
  for (uint64_t stop = 1; !finished; ++stop) {
    SimFileSystem disk(7);
    ASSERT_TRUE(disk.WriteAtomically("/snapshot.db", bytes, 0600).ok());
    uint64_t changes = 0;
    finished = true;
    disk.set_before_operation([&](SimOperation op, const std::string&) -> Status {
      if (!Changes(op) || op == SimOperation::kRemove || ++changes != stop) return absl::OkStatus();
      finished = false;
      return ResourceExhausted("write: No space left on device");
    });
    const auto restored = Restore(&disk, options, {});
    disk.set_before_operation({});
    if (finished) {
      EXPECT_TRUE(restored.ok());
    } else if (!restored.ok()) {
      EXPECT_FALSE(disk.Exists("/data")) << "after " << stop;
      EXPECT_TRUE(!disk.Exists("/wal") || disk.List("/wal")->empty()) << "after " << stop;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Log, RestoreCrashTest, testing::Bool(),
                         [](const auto& which) { return which.param ? "Apart" : "Inside"; });

}  // namespace
}  // namespace quorate::offline
