// What is read from files: status, hashes, checks, dumps.
#include <gmock/gmock.h>

#include "cluster/v2_request.h"
#include "offline/check_db.h"
#include "offline/check_log.h"
#include "offline/data_directory.h"
#include "offline/db_status.h"
#include "offline/defragment.h"
#include "offline/dump.h"
#include "offline/kv_hash.h"
#include "offline/offline_fixture.h"
#include "offline/request_text.h"
#include "raft/confchange_codec.h"
#include "raft_internal.pb.h"
#include "wal/log_reader.h"

namespace quorate::offline {
namespace {

using testing::HasSubstr;
using testing::Not;

class InspectTest : public OfflineTest {
 protected:
  LineFn Collect() {
    return [this](std::string_view line) {
      lines += std::string(line) + "\n";
      return absl::OkStatus();
    };
  }

  // Restores a member, whose log the test then damages.
  void MakeMember() {
    MakeSnapshot("/snapshot.db", SomeRecords());
    ASSERT_TRUE(Restore(&files, Options(), {}).ok());
  }
  std::string SegmentPath() { return at.wal + "/" + (*wal::ListSegments(&files, at.wal))[0].name; }
  std::string FirstFinding(const Findings& findings) {
    return findings.empty() ? "(sound)" : findings[0].text;
  }

