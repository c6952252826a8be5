#include "wal/codec.h"

#include <limits>

#include "base/wire.h"

namespace quorate::wal {
namespace {

using wire::Type;

Status Malformed(std::string_view message) {
  return DataLoss(std::string("malformed ") + std::string(message) + " message");
}

void AppendRepeated(std::string& out, uint32_t field, const std::vector<uint64_t>& values) {
  for (const uint64_t v : values) wire::AppendVarintField(out, field, v);
}

// Unpacked as gogo writes it, or packed as a newer writer may.
bool ReadRepeated(const wire::Reader& reader, std::vector<uint64_t>* values) {
  if (reader.type() == Type::kVarint) {
    values->push_back(reader.varint());
    return true;
  }
  if (reader.type() != Type::kBytes) return false;
  std::string_view packed = reader.bytes();
  while (!packed.empty()) {
    uint64_t value = 0;
    size_t used = 0;
    for (;; ++used) {
      if (used == packed.size() || used == wire::kVarintMax) return false;
      const auto byte = static_cast<uint8_t>(packed[used]);
      value |= static_cast<uint64_t>(byte & 0x7f) << (7 * used);
      if (byte < 0x80) break;
    }
    values->push_back(value);
    packed.remove_prefix(used + 1);
  }
  return true;
}

// Reads the message field by field. `field` is called for each and says whether it could use the value; the
// caller's switch ignores fields it does not know.
template <typename F>
bool ForEachField(std::string_view in, F field) {
  wire::Reader reader(in);
  while (reader.Next()) {
    if (!field(reader)) return false;
  }
  return reader.ok();
}

bool TakeVarint(const wire::Reader& reader, uint64_t* value) {
  *value = reader.varint();
  return reader.type() == Type::kVarint;
}

}  // namespace

size_t WriteEntryHeader(char* out, const raft::Entry& entry) {
  char* p = out;
  *p++ = static_cast<char>(wire::Tag(1, Type::kVarint));
  p = wire::WriteVarint(p, static_cast<uint64_t>(entry.type));
  *p++ = static_cast<char>(wire::Tag(2, Type::kVarint));
  p = wire::WriteVarint(p, entry.term);
  *p++ = static_cast<char>(wire::Tag(3, Type::kVarint));
  p = wire::WriteVarint(p, entry.index);
  if (!entry.data.empty()) {
    *p++ = static_cast<char>(wire::Tag(4, Type::kBytes));
    p = wire::WriteVarint(p, entry.data.size());
  }
  return static_cast<size_t>(p - out);
}

void AppendEntry(std::string& out, const raft::Entry& entry) {
  char header[kEntryHeaderBytesMax];
  out.append(header, WriteEntryHeader(header, entry));
  out.append(entry.data.view());
}

void AppendHardState(std::string& out, const raft::HardState& state) {
  wire::AppendVarintField(out, 1, state.term);
  wire::AppendVarintField(out, 2, state.vote);
  wire::AppendVarintField(out, 3, state.commit);
}

void AppendConfState(std::string& out, const raft::ConfState& conf_state) {
  AppendRepeated(out, 1, conf_state.voters);
  AppendRepeated(out, 2, conf_state.learners);
  AppendRepeated(out, 3, conf_state.voters_outgoing);
  AppendRepeated(out, 4, conf_state.learners_next);
  wire::AppendVarintField(out, 5, conf_state.auto_leave ? 1 : 0);
}

void AppendSnapshotMetadata(std::string& out, const raft::SnapshotMetadata& metadata) {
  std::string conf_state;
  AppendConfState(conf_state, metadata.conf_state);
  wire::AppendBytesField(out, 1, conf_state);
  wire::AppendVarintField(out, 2, metadata.index);
  wire::AppendVarintField(out, 3, metadata.term);
}

void AppendSnapshot(std::string& out, const raft::Snapshot& snapshot) {
  wire::AppendBytesFieldNonEmpty(out, 1, snapshot.data);
  std::string metadata;
  AppendSnapshotMetadata(metadata, snapshot.metadata);
  wire::AppendBytesField(out, 2, metadata);
}

void AppendMetadata(std::string& out, const WalMetadata& metadata) {
  wire::AppendVarintField(out, 1, metadata.node_id);
  wire::AppendVarintField(out, 2, metadata.cluster_id);
}

void AppendWalSnapshot(std::string& out, const WalSnapshot& snapshot) {
  wire::AppendVarintField(out, 1, snapshot.index);
  wire::AppendVarintField(out, 2, snapshot.term);
  if (snapshot.conf_state) {
    std::string conf_state;
    AppendConfState(conf_state, *snapshot.conf_state);
    wire::AppendBytesField(out, 3, conf_state);
  }
}

void AppendRecord(std::string& out, const Record& record) {
  wire::AppendVarintField(out, 1, static_cast<uint64_t>(record.type));
  wire::AppendVarintField(out, 2, record.crc);
  wire::AppendBytesFieldNonEmpty(out, 3, record.data);
}

StatusOr<raft::Entry> DecodeEntry(std::string_view in) {
  raft::Entry entry;
  uint64_t type = 0;
  const bool ok = ForEachField(in, [&](const wire::Reader& reader) {
    switch (reader.field()) {
      case 1:
        return TakeVarint(reader, &type) && type <= static_cast<uint64_t>(raft::EntryType::kConfChangeV2);
      case 2:
        return TakeVarint(reader, &entry.term);
      case 3:
        return TakeVarint(reader, &entry.index);
      case 4:
        if (reader.type() != Type::kBytes) return false;
        entry.data = raft::Payload(std::string(reader.bytes()));
        return true;
      default:
        return true;
    }
  });
  if (!ok) return Malformed("Entry");
  entry.type = static_cast<raft::EntryType>(type);
  return entry;
}

StatusOr<raft::HardState> DecodeHardState(std::string_view in) {
  raft::HardState state;
  const bool ok = ForEachField(in, [&](const wire::Reader& reader) {
    switch (reader.field()) {
      case 1:
        return TakeVarint(reader, &state.term);
      case 2:
        return TakeVarint(reader, &state.vote);
      case 3:
        return TakeVarint(reader, &state.commit);
      default:
        return true;
    }
  });
  if (!ok) return Malformed("HardState");
  return state;
}

StatusOr<raft::ConfState> DecodeConfState(std::string_view in) {
  raft::ConfState conf_state;
  uint64_t auto_leave = 0;
  const bool ok = ForEachField(in, [&](const wire::Reader& reader) {
    switch (reader.field()) {
      case 1:
        return ReadRepeated(reader, &conf_state.voters);
      case 2:
        return ReadRepeated(reader, &conf_state.learners);
      case 3:
        return ReadRepeated(reader, &conf_state.voters_outgoing);
      case 4:
        return ReadRepeated(reader, &conf_state.learners_next);
      case 5:
        return TakeVarint(reader, &auto_leave);
      default:
        return true;
    }
  });
  if (!ok) return Malformed("ConfState");
  conf_state.auto_leave = auto_leave != 0;
  return conf_state;
}

StatusOr<raft::SnapshotMetadata> DecodeSnapshotMetadata(std::string_view in) {
  raft::SnapshotMetadata metadata;
  std::string_view conf_state;
  const bool ok = ForEachField(in, [&](const wire::Reader& reader) {
    switch (reader.field()) {
      case 1:
        conf_state = reader.bytes();
        return reader.type() == Type::kBytes;
      case 2:
        return TakeVarint(reader, &metadata.index);
      case 3:
        return TakeVarint(reader, &metadata.term);
      default:
        return true;
    }
  });
  if (!ok) return Malformed("SnapshotMetadata");
  QUORATE_ASSIGN_OR_RETURN(metadata.conf_state, DecodeConfState(conf_state));
  return metadata;
}

StatusOr<raft::Snapshot> DecodeSnapshot(std::string_view in) {
  raft::Snapshot snapshot;
  std::string_view metadata;
  const bool ok = ForEachField(in, [&](const wire::Reader& reader) {
    if (reader.field() > 2) return true;
    if (reader.type() != Type::kBytes) return false;
    if (reader.field() == 1) {
      snapshot.data = reader.bytes();
    } else {
      metadata = reader.bytes();
    }
    return true;
  });
  if (!ok) return Malformed("Snapshot");
  QUORATE_ASSIGN_OR_RETURN(snapshot.metadata, DecodeSnapshotMetadata(metadata));
  return snapshot;
}

StatusOr<WalMetadata> DecodeMetadata(std::string_view in) {
  WalMetadata metadata;
  const bool ok = ForEachField(in, [&](const wire::Reader& reader) {
    switch (reader.field()) {
      case 1:
        return TakeVarint(reader, &metadata.node_id);
      case 2:
        return TakeVarint(reader, &metadata.cluster_id);
      default:
        return true;
    }
  });
  if (!ok) return Malformed("Metadata");
  return metadata;
}

StatusOr<WalSnapshot> DecodeWalSnapshot(std::string_view in) {
  WalSnapshot snapshot;
  std::optional<std::string_view> conf_state;
  const bool ok = ForEachField(in, [&](const wire::Reader& reader) {
    switch (reader.field()) {
      case 1:
        return TakeVarint(reader, &snapshot.index);
      case 2:
        return TakeVarint(reader, &snapshot.term);
      case 3:
        conf_state = reader.bytes();
        return reader.type() == Type::kBytes;
      default:
        return true;
    }
  });
  if (!ok) return Malformed("WAL Snapshot");
  if (conf_state) {
    QUORATE_ASSIGN_OR_RETURN(snapshot.conf_state, DecodeConfState(*conf_state));
  }
  return snapshot;
}

bool DecodeRecord(std::string_view in, Record* record) {
  *record = Record{};
  uint64_t type = 0;
  uint64_t crc = 0;
  const bool ok = ForEachField(in, [&](const wire::Reader& reader) {
    switch (reader.field()) {
      case 1:
        return TakeVarint(reader, &type);
      case 2:
        return TakeVarint(reader, &crc) && crc <= std::numeric_limits<uint32_t>::max();
      case 3:
        record->data = reader.bytes();
        return reader.type() == Type::kBytes;
      default:
        return true;
    }
  });
  record->type = static_cast<int64_t>(type);
  record->crc = static_cast<uint32_t>(crc);
  return ok;
}

}  // namespace quorate::wal
