// The messages inside WAL records and .snap files, byte for byte as etcd writes them.
// Source: raft/raftpb/raft.proto, wal/walpb/record.proto, etcdserver/api/snap/snappb/snap.proto,
// etcdserverpb/etcdserver.proto (Metadata). gogo's rule: every non-nullable scalar is written, zeros
// included, fields in ascending order, absent bytes left out. Decoders take an absent field as zero, skip
// unknown ones, and give DataLoss for malformed bytes; the text names the message only, the caller adds file
// and offset. ConfChange has its codec in raft/confchange_codec.h. All functions are pure: any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/status.h"
#include "raft/types.h"

namespace quorate::wal {

// Which member of which cluster a log belongs to; repeated at the head of each segment, the same bytes every
// time.
struct WalMetadata {
  uint64_t node_id = 0;
  uint64_t cluster_id = 0;

  friend bool operator==(const WalMetadata&, const WalMetadata&) = default;
};

// walpb.Snapshot: "at this point of the log a snapshot of the state at `index` was on disk". etcd 3.4 neither
// writes nor reads conf_state.
struct WalSnapshot {
  uint64_t index = 0;
  uint64_t term = 0;
  std::optional<raft::ConfState> conf_state;

  friend bool operator==(const WalSnapshot&, const WalSnapshot&) = default;
};

// walpb.Record. `data` views the caller's buffer; empty data is the same as absent data.
struct Record {
  int64_t type = 0;
  uint32_t crc = 0;
  std::string_view data;
};

// Frozen: on disk.
enum RecordType : int64_t {
  kMetadataRecord = 1,
  kEntryRecord = 2,
  kStateRecord = 3,
  kCrcRecord = 4,
  kSnapshotRecord = 5,
};

// All Append functions write at the end of `out`.
void AppendEntry(std::string& out, const raft::Entry& entry);
void AppendHardState(std::string& out, const raft::HardState& state);
void AppendConfState(std::string& out, const raft::ConfState& conf_state);
void AppendSnapshotMetadata(std::string& out, const raft::SnapshotMetadata& metadata);
void AppendSnapshot(std::string& out, const raft::Snapshot& snapshot);
void AppendMetadata(std::string& out, const WalMetadata& metadata);
void AppendWalSnapshot(std::string& out, const WalSnapshot& snapshot);
// Without the frame around it.
void AppendRecord(std::string& out, const Record& record);

StatusOr<raft::Entry> DecodeEntry(std::string_view in);
StatusOr<raft::HardState> DecodeHardState(std::string_view in);
StatusOr<raft::ConfState> DecodeConfState(std::string_view in);
StatusOr<raft::SnapshotMetadata> DecodeSnapshotMetadata(std::string_view in);
StatusOr<raft::Snapshot> DecodeSnapshot(std::string_view in);
StatusOr<WalMetadata> DecodeMetadata(std::string_view in);
StatusOr<WalSnapshot> DecodeWalSnapshot(std::string_view in);
// Allocates nothing; false when malformed.
bool DecodeRecord(std::string_view in, Record* record);

// The bytes of an Entry before its data (and the tag and length of the data), for writers that place the data
// themselves. `out` has room for kEntryHeaderBytesMax; returns the number of bytes.
constexpr size_t kEntryHeaderBytesMax = 4 + 3 * 10 + 1 + 10;
size_t WriteEntryHeader(char* out, const raft::Entry& entry);

}  // namespace quorate::wal
