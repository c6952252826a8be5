#include "wal/codec.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <random>

#include "base/test_seed.h"
#include "wal/frame.h"

namespace quorate::wal {
namespace {

using raft::ConfState;
using raft::Entry;
using raft::EntryType;
using raft::HardState;

std::string Hex(std::string_view bytes) {
  std::string out;
  for (const char c : bytes) {
    char text[3];
    std::snprintf(text, sizeof text, "%02x", static_cast<unsigned char>(c));
    out += text;
  }
  return out;
}

Entry MakeEntry(EntryType type, uint64_t term, uint64_t index, std::string data) {
  Entry entry;
  entry.type = type;
  entry.term = term;
  entry.index = index;
  entry.data = raft::Payload(std::move(data));
  return entry;
}

template <typename T>
std::string Encoded(void (*append)(std::string&, const T&), const T& value) {
  std::string out;
  append(out, value);
  return out;
}

TEST(CodecTest, BytesAreGogos) {
  EXPECT_EQ(Hex(Encoded(AppendEntry, MakeEntry(EntryType::kNormal, 2, 4, ""))), "080010021804");
  EXPECT_EQ(Hex(Encoded(AppendEntry, MakeEntry(EntryType::kConfChange, 1, 300, "ab"))),
            "0801100118ac0222026162");
  EXPECT_EQ(Hex(Encoded(AppendHardState, HardState{1, 0, 3})), "080110001803");
  EXPECT_EQ(Hex(Encoded(AppendConfState, ConfState{})), "2800");
  EXPECT_EQ(Hex(Encoded(AppendConfState, ConfState{{1, 2}, {3}, {4}, {5}, true})),
            "08010802100318042005"
            "2801");
  EXPECT_EQ(Hex(Encoded(AppendMetadata, WalMetadata{})), "08001000");
  EXPECT_EQ(Hex(Encoded(AppendWalSnapshot, WalSnapshot{})), "08001000");
  EXPECT_EQ(Hex(Encoded(AppendWalSnapshot, WalSnapshot{5, 2, ConfState{{1}, {}, {}, {}, false}})),
            "080510021a0408012800");
  EXPECT_EQ(Hex(Encoded(AppendSnapshotMetadata, raft::SnapshotMetadata{})), "0a02280010001800");
  EXPECT_EQ(Hex(Encoded(AppendRecord, Record{kCrcRecord, 0, {}})), "08041000");
}

TEST(CodecTest, RoundTrip) {
  const Entry entry = MakeEntry(EntryType::kConfChangeV2, ~0ull, ~0ull, std::string(300, 'x'));
  EXPECT_EQ(*DecodeEntry(Encoded(AppendEntry, entry)), entry);
  const HardState state{~0ull, 7, 1ull << 63};
  EXPECT_EQ(*DecodeHardState(Encoded(AppendHardState, state)), state);
  const ConfState conf_state{{~0ull, 1}, {2}, {3, 4}, {5}, true};
  EXPECT_EQ(*DecodeConfState(Encoded(AppendConfState, conf_state)), conf_state);
  const raft::Snapshot snapshot{{conf_state, 9, 3}, "{\"Root\":1}"};
  EXPECT_EQ(*DecodeSnapshot(Encoded(AppendSnapshot, snapshot)), snapshot);
  const WalSnapshot mark{9, 3, conf_state};
  EXPECT_EQ(*DecodeWalSnapshot(Encoded(AppendWalSnapshot, mark)), mark);
  const WalMetadata metadata{~0ull, 1};
  EXPECT_EQ(*DecodeMetadata(Encoded(AppendMetadata, metadata)), metadata);
}

// etcd 3.7 leaves zeros out; a future writer may pack, or add fields.
TEST(CodecTest, AbsentPackedAndUnknownFieldsAreRead) {
  EXPECT_EQ(*DecodeEntry(""), Entry{});
  EXPECT_EQ(*DecodeHardState(""), HardState{});
  EXPECT_EQ(*DecodeConfState(std::string_view("\x0a\x03\x01\x80\x01", 5)),
            (ConfState{{1, 128}, {}, {}, {}, false}));
  EXPECT_EQ(*DecodeHardState(std::string_view("\x08\x05\x52\x01x", 5)), (HardState{5, 0, 0}));
}

TEST(CodecTest, MalformedIsRefused) {
  EXPECT_FALSE(DecodeEntry("\x08").ok());
  EXPECT_FALSE(DecodeEntry("\x08\x09").ok()) << "no such type";
  EXPECT_FALSE(DecodeEntry("\x22\x05"
                           "ab")
                   .ok())
      << "length beyond the end";
  EXPECT_FALSE(DecodeHardState("\x0a\x01x").ok()) << "bytes where a number belongs";
  EXPECT_FALSE(DecodeConfState("\x0a\x01\x80").ok()) << "packed number cut short";
  Record record;
  EXPECT_FALSE(DecodeRecord("\x10\xff\xff\xff\xff\xff\x01", &record)) << "crc over 32 bits";
}

TEST(CodecTest, RandomBytesNeverCrash) {
  const uint64_t seed = TestSeed(std::random_device{}());
  SCOPED_TRACE("QUORATE_TEST_SEED=" + std::to_string(seed));
  std::mt19937_64 random(seed);
  for (int round = 0; round < 20'000; ++round) {
    std::string bytes(random() % 40, '\0');
    for (char& c : bytes) c = static_cast<char>(random() % (round % 2 == 0 ? 256 : 48));
    Record record;
    (void)DecodeRecord(bytes, &record);
    if (const auto entry = DecodeEntry(bytes); entry.ok()) {
      EXPECT_EQ(*DecodeEntry(Encoded(AppendEntry, *entry)), *entry);
    }
    if (const auto snapshot = DecodeSnapshot(bytes); snapshot.ok()) {
      EXPECT_EQ(*DecodeSnapshot(Encoded(AppendSnapshot, *snapshot)), *snapshot);
    }
    if (const auto mark = DecodeWalSnapshot(bytes); mark.ok()) {
      EXPECT_EQ(*DecodeWalSnapshot(Encoded(AppendWalSnapshot, *mark)), *mark);
    }
  }
}

TEST(FrameTest, PadsToEightBytes) {
  for (size_t n = 1; n < 40; ++n) {
    const FrameSize size = ParseFrameField(FrameField(n));
    EXPECT_EQ(size.record_bytes, n);
    EXPECT_EQ((n + size.pad_bytes) % 8, 0u);
    EXPECT_LT(size.pad_bytes, 8u);
  }
}

}  // namespace
}  // namespace quorate::wal