  const DataDirectory at = LocateData("/data/m1.etcd", "");
  std::string lines;
};

TEST_F(InspectTest, StatusCountsAsTheFilesVersionDoes) {
  MakeDb("/old/db", SomeRecords());
  const auto old = ReadDbStatus(&files, "/old/db", {});
  ASSERT_TRUE(old.ok()) << old.status();
  EXPECT_EQ(old->revision, 6);
  EXPECT_EQ(old->total_keys(), 5u + 4u) << "records, and the rows of the other buckets";
  EXPECT_FALSE(old->storage_version);

  MakeDb("/new/db", SomeRecords(), "3.6.0");
  const auto now = ReadDbStatus(&files, "/new/db", {});
  ASSERT_TRUE(now.ok());
  EXPECT_EQ(now->total_keys(), 2u) << "a and c are alive";
  EXPECT_EQ(now->storage_version, "3.6.0");
  EXPECT_NE(now->hash, old->hash);
}

TEST_F(InspectTest, KvHashIsThatOfTheRecordsAlone) {
  MakeDb("/old/db", SomeRecords());
  MakeDb("/new/db", SomeRecords(), "3.6.0");
  const auto one = ComputeKvHash(&files, "/old/db", 0, {});
  const auto two = ComputeKvHash(&files, "/new/db", 6, {});
  ASSERT_TRUE(one.ok() && two.ok());
  EXPECT_EQ(one->hash, two->hash);
  EXPECT_EQ(one->hash_revision, 6);
  EXPECT_EQ(one->compact_revision, -1);
  EXPECT_NE(ComputeKvHash(&files, "/old/db", 4, {})->hash, one->hash);
  EXPECT_THAT(std::string(Message(ComputeKvHash(&files, "/old/db", 7, {}).status())),
              HasSubstr("required revision is a future revision"));
}

TEST_F(InspectTest, OpeningSaysWhatAFileIs) {
  WriteFile("/text", "hello, this is no database");
  WriteFile("/empty", "");
  EXPECT_THAT(std::string(Message(ReadDbStatus(&files, "/text", {}).status())),
              HasSubstr("not a db file of etcd"));
  EXPECT_THAT(std::string(Message(ReadDbStatus(&files, "/empty", {}).status())), HasSubstr("is empty"));
  EXPECT_EQ(ReadDbStatus(&files, "/nothing", {}).status().code(), absl::StatusCode::kNotFound);
  ASSERT_TRUE(files.CreateDirectories("/dir", 0700).ok());
  EXPECT_THAT(std::string(Message(ReadDbStatus(&files, "/dir", {}).status())), HasSubstr("is a directory"));
  MakeDb("/used/db", SomeRecords());
  bolt::Options options;
  const auto server = bolt::Db::Open(files, "/used/db", options);
  EXPECT_THAT(std::string(Message(ReadDbStatus(&files, "/used/db", {}).status())),
              HasSubstr("locked by another"));
}

TEST_F(InspectTest, CheckFindsRowsThatCantBe) {
  std::vector<Record> records = SomeRecords();
  records.push_back({9, "late", "x", false, 12});  // Created after it was changed.
  MakeDb("/a/db", records);
  const auto check = CheckDbFile(&files, "/a/db", {});
  ASSERT_TRUE(check.ok());
  ASSERT_EQ(check->findings.size(), 1u);
  EXPECT_THAT(check->findings[0].text, HasSubstr("revision 9/0 with a creation"));
  EXPECT_THAT(check->findings[0].text, HasSubstr("/a/db at offset "));
}

// A flipped bit anywhere in the used part of a log is found, and told with its file and offset.
TEST_F(InspectTest, CheckFindsEveryFlippedBitOfALog) {
  MakeMember();
  const auto sound = CheckLog(&files, at.wal, {});
  ASSERT_TRUE(sound.ok());
  EXPECT_EQ(FirstFinding(sound->findings), "(sound)");
  EXPECT_EQ(sound->entries, 3u);
  const std::string path = SegmentPath();
  const auto reader = wal::WalReader::Open(&files, at.wal);
  wal::Record record;
  std::vector<uint64_t> offsets;
  while (*(*reader)->Next(&record)) offsets.push_back((*reader)->record_offset());
  offsets.push_back((*reader)->record_offset());
  for (size_t i = 0; i + 1 < offsets.size(); ++i) {
    // Neither the padding nor, where there is none, the last byte of the length field says anything.
    for (uint64_t offset = offsets[i]; offset < offsets[i + 1] - 8; ++offset) {
      if (offset == offsets[i] + 7) continue;
      ASSERT_TRUE(files.FlipBit(path, offset, 2).ok());
      const auto check = CheckLog(&files, at.wal, {});
      ASSERT_TRUE(check.ok());
      EXPECT_FALSE(check->findings.empty()) << "a bit at " << offset << " of record " << i;
      for (const Finding& finding : check->findings) EXPECT_THAT(finding.text, HasSubstr(at.wal));
      ASSERT_TRUE(files.FlipBit(path, offset, 2).ok());
    }
  }
}

TEST_F(InspectTest, CheckFindsMissingSegments) {
  MakeMember();
  const std::string name = SegmentPath();
  ASSERT_TRUE(files.Rename(name, at.wal + "/0000000000000002-0000000000000009.wal").ok());
  const std::string copy = *files.ReadAll(at.wal + "/0000000000000002-0000000000000009.wal");
  WriteFile(name, copy);
  const auto check = CheckLog(&files, at.wal, {});
  ASSERT_TRUE(check.ok());
  EXPECT_THAT(FirstFinding(check->findings), HasSubstr("the segment before it is missing"));
}

TEST_F(InspectTest, CheckFindsDamagedSnapFiles) {
  MakeMember();
  const std::string path = at.snap + "/0000000000000001-0000000000000003.snap";
  EXPECT_EQ(FirstFinding(CheckSnapFiles(&files, at.snap)->findings), "(sound)");
  ASSERT_TRUE(files.FlipBit(path, 40, 1).ok());
  EXPECT_THAT(FirstFinding(CheckSnapFiles(&files, at.snap)->findings), HasSubstr(path));
}

TEST_F(InspectTest, DumpsALog) {
  MakeMember();
  ASSERT_TRUE(DumpLog(&files, at.wal, {}, Collect()).ok());
  EXPECT_THAT(lines, HasSubstr("0000000000000000-0000000000000000.wal:\n"));
  EXPECT_THAT(lines, HasSubstr("entry term=1 index=2 conf-change add-node "));
  EXPECT_THAT(lines, HasSubstr("\"peerURLs\":[\"http://10.0.0.2:2380\"]"));
  EXPECT_THAT(lines, HasSubstr("snapshot term=1 index=3 voters="));
  EXPECT_THAT(lines, HasSubstr("state term=1 vote="));
  lines.clear();
  LogDumpOptions some;
  some.first_index = 3;
  some.entries_only = true;
  ASSERT_TRUE(DumpLog(&files, at.wal, some, Collect()).ok());
  EXPECT_THAT(lines, HasSubstr("index=3"));
  EXPECT_THAT(lines, Not(HasSubstr("index=2 ")));
  EXPECT_THAT(lines, Not(HasSubstr("snapshot")));
  lines.clear();
  ASSERT_TRUE(DumpSnap(&files, at.snap + "/0000000000000001-0000000000000003.snap", Collect()).ok());
  EXPECT_THAT(lines, HasSubstr("cluster version 3.4.0\n"));
}

TEST_F(InspectTest, DumpsBuckets) {
  std::vector<Record> records = SomeRecords();
  records.push_back({7, "/registry/secrets/ns/token", "swordfish"});
  MakeDb("/a/db", records);
  ASSERT_TRUE(DumpBuckets(&files, "/a/db", Collect()).ok());
  EXPECT_THAT(lines, HasSubstr("key  rows=6 bytes="));
  lines.clear();
  BucketDumpOptions options;
  options.bucket = "key";
  ASSERT_TRUE(DumpBucket(&files, "/a/db", options, Collect()).ok());
  EXPECT_THAT(lines, HasSubstr("rev=2/0 put key=\"a\" create=2 version=1 value=\"1\"\n"));
  EXPECT_THAT(lines, HasSubstr("rev=5/0 delete key=\"b\"\n"));
  EXPECT_THAT(lines, HasSubstr("value=<hidden>"));
  EXPECT_THAT(lines, Not(HasSubstr("swordfish")));
  lines.clear();
  options.text.show_secrets = true;
  options.newest_first = true;
  options.rows_max = 1;
  ASSERT_TRUE(DumpBucket(&files, "/a/db", options, Collect()).ok());
  EXPECT_THAT(lines, HasSubstr("swordfish"));
  EXPECT_THAT(lines, Not(HasSubstr("rev=6")));
  options.bucket = "meta";
  options.rows_max = 10;
  lines.clear();
  ASSERT_TRUE(DumpBucket(&files, "/a/db", options, Collect()).ok());
  EXPECT_EQ(lines, "consistent_index=77\n");
  options.bucket = "nope";
  EXPECT_THAT(std::string(Message(DumpBucket(&files, "/a/db", options, Collect()))),
              HasSubstr("it has alarm, auth,"));
}

raft::Entry Normal(const etcdserverpb::InternalRaftRequest& request) {
  raft::Entry entry;
  entry.data = raft::Payload(request.SerializeAsString());
  return entry;
}

TEST(RequestText, NamesTheRequestAndItsFields) {
  etcdserverpb::InternalRaftRequest request;
  request.mutable_header()->set_id(7);
  request.mutable_put()->set_key("a\"b");
  request.mutable_put()->set_value(std::string("\0v", 2));
  request.mutable_put()->set_lease(0x1234);
  EXPECT_EQ(*EntryText(Normal(request), {}), "put key=\"a\\\"b\" value=\"\\x00v\" lease=1234  header={ID=7}");
  EXPECT_EQ(*EntryText({}, {}), "empty entry of a new leader");
  raft::Entry junk;
  junk.data = raft::Payload(std::string("\xff\xff\xff"));
  EXPECT_EQ(EntryText(junk, {}).status().code(), absl::StatusCode::kDataLoss);

  raft::Entry change;
  change.type = raft::EntryType::kConfChange;
  change.data = raft::Payload(
      raft::EncodeConfChange(raft::ConfChange{1, raft::ConfChangeType::kRemoveNode, 0xabc, ""}));
  EXPECT_EQ(*EntryText(change, {}), "remove-node abc");

  raft::Entry v2;
  v2.data =
      raft::Payload(cluster::EncodeV2Request(cluster::SetClusterVersionRequest(5, cluster::kVersion35)));
  EXPECT_THAT(*EntryText(v2, {}), HasSubstr("v2 PUT /0/version value=\"3.5.0\""));
}

TEST(RequestText, HidesSecrets) {
  for (int kind = 0; kind < 4; ++kind) {
    etcdserverpb::InternalRaftRequest request;
    if (kind == 0) request.mutable_auth_user_add()->set_password("swordfish");
    if (kind == 1) request.mutable_auth_user_change_password()->set_hashedpassword("swordfish");
    if (kind == 2) request.mutable_authenticate()->set_simple_token("swordfish");
    if (kind == 3) {
      auto* put = request.mutable_txn()->add_success()->mutable_request_put();
      put->set_key("/registry/secrets/a/b");
      put->set_value("swordfish");
    }
    const std::string text = *EntryText(Normal(request), {});
    EXPECT_THAT(text, Not(HasSubstr("swordfish"))) << text;
    EXPECT_THAT(text, HasSubstr("<hidden>"));
    TextOptions open;
    open.show_secrets = true;
    EXPECT_EQ(EntryText(Normal(request), open)->find("swordfish") != std::string::npos, kind == 3);
  }
}

TEST(RequestText, CutsLongValues) {
  EXPECT_EQ(BytesText("ab"), "\"ab\"");
  EXPECT_THAT(BytesText(std::string(1000, 'x')), HasSubstr("\"... (1000 bytes)"));
}

class DefragmentTest : public OfflineTest {
 protected:
  StatusOr<Defragmented> Run() {
    Env env;
    env.files = &files;
    env.random = &random;
    return Defragment(env, "/m/db", {});
  }
  SeededRandom random{3};
};

TEST_F(DefragmentTest, KeepsAllRowsAndGivesSpaceBack) {
  std::vector<Record> records;
  for (int64_t revision = 2; revision < 2000; ++revision)
    records.push_back({revision, "k", std::string(500, 'v')});
  MakeDb("/m/db", records);
  {
    auto db = bolt::Db::Open(files, "/m/db", {});
    auto tx = (*db)->BeginWrite();
    auto keys = (*tx)->FindBucket("key");
    for (int64_t revision = 2; revision < 1900; ++revision) {
      ASSERT_TRUE((*keys)->Delete(mvcc::EncodeRevision({revision, 0}, false).view()).ok());
    }
    ASSERT_TRUE((*tx)->Commit().ok());
  }
  const auto before = ReadDbStatus(&files, "/m/db", {});
  const auto done = Run();
  ASSERT_TRUE(done.ok()) << done.status();
  EXPECT_LT(done->bytes_after, done->bytes_before / 4);
  const auto after = ReadDbStatus(&files, "/m/db", {});
  ASSERT_TRUE(before.ok() && after.ok());
  EXPECT_EQ(after->hash, before->hash);
  EXPECT_EQ(*files.List("/m"), std::vector<std::string>({"db"}));
}

TEST_F(DefragmentTest, AnErrorKeepsTheOldFile) {
  MakeDb("/m/db", SomeRecords());
  const std::string before = *files.ReadAll("/m/db");
  for (const SimOperation op : {SimOperation::kWrite, SimOperation::kSync, SimOperation::kRename}) {
    files.InjectError(op, 1, "db.tmp");
    EXPECT_FALSE(Run().ok());
    EXPECT_EQ(*files.ReadAll("/m/db"), before);
    EXPECT_EQ(*files.List("/m"), std::vector<std::string>({"db"}));
  }
  const auto server = bolt::Db::Open(files, "/m/db", {});
  EXPECT_THAT(std::string(Message(Run().status())), HasSubstr("locked by another process"));
}

}  // namespace
}  // namespace quorate::offline
