// Files of etcd 3.4.23 read by us, and files of ours read by etcdctl.
#include <gtest/gtest.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>

#include "base/crc32c.h"
#include "base/env_posix.h"
#include "bolt/db_model.h"

namespace quorate::bolt {
namespace {

namespace fs = std::filesystem;

fs::path SharedData() {
  if (const char* given = std::getenv("QUORATE_SHARED_DATA")) return given;
  for (fs::path at = fs::current_path();; at = at.parent_path()) {
    if (fs::exists(at / "shared" / "data")) return at / "shared" / "data";
    if (at == at.parent_path()) return {};
  }
}

std::string OutputOf(const std::string& command) {
  std::string output;
  FILE* pipe = ::popen(command.c_str(), "r");
  if (pipe == nullptr) return output;
  std::array<char, 4096> buffer;
  for (size_t n; (n = std::fread(buffer.data(), 1, buffer.size(), pipe)) > 0;)
    output.append(buffer.data(), n);
  ::pclose(pipe);
  return output;
}

class GoldenTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = (fs::temp_directory_path() / "bolt-golden-XXXXXX").string();
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    directory_ = name;
  }
  void TearDown() override { fs::remove_all(directory_); }

  PosixFileSystem files_;
  fs::path directory_;
};

// What `etcdctl snapshot status` shows: CRC-32C over names, keys and values, and their number.
struct SnapshotStatus {
  uint32_t hash = 0;
  uint64_t keys = 0;
};

StatusOr<SnapshotStatus> StatusOf(Db& db) {
  SnapshotStatus result;
  QUORATE_ASSIGN_OR_RETURN(const ReadTx tx, db.BeginRead());
  const auto add = [&](std::string_view name, const Bucket& bucket) -> Status {
    result.hash = crc32c::Extend(result.hash, name);
    Cursor cursor = bucket.NewCursor();
    for (Status s = cursor.SeekFirst();; s = cursor.Next()) {
      QUORATE_RETURN_IF_ERROR(s);
      if (!cursor.Valid()) return absl::OkStatus();
      result.hash = crc32c::Extend(crc32c::Extend(result.hash, cursor.key()), cursor.value());
      ++result.keys;
    }
  };
  QUORATE_RETURN_IF_ERROR(tx.ForEachBucket(add));
  return result;
}

// Hash and number of keys are what etcdctl 3.4.23 says of each.
TEST_F(GoldenTest, FilesOfEtcd) {
  const fs::path data = SharedData() / "etcd-3.4.23";
  if (!fs::exists(data)) GTEST_SKIP() << "no shared data; set QUORATE_SHARED_DATA";
  const struct {
    const char* archive;
    const char* path;
    SnapshotStatus status;
  } cases[] = {
      {"single", "s1.etcd/member/snap/db", {0xfc2bc384, 284}},
      {"single-auth", "s1auth.etcd/member/snap/db", {0x1d931cc8, 287}},
      {"single-snapshot", "single-snapshot.db", {0xfc2bc384, 284}},
      {"alarm", "a1.etcd/member/snap/db", {0x57e2d7e9, 48}},
      {"killed", "t1.etcd/member/snap/db", {0xe9a670fe, 3555}},
      {"cluster", "c1.etcd/member/snap/db", {0xa5c5c8d8, 494}},
      {"cluster", "c2.etcd/member/snap/db", {0x43d79f5f, 494}},
      {"cluster", "c4.etcd/member/snap/db", {0x43d79f5f, 494}},
      {"cluster-removed", "c3.etcd/member/snap/db", {0xa73fe443, 313}},
      {"rollback", "old.etcd/member/snap/db", {0x85ba6aa6, 56}},
      {"rollback", "newer.etcd/member/snap/db", {0xec8f6f6e, 106}},
      {"rollback", "m1.etcd/member/snap/db", {0xec8f6f6e, 106}},
      {"rollback", "m3.etcd/member/snap/db", {0xec8f6f6e, 106}},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(std::string(c.archive) + " " + c.path);
    const fs::path archive = data / (std::string(c.archive) + ".tar.gz");
    // The logs beside it are large, so only the db is unpacked.
    if (!fs::exists(directory_ / c.archive)) {
      fs::create_directory(directory_ / c.archive);
      OutputOf("tar -xzf '" + archive.string() + "' -C '" + (directory_ / c.archive).string() +
               "' --wildcards '*db'");
    }
    const std::string path = directory_ / c.archive / c.path;
    auto db = Db::Open(files_, path, {});
    ASSERT_EQ(db.status(), absl::OkStatus());
    ExpectSound(**db);
    const auto status = StatusOf(**db);
    ASSERT_EQ(status.status(), absl::OkStatus());
    EXPECT_EQ(status->hash, c.status.hash);
    EXPECT_EQ(status->keys, c.status.keys);

    auto tx = *(*db)->BeginWrite();
    ASSERT_EQ((*tx->CreateBucketIfMissing("ours"))->Put("k", "v"), absl::OkStatus());
    ASSERT_EQ(tx->Commit(), absl::OkStatus());
    tx = *(*db)->BeginWrite();
    ASSERT_EQ(tx->DeleteBucket("ours"), absl::OkStatus());
    ASSERT_EQ(tx->Commit(), absl::OkStatus());
    ExpectSound(**db);
    EXPECT_EQ(StatusOf(**db)->hash, c.status.hash);
  }
}

TEST_F(GoldenTest, EtcdctlReadsOurs) {
  if (std::system("command -v etcdctl > /dev/null 2>&1") != 0) GTEST_SKIP() << "etcdctl is not installed";
  const std::string path = directory_ / "db";
  auto db = *Db::Open(files_, path, {});
  RandomChanges changes(TestSeed(9), {.key_space = 400, .bucket_depth_max = 1});
  for (uint64_t round = 0; round < 20; ++round) {
    auto tx = *db->BeginWrite();
    for (const char* name :
         {"alarm", "auth", "authRoles", "authUsers", "cluster", "lease", "members", "meta"}) {
      WriteBucket* bucket = *tx->CreateBucketIfMissing(name);
      BucketModel model;
      if (name != std::string_view("alarm")) changes.Change(*bucket, model, 1);
    }
    WriteBucket* key = *tx->CreateBucketIfMissing("key");
    key->set_fill_percent(0.9);
    for (uint64_t n = 0; n < 500; ++n) {
      const uint64_t revision = round * 500 + n;
      // etcd's revision keys: main, '_', sub.
      ASSERT_EQ(key->Put(NumberedKey(revision) + "_" + NumberedKey(0), std::string(revision % 300, 'v')),
                absl::OkStatus());
      if (n % 3 == 0 && round > 0) {
        ASSERT_EQ(key->Delete(NumberedKey(revision - 500) + "_" + NumberedKey(0)), absl::OkStatus());
      }
    }
    ASSERT_EQ(tx->Commit(), absl::OkStatus());
    ExpectSound(*db);
  }
  const SnapshotStatus ours = *StatusOf(*db);
  db.reset();
  const std::string theirs = OutputOf("ETCDCTL_API=3 etcdctl snapshot status -w json '" + path + "' 2>&1");
  EXPECT_NE(theirs.find("\"hash\":" + std::to_string(ours.hash) + ","), std::string::npos) << theirs;
  EXPECT_NE(theirs.find("\"totalKey\":" + std::to_string(ours.keys) + ","), std::string::npos) << theirs;
  EXPECT_NE(theirs.find("\"revision\":9999,"), std::string::npos) << theirs;
}

}  // namespace
}  // namespace quorate::bolt
