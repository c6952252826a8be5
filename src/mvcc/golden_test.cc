// Against files and hashes that etcd 3.4.23 itself has made (shared/data/etcd-3.4.23; the manifests say how).
#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "mvcc/store_harness_test.h"

namespace quorate::mvcc {
namespace {

std::optional<std::filesystem::path> GoldenDirectory() {
  std::error_code ignored;
  if (const char* given = std::getenv("QUORATE_SHARED_DATA"))
    return std::filesystem::path(given) / "etcd-3.4.23";
  for (std::filesystem::path at = std::filesystem::current_path(); at != at.root_path();
       at = at.parent_path()) {
    const std::filesystem::path candidate = at / "shared" / "data" / "etcd-3.4.23";
    if (std::filesystem::exists(candidate, ignored)) return candidate;
  }
  return std::nullopt;
}

// The bytes of one file of NAME.tar.gz.
std::string Extract(const std::filesystem::path& archive, const std::string& member) {
  const std::string command = "tar -xzOf '" + archive.string() + "' '" + member + "'";
  std::string bytes;
  FILE* pipe = popen(command.c_str(), "r");
  if (pipe == nullptr) return bytes;
  char buffer[65536];
  while (const size_t n = fread(buffer, 1, sizeof buffer, pipe)) bytes.append(buffer, n);
  EXPECT_EQ(pclose(pipe), 0);
  return bytes;
}

class GoldenTest : public testing::Test {
 protected:
  void SetUp() override {
    const auto found = GoldenDirectory();
    if (!found) GTEST_SKIP() << "no shared/data above the current directory";
    directory_ = *found;
  }
  nlohmann::json Manifest(const std::string& name) const {
    std::FILE* file = std::fopen((directory_ / (name + ".json")).c_str(), "r");
    nlohmann::json manifest = nlohmann::json::parse(file);
    std::fclose(file);
    return manifest;
  }
  void ExpectHashes(World& world, const nlohmann::json& hashes) {
    for (const auto& [revision, answers] : hashes.items()) {
      const nlohmann::json& expected = answers[0]["HashKV"];
      const auto result = world.HashKv(std::stoll(revision));
      ASSERT_TRUE(result.ok()) << result.status();
      EXPECT_EQ(result->hash, expected["hash"].get<uint32_t>()) << "at revision " << revision;
      EXPECT_EQ(result->compact_revision, expected["compact_revision"].get<int64_t>());
      EXPECT_EQ(result->current_revision, expected["header"]["revision"].get<int64_t>());
    }
  }
  std::filesystem::path directory_;
};

TEST_F(GoldenTest, SnapshotOpensAndHashesAlike) {
  std::string bytes = Extract(directory_ / "single-snapshot.tar.gz", "single-snapshot.db");
  const nlohmann::json manifest = Manifest("single-snapshot");
  ASSERT_EQ(bytes.size(), manifest["file_size"].get<size_t>());
  bytes.resize(bytes.size() - 32);  // The digest.
  World world(1);
  ASSERT_TRUE(world.files.WriteAtomically("db", bytes, 0600).ok());
  ASSERT_TRUE(world.Open().ok());
  EXPECT_EQ(world.store->current_revision(), manifest["snapshot_status"]["revision"].get<int64_t>());
  EXPECT_EQ(world.store->compacted_revision(), 230);
  EXPECT_EQ(world.backend->size_bytes(), manifest["snapshot_status"]["totalSize"].get<uint64_t>());

  uint32_t hash = 0;
  world.backend->BeginSnapshot([&hash](StatusOr<std::shared_ptr<Backend::Snapshot>> snapshot) {
    ASSERT_TRUE(snapshot.ok());
    hash = *(*snapshot)->Hash({});
  });
  world.Settle();
  EXPECT_EQ(hash, manifest["snapshot_status"]["hash"].get<uint32_t>());

  const nlohmann::json single = Manifest("single");
  ExpectHashes(world, single["expected"]["hashkv"]);
  const auto all =
      world.store->Range({.key = std::string_view("\0", 1), .range_end = std::string_view("\0", 1)});
  ASSERT_TRUE(all.ok());
  EXPECT_EQ(all->count, single["expected"]["range_all"]["count"].get<int64_t>());
  for (size_t i = 0; i < all->kvs.size(); ++i) {
    const nlohmann::json& expected = single["expected"]["range_all"]["kvs"][i];
    KeyValue kv;
    ASSERT_TRUE(Decode(all->kvs[i], &kv));
    EXPECT_EQ(kv.create_revision, expected["create_revision"].get<int64_t>());
    EXPECT_EQ(kv.mod_revision, expected["mod_revision"].get<int64_t>());
    EXPECT_EQ(kv.version, expected["version"].get<int64_t>());
    EXPECT_EQ(kv.lease, expected.value("lease", int64_t{0}));
  }
  ASSERT_TRUE(world.Close().ok());
}

void PutOne(World& world, const std::string& key, const std::string& value, int64_t lease = 0) {
  WriteTxn txn = world.store->BeginWrite();
  txn.Put(key, value, lease);
  txn.End();
}
void DeleteOne(World& world, const std::string& key) {
  WriteTxn txn = world.store->BeginWrite();
  txn.DeleteRange(key, "");
  txn.End();
}
std::string Numbered(const char* format, int i) {
  char text[32];
  std::snprintf(text, sizeof text, format, i);
  return text;
}

// The commands of single.json, done again.
TEST_F(GoldenTest, SameHistoryGivesSameHashes) {
  const nlohmann::json manifest = Manifest("single");
  World world(1);
  ASSERT_TRUE(world.Open().ok());
  for (int i = 0; i < 200; ++i) PutOne(world, Numbered("k/%03d", i), Numbered("v-%03d", i));
  for (int i = 0; i < 200; i += 3) PutOne(world, Numbered("k/%03d", i), Numbered("second-%03d", i));
  for (int i = 0; i < 5; ++i)
    PutOne(world, Numbered("leased/a%d", i), std::string(static_cast<size_t>(i), 'x'), 0x1111);
  for (int i = 0; i < 3; ++i) {
    PutOne(world, Numbered("leased/b%d", i), std::string("\x00\xff\x80\x62\x69\x6e", 6), 0x2222222222222222);
  }
  PutOne(world, "leased/c", "gone",
         0x3333);                // The manifest does not tell the value; the snapshot's file does.
  DeleteOne(world, "leased/c");  // The lease is revoked.
  for (int i = 10; i <= 28; i += 2) DeleteOne(world, Numbered("k/%03d", i));
  {
    WriteTxn txn = world.store->BeginWrite();
    txn.Put("txn/a", "1", 0);
    txn.Put("txn/b", "2", 0);
    EXPECT_EQ(txn.DeleteRange("k/150", "k/155"), 5);
    txn.End();
  }
  ASSERT_EQ(world.store->current_revision(), 289);
  ExpectHashes(world, manifest["hashkv_before_compaction"]);

  ASSERT_TRUE(world.store->Compact(230, {}).ok());
  PutOne(world, "k/010", "reborn");
  DeleteOne(world, "k/011");
  PutOne(world, "k/012", "again");
  DeleteOne(world, "k/012");
  PutOne(world, "empty-value", "");
  ExpectHashes(world, manifest["expected"]["hashkv"]);  // The compaction has not been carried out yet.
  world.Settle();
  ExpectHashes(world, manifest["expected"]["hashkv"]);
  ASSERT_TRUE(world.Close().ok());
  ASSERT_TRUE(world.Open().ok());
  ExpectHashes(world, manifest["expected"]["hashkv"]);
}

// A member that was killed: its file opens, trails its log, and is whole.
TEST_F(GoldenTest, FileOfAKilledMemberOpens) {
  World world(1);
  const std::string bytes = Extract(directory_ / "killed.tar.gz", "t1.etcd/member/snap/db");
  ASSERT_TRUE(world.files.WriteAtomically("db", bytes, 0600).ok());
  ASSERT_TRUE(world.Open().ok());
  EXPECT_GT(world.backend->consistent_index(), 0u);
  EXPECT_GT(world.store->current_revision(), 1);
  EXPECT_EQ(world.store->index().CheckInvariants(), "");
}

}  // namespace
}  // namespace quorate::mvcc
