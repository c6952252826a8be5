// A log directory of any bytes: reading gives a Status or contents; what opens takes more entries and opens
// again.
//
// Byte 0: bit 0 clear: one or two segments of raw bytes (bit 1); set: records to be framed, with checksums
// that hold, since a fuzzer guesses no CRC. Bytes 1 and 2: index and term of the snapshot to start from.
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/check.h"
#include "base/crc32c.h"
#include "base/endian.h"
#include "base/env_sim.h"
#include "fuzz/input.h"
#include "wal/frame.h"
#include "wal/wal.h"

namespace quorate::wal {
namespace {

constexpr std::string_view kDir = "/m/wal";
// Small, so that the entries added here cut a segment now and then.
constexpr uint64_t kSegmentBytes = 2048;
// Beyond it an index has no successor to append.
constexpr uint64_t kIndexMax = uint64_t{1} << 62;

void WriteFile(SimFileSystem& files, const std::string& name, std::string_view bytes) {
  QUORATE_CHECK(files.WriteAtomically(std::string(kDir) + "/" + name, bytes, 0600).ok());
}

void WriteRawSegments(fuzz::Input& input, bool two, SimFileSystem& files) {
  if (two) {
    const uint8_t first_index = input.Byte();
    WriteFile(files, SegmentName(0, 0), input.Bytes(input.Short()));
    WriteFile(files, SegmentName(1, first_index), input.Rest());
  } else {
    WriteFile(files, SegmentName(0, 0), input.Rest());
  }
}

class SegmentBuilder {
 public:
  explicit SegmentBuilder(SimFileSystem* files) : files_(files) { Add(kCrcRecord, {}); }

  // One instruction: a kind, and what it needs.
  void Run(fuzz::Input& input) {
    const uint8_t op = input.Byte();
    switch (op % 8) {
      case 0: {
        raft::Entry entry;
        entry.index = input.Byte();
        entry.term = input.Byte();
        entry.data = raft::Payload(std::string(input.Byte() * size_t{op} / 8, 'd'));
        std::string data;
        AppendEntry(data, entry);
        return Add(kEntryRecord, data);
      }
      case 6:
        Flush();
        ++sequence_;
        first_index_ = input.Byte();
        return Add(kCrcRecord, {});
      case 7:
        bytes_.append(input.Bytes(input.Byte()));
        return;
      default:
        return Add(op % 8, input.Bytes(input.Byte()));
    }
  }

  void Flush() {
    WriteFile(*files_, SegmentName(sequence_, first_index_), bytes_);
    bytes_.clear();
  }

 private:
  void Add(int64_t type, std::string_view data) {
    crc_ = crc32c::Extend(crc_, data);
    std::string record;
    AppendRecord(record, {type, crc_, data});
    char field[kFrameFieldBytes];
    StoreLittle(field, FrameField(record.size()));
    bytes_.append(field, sizeof field);
    bytes_.append(record);
    bytes_.append(FramePadding(record.size()), '\0');
  }

  SimFileSystem* const files_;
  std::string bytes_;
  uint64_t sequence_ = 0;
  uint64_t first_index_ = 0;
  uint32_t crc_ = 0;
};

bool SameContents(const LogContents& a, const LogContents& b) {
  return a.metadata == b.metadata && a.hard_state == b.hard_state && a.entries == b.entries &&
         a.snapshots == b.snapshots && a.last_index == b.last_index && a.good_offset == b.good_offset;
}

// Appends a few entries to an open log, as long as one of them cuts a segment, and returns them.
std::vector<raft::Entry> Grow(Wal& wal, const LogContents& contents, const WalSnapshot& start,
                              const raft::HardState& state) {
  std::vector<raft::Entry> entries;
  for (int i = 0; i < 3; ++i) {
    raft::Entry entry;
    entry.index = start.index + contents.entries.size() + entries.size() + 1;
    entry.term = 7;
    entry.data = raft::Payload(std::string(700, static_cast<char>('a' + i)));
    wal.Append({&entry, 1}, state);
    WalBatch batch = wal.TakeBatch();
    QUORATE_CHECK(wal.WriteAndSync(batch).ok());
    wal.Recycle(std::move(batch));
    entries.push_back(std::move(entry));
  }
  return entries;
}

void OpenAndGrow(SimFileSystem& files, const WalSnapshot& start, const StatusOr<LogContents>& read) {
  const std::string dir(kDir);
  WalOptions options;
  options.segment_bytes = kSegmentBytes;
  LogContents contents;
  auto wal = Wal::Open(&files, dir, start, options, &contents);
  QUORATE_CHECK(wal.ok() == read.ok());
  if (!wal.ok()) return;
  QUORATE_CHECK(SameContents(contents, *read));
  if (contents.last_index >= kIndexMax) return;

  raft::HardState state = contents.hard_state;
  state.term = 7;
  const std::vector<raft::Entry> added = Grow(**wal, contents, start, state);
  QUORATE_CHECK((*wal)->Close().ok());
  wal->reset();

  LogContents again;
  const auto reopened = Wal::Open(&files, dir, start, options, &again);
  QUORATE_CHECK_MSG(reopened.ok(), std::string(Message(reopened.status())));
  QUORATE_CHECK(again.end == LogEnd::kClean && again.hard_state == state);
  QUORATE_CHECK(again.metadata == contents.metadata && again.snapshots == contents.snapshots);
  contents.entries.insert(contents.entries.end(), added.begin(), added.end());
  QUORATE_CHECK(again.entries == contents.entries);
}

void ReadEveryRecord(SimFileSystem& files) {
  auto reader = WalReader::Open(&files, std::string(kDir));
  if (!reader.ok()) return;
  Record record;
  for (;;) {
    const StatusOr<bool> more = (*reader)->Next(&record);
    if (!more.ok() || !*more) return;
    static_cast<void>(DecodeEntry(record.data));
  }
}

void Run(fuzz::Input input) {
  SimFileSystem files(1);
  QUORATE_CHECK(files.CreateDirectories(std::string(kDir), 0700).ok());
  const uint8_t flags = input.Byte();
  WalSnapshot start;
  start.index = input.Byte();
  start.term = input.Byte();
  if ((flags & 1) == 0) {
    WriteRawSegments(input, (flags & 2) != 0, files);
  } else {
    SegmentBuilder builder(&files);
    while (!input.empty()) builder.Run(input);
    builder.Flush();
  }
  ReadEveryRecord(files);
  static_cast<void>(ValidSnapshots(&files, std::string(kDir)));
  OpenAndGrow(files, start, ReadLog(&files, std::string(kDir), start));
}

}  // namespace
}  // namespace quorate::wal

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  quorate::fuzz::KeepQuiet();
  quorate::wal::Run({data, size});
  return 0;
}
