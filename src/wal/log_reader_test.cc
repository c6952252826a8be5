#include "wal/log_reader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "base/crc32c.h"
#include "base/endian.h"
#include "wal/frame.h"
#include "wal/wal_fixture.h"

namespace quorate::wal {
namespace {

using testing::HasSubstr;

void WriteFile(FileSystem& files, const std::string& path, std::string_view bytes) {
  OpenOptions open;
  open.write = open.create = open.truncate = true;
  auto file = *files.Open(path, open);
  ASSERT_TRUE(file->WriteAt(0, bytes).ok());
  ASSERT_TRUE(file->Sync().ok());
}

// Fixed 12 entries of 700 bytes, so that records span sectors; the segment is preallocated.
struct Sample {
  std::string path = std::string(kDir) + "/" + SegmentName(0, 0);
  std::string bytes;
  std::vector<uint64_t> ends;  // Offsets behind each entry's record.
};

Sample MakeSample(SimFileSystem& files) {
  Sample sample;
  auto wal = *CreateLog(&files, SmallSegments(16384));
  EXPECT_TRUE(Save(*wal, {}, {1, 11, 0}).ok());
  for (uint64_t i = 1; i <= 12; ++i) EXPECT_TRUE(Save(*wal, MakeEntries(1, i, 1, 700)).ok());
  wal.reset();
  sample.bytes = *files.ReadAll(sample.path);
  auto reader = *WalReader::Open(&files, std::string(kDir));
  Record record;
  bool after_entry = false;
  for (;;) {
    const bool more = *reader->Next(&record);
    if (after_entry) sample.ends.push_back(reader->record_offset());
    if (!more) break;
    after_entry = record.type == kEntryRecord;
  }
  EXPECT_EQ(sample.ends.size(), 12u);
  return sample;
}

TEST(TornTest, ATailThatLostSectorsOrEndsEarlyIsCutOffAndKept) {
  SimFileSystem files(1);
  const Sample sample = MakeSample(files);
  const uint64_t last_begin = sample.ends[10];
  const uint64_t sector = (last_begin + kSectorBytes) / kSectorBytes * kSectorBytes;
  ASSERT_LT(sector + kSectorBytes, sample.ends[11]);
  struct Case {
    const char* what;
    std::string bytes;
  };
  std::vector<Case> cases;
  cases.push_back({"zero from a sector on", sample.bytes});
  std::fill(cases.back().bytes.begin() + static_cast<std::ptrdiff_t>(sector), cases.back().bytes.end(), '\0');
  cases.push_back({"one sector zero", sample.bytes});
  std::fill_n(cases.back().bytes.begin() + static_cast<std::ptrdiff_t>(sector), kSectorBytes, '\0');
  cases.push_back({"cut in the record", sample.bytes.substr(0, sector + 5)});
  cases.push_back({"cut in the length field", sample.bytes.substr(0, last_begin + 3)});
  for (const Case& c : cases) {
    SCOPED_TRACE(c.what);
    WriteFile(files, sample.path, c.bytes);
    EXPECT_EQ(ReadLog(&files, std::string(kDir), {})->end, LogEnd::kTorn);
    LogContents contents;
    auto wal = OpenLog(&files, &contents, SmallSegments(16384));
    ASSERT_TRUE(wal.ok()) << wal.status();
    EXPECT_TRUE(contents.repaired);
    EXPECT_EQ(contents.entries.size(), 11u);
    EXPECT_EQ(*files.ReadAll(sample.path + ".broken"), c.bytes);
    EXPECT_EQ(files.Stat(sample.path)->size, last_begin);
    ASSERT_TRUE(Save(**wal, MakeEntries(1, 12, 1)).ok());
    wal->reset();
    ASSERT_TRUE(OpenLog(&files, &contents, SmallSegments(16384)).ok());
    EXPECT_FALSE(contents.repaired);
    EXPECT_EQ(contents.entries.size(), 12u);
  }
}

TEST(TornTest, NeverInAnEarlierSegment) {
  SimFileSystem files(1);
  const Sample sample = MakeSample(files);
  WriteFile(files, sample.path, std::string_view(sample.bytes).substr(0, sample.ends[11] - 100));
  WriteFile(files, std::string(kDir) + "/" + SegmentName(1, 13), "");
  LogContents contents;
  const Status status = OpenLog(&files, &contents, SmallSegments(16384)).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(std::string(Message(status)), HasSubstr("a later segment follows"));
}

TEST(TornTest, NothingIsChangedWhenRefused) {
  SimFileSystem files(1);
  const Sample sample = MakeSample(files);
  std::string torn = sample.bytes.substr(0, sample.ends[11] - 100);
  WriteFile(files, sample.path, torn);
  LogContents contents;
  // Torn, and the snapshot isn't there: what could be repaired is not what stands in the way.
  EXPECT_FALSE(OpenLog(&files, &contents, SmallSegments(16384), {5, 1, {}}).ok());
  EXPECT_EQ(*files.ReadAll(sample.path), torn);
  EXPECT_FALSE(files.Exists(sample.path + ".broken"));
}

TEST(DamageTest, AnImpossibleLengthIsNotATornWrite) {
  SimFileSystem files(1);
  Sample sample = MakeSample(files);
  StoreLittle(sample.bytes.data() + sample.ends[10], uint64_t{1} << 40);
  WriteFile(files, sample.path, sample.bytes);
  LogContents contents;
  const Status status = OpenLog(&files, &contents, SmallSegments(16384)).status();
  EXPECT_THAT(std::string(Message(status)), HasSubstr("at offset " + std::to_string(sample.ends[10])));
}

// Each bit in turn. The log is refused, or reads as before (padding, unused bits of a length): never shorter.
TEST(DamageTest, EveryBitFlip) {
  SimFileSystem files(1);
  const Sample sample = MakeSample(files);
  const auto whole = ReadLog(&files, std::string(kDir), {});
  size_t refused = 0;
  for (uint64_t offset = 0; offset < sample.ends[2]; ++offset) {
    for (int bit = 0; bit < 8; ++bit) {
      ASSERT_TRUE(files.FlipBit(sample.path, offset, bit).ok());
      const auto read = ReadLog(&files, std::string(kDir), {});
      ASSERT_TRUE(files.FlipBit(sample.path, offset, bit).ok());
      if (!read.ok()) {
        ++refused;
        ASSERT_EQ(read.status().code(), absl::StatusCode::kDataLoss);
        continue;
      }
      ASSERT_EQ(read->entries, whole->entries) << offset << ":" << bit;
      ASSERT_EQ(read->end, LogEnd::kClean) << offset << ":" << bit;
    }
  }
  EXPECT_GT(refused, sample.ends[2] * 8 * 9 / 10);
}

TEST(DamageTest, RandomBytesNeverCrash) {
  const uint64_t seed = TestSeed();
  SCOPED_TRACE("QUORATE_TEST_SEED=" + std::to_string(seed));
  std::mt19937_64 random(seed);
  SimFileSystem files(seed);
  const Sample sample = MakeSample(files);
  for (int round = 0; round < 1500; ++round) {
    std::string bytes = sample.bytes;
    if (round % 3 == 0) {
      bytes.resize(random() % 3000);
      for (char& c : bytes) c = static_cast<char>(random());
    } else {
      for (uint64_t n = random() % 8 + 1; n > 0; --n) {
        const uint64_t at = random() % sample.ends[11];
        const uint64_t length = random() % (round % 3 == 1 ? 9 : 1200);
        for (uint64_t i = at; i < std::min<uint64_t>(at + length, bytes.size()); ++i) {
          bytes[i] = n % 2 == 0 ? '\0' : static_cast<char>(random());
        }
      }
    }
    WriteFile(files, sample.path, bytes);
    LogContents contents;
    const auto wal = OpenLog(&files, &contents, SmallSegments(16384));
    if (!wal.ok()) {
      EXPECT_EQ(wal.status().code(), absl::StatusCode::kDataLoss) << wal.status();
      EXPECT_EQ(*files.ReadAll(sample.path), bytes);
    }
  }
}

// Records made by hand, with good checksums, and contents that make no sense.
TEST(DamageTest, SenseOfRecordsIsChecked) {
  struct Case {
    const char* what;
    int64_t type;
    std::string data;
    const char* error;
  };
  const std::vector<Case> cases = {
      {"unknown type", 9, "x", "unexpected record type 9"},
      {"other metadata", kMetadataRecord, std::string("\x08\x01\x10\x01"), "conflicting metadata"},
      {"bad entry", kEntryRecord, "\x08", "malformed Entry"},
      {"bad state", kStateRecord, "\x08", "malformed HardState"},
      {"bad snapshot", kSnapshotRecord, "\x08", "malformed WAL Snapshot"},
      {"chain broken", kCrcRecord, "", "checksum chain"},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.what);
    SimFileSystem files(1);
    Sample sample = MakeSample(files);
    const auto whole = *ReadLog(&files, std::string(kDir), {});
    Record record{c.type, crc32c::Extend(whole.crc, c.data) + (c.type == kCrcRecord ? 1 : 0), c.data};
    std::string encoded;
    AppendRecord(encoded, record);
    std::string frame(8, '\0');
    StoreLittle(frame.data(), FrameField(encoded.size()));
    sample.bytes.replace(whole.good_offset, 8 + encoded.size(), frame + encoded);
    WriteFile(files, sample.path, sample.bytes);
    LogContents contents;
    const Status status = OpenLog(&files, &contents, SmallSegments(16384)).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
    EXPECT_THAT(std::string(Message(status)), HasSubstr(c.error));
  }
}

}  // namespace
}  // namespace quorate::wal
