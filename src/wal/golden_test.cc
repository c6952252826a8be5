// Against directories that etcd 3.4.23 wrote. Skipped where they are not at hand (golden_archive.h says
// where).
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "base/endian.h"
#include "base/env_sim.h"
#include "wal/frame.h"
#include "wal/golden_archive.h"
#include "wal/snap_files.h"
#include "wal/wal.h"

namespace quorate::wal {
namespace {

class GoldenTest : public testing::Test {
 protected:
  void SetUp() override {
    const auto directory = golden::Directory();
    if (!directory) GTEST_SKIP() << "no golden data";
    directory_ = *directory;
  }

  // WAL segments and .snap files of one archive.
  void Load(const std::string& name) {
    ASSERT_TRUE(golden::Load(directory_ + "/" + name + ".tar.gz", &files_, [](std::string_view path) {
      return path.ends_with(".wal") || path.ends_with(".snap");
    }));
  }
  nlohmann::json Manifest(const std::string& name) const {
    std::ifstream in(directory_ + "/" + name + ".json");
    return nlohmann::json::parse(in);
  }

  SimFileSystem files_{1};
  std::string directory_;
};

// The data of a record, decoded and encoded again.
std::string Reencode(const Record& record) {
  std::string out;
  switch (record.type) {
    case kMetadataRecord:
      AppendMetadata(out, *DecodeMetadata(record.data));
      break;
    case kEntryRecord:
      AppendEntry(out, *DecodeEntry(record.data));
      break;
    case kStateRecord:
      AppendHardState(out, *DecodeHardState(record.data));
      break;
    case kSnapshotRecord:
      AppendWalSnapshot(out, *DecodeWalSnapshot(record.data));
      break;
    default:
      break;
  }
  return out;
}

// Every segment, written anew from its decoded records, has the same bytes up to its end.
void ExpectSameBytes(SimFileSystem& files, const std::string& dir) {
  auto reader = *WalReader::Open(&files, dir);
  std::string segment;
  std::string built;
  size_t records = 0;
  const auto compare = [&] {
    if (segment.empty()) return;
    std::string original(built.size(), '\0');
    ASSERT_EQ(*(*files.Open(dir + "/" + segment, {}))->ReadAt(0, original.data(), original.size()),
              built.size());
    ASSERT_TRUE(original == built) << segment;
  };
  Record record;
  for (;;) {
    const auto more = reader->Next(&record);
    ASSERT_TRUE(more.ok()) << more.status();
    if (!*more) break;
    if (reader->segment().name != segment) {
      compare();
      built.clear();
      segment = reader->segment().name;
    }
    const std::string data = Reencode(record);
    std::string encoded;
    AppendRecord(encoded, {record.type, record.crc, data});
    built.resize(built.size() + 8);
    StoreLittle(built.data() + built.size() - 8, FrameField(encoded.size()));
    built += encoded;
    built.append(FramePadding(encoded.size()), '\0');
    ++records;
  }
  compare();
  EXPECT_EQ(reader->end(), LogEnd::kClean);
  EXPECT_GT(records, 4u);
}

// Every .snap file, too.
void ExpectSameSnapshots(SimFileSystem& files, const std::string& dir) {
  if (!files.Exists(dir)) return;
  const auto names = *SnapshotFiles(&files, dir).List();
  for (const std::string& name : names) {
    const auto snapshot = ReadSnapshotFile(&files, dir + "/" + name);
    ASSERT_TRUE(snapshot.ok()) << snapshot.status();
    EXPECT_EQ(SnapshotName(snapshot->metadata.term, snapshot->metadata.index), name);
    EXPECT_TRUE(EncodeSnapshotFile(*snapshot) == *files.ReadAll(dir + "/" + name)) << name;
  }
}

// Start as a server does.
WalSnapshot Start(SimFileSystem& files, const std::string& member) {
  const auto valid = ValidSnapshots(&files, member + "/wal");
  EXPECT_TRUE(valid.ok()) << valid.status();
  if (!files.Exists(member + "/snap")) return {};
  const auto newest = SnapshotFiles(&files, member + "/snap").LoadNewest(*valid);
  EXPECT_TRUE(newest.ok()) << newest.status();
  if (!*newest) return {};
  return {(*newest)->metadata.index, (*newest)->metadata.term, {}};
}

TEST_F(GoldenTest, EverySegmentAndSnapshotHasTheSameBytesWhenWrittenAgain) {
  struct Case {
    const char* archive;
    std::vector<std::string> members;
  };
  const std::vector<Case> cases = {
      {"single", {"/s1.etcd/member"}},
      {"single-auth", {"/s1auth.etcd/member"}},
      {"alarm", {"/a1.etcd/member"}},
      {"killed", {"/t1.etcd/member"}},
      {"cluster", {"/c1.etcd/member", "/c2.etcd/member", "/c4.etcd/member"}},
      {"cluster-removed", {"/c3.etcd/member"}},
      {"rollback", {"/old.etcd/member", "/newer.etcd/member", "/m1.etcd/member", "/m3.etcd/member"}},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.archive);
    Load(c.archive);
    for (const std::string& member : c.members) {
      SCOPED_TRACE(member);
      ExpectSameBytes(files_, member + "/wal");
      ExpectSameSnapshots(files_, member + "/snap");
      const WalSnapshot start = Start(files_, member);
      const auto contents = ReadLog(&files_, member + "/wal", start);
      ASSERT_TRUE(contents.ok()) << contents.status();
      EXPECT_LE(contents->hard_state.commit, start.index + contents->entries.size());
      EXPECT_GE(contents->hard_state.commit, start.index);
      EXPECT_NE(contents->metadata.node_id, 0u);
    }
  }
}

TEST_F(GoldenTest, KilledOpensForAppend) {
  Load("killed");
  const std::string member = "/t1.etcd/member";
  const WalSnapshot start = Start(files_, member);
  EXPECT_EQ(start.index, 0xbc1u);
  LogContents contents;
  auto wal = Wal::Open(&files_, member + "/wal", start, {}, &contents);
  ASSERT_TRUE(wal.ok()) << wal.status();
  EXPECT_FALSE(contents.repaired);
  EXPECT_EQ(contents.metadata.node_id, 14624513726882850586u);
  EXPECT_EQ(contents.metadata.cluster_id, 14864474009274491934u);
  raft::Entry entry;
  entry.term = 3;
  entry.index = contents.last_index + 1;
  (*wal)->Append({&entry, 1}, {3, 0, contents.last_index});
  ASSERT_TRUE((*wal)->WriteAndSync((*wal)->TakeBatch()).ok());
  wal->reset();
  const size_t before = contents.entries.size();
  ASSERT_TRUE(Wal::Open(&files_, member + "/wal", start, {}, &contents).ok());
  EXPECT_EQ(contents.entries.size(), before + 1);
}

TEST_F(GoldenTest, TornVariantsAsEtcdTreatsThem) {
  Load("killed");
  Load("torn-wal-variants");
  const WalSnapshot start = Start(files_, "/t1.etcd/member");
  const auto manifest = Manifest("torn-wal-variants");
  for (const auto& [name, variant] : manifest["variants"].items()) {
    SCOPED_TRACE(name);
    const std::string dir = "/" + name + ".etcd/member/wal";
    LogContents contents;
    const auto wal = Wal::Open(&files_, dir, start, {}, &contents);
    ASSERT_EQ(wal.ok(), variant["etcd"] == "starts") << wal.status();
    const std::string path = dir + "/0000000000000000-0000000000000000.wal";
    if (!wal.ok()) {
      EXPECT_EQ(wal.status().code(), absl::StatusCode::kDataLoss);
      EXPECT_NE(Message(wal.status()).find("offset 5480056"), std::string_view::npos) << wal.status();
      EXPECT_FALSE(files_.Exists(path + ".broken"));
      continue;
    }
    // The manifest's sizes were taken after etcd had run on the directory: only the copy stayed as it was.
    const auto& sizes = variant["sizes_after"];
    const auto broken = sizes.find("0000000000000000-0000000000000000.wal.broken");
    EXPECT_EQ(contents.repaired, broken != sizes.end());
    EXPECT_EQ(files_.Exists(path + ".broken"), broken != sizes.end());
    if (broken != sizes.end()) {
      EXPECT_EQ(files_.Stat(path + ".broken")->size, broken->get<uint64_t>());
      EXPECT_EQ(files_.Stat(path)->size, manifest["entry_offset"].get<uint64_t>());
    }
    // etcd then appended two entries of its own: the leader's empty one and its attributes.
    EXPECT_EQ(start.index + contents.entries.size(), variant["status"]["raftIndex"].get<uint64_t>() - 2);
  }
}

}  // namespace
}  // namespace quorate::wal
