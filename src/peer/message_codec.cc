#include "peer/message_codec.h"

#include <limits>
#include <utility>

#include "base/wire.h"
#include "raft/confchange_codec.h"
#include "raft/describe.h"
#include "wal/codec.h"

namespace quorate::peer {
namespace {

using raft::MessageType;
using wire::Type;

// Field 9 as gogo writes a snapshot that is not there.
constexpr std::string_view kNoSnapshot("\x4a\x0a\x12\x08\x0a\x02\x28\x00\x10\x00\x18\x00", 12);

bool TakeVarint(const wire::Reader& reader, uint64_t* value) {
  *value = reader.varint();
  return reader.type() == Type::kVarint;
}

bool TakeFlag(const wire::Reader& reader, bool* value) {
  *value = reader.varint() != 0;
  return reader.type() == Type::kVarint;
}

bool TakeEntry(const wire::Reader& reader, std::vector<raft::Entry>* entries) {
  if (reader.type() != Type::kBytes) return false;
  StatusOr<raft::Entry> entry = wal::DecodeEntry(reader.bytes());
  if (!entry.ok()) return false;
  entries->push_back(*std::move(entry));
  return true;
}

bool TakeSnapshot(const wire::Reader& reader, std::shared_ptr<const raft::Snapshot>* snapshot) {
  if (reader.type() != Type::kBytes) return false;
  StatusOr<raft::Snapshot> decoded = wal::DecodeSnapshot(reader.bytes());
  if (!decoded.ok()) return false;
  const bool present = !decoded->empty() || !decoded->data.empty();
  *snapshot = present ? std::make_shared<const raft::Snapshot>(*std::move(decoded)) : nullptr;
  return true;
}

// False when the field is of the wrong type or its contents are malformed.
bool TakeField(const wire::Reader& reader, uint64_t* type, raft::Message* message) {
  switch (reader.field()) {
    case 1:
      return TakeVarint(reader, type);
    case 2:
      return TakeVarint(reader, &message->to);
    case 3:
      return TakeVarint(reader, &message->from);
    case 4:
      return TakeVarint(reader, &message->term);
    case 5:
      return TakeVarint(reader, &message->log_term);
    case 6:
      return TakeVarint(reader, &message->index);
    case 7:
      return TakeEntry(reader, &message->entries);
    case 8:
      return TakeVarint(reader, &message->commit);
    case 9:
      return TakeSnapshot(reader, &message->snapshot);
    case 10:
      return TakeFlag(reader, &message->reject);
    case 11:
      return TakeVarint(reader, &message->reject_hint);
    case 12:
      message->context.assign(reader.bytes());
      return reader.type() == Type::kBytes;
    default:
      // 13 (vote) and 14 (responses) are for a sender's own storage; what is newer than we know is skipped.
      return true;
  }
}

bool Travels(MessageType type) {
  const auto number = static_cast<int>(type);
  return (number >= 2 && number <= 9) || (number >= 13 && number <= 18);
}

Status CheckEntries(const raft::Message& message) {
  raft::Term term = message.log_term;
  raft::Index index = message.index;
  if (message.entries.size() > std::numeric_limits<uint64_t>::max() - index) {
    return InvalidArgument("entries beyond the last possible index");
  }
  if (message.log_term > message.term) return InvalidArgument("log term newer than the message's term");
  for (const raft::Entry& entry : message.entries) {
    if (entry.index != ++index) {
      return InvalidArgument("entry with index " + std::to_string(entry.index) + " in the place of " +
                             std::to_string(index));
    }
    if (entry.term < term || entry.term > message.term) {
      return InvalidArgument("entry " + std::to_string(index) + " of term " + std::to_string(entry.term) +
                             " between terms " + std::to_string(term) + " and " +
                             std::to_string(message.term));
    }
    term = entry.term;
  }
  return absl::OkStatus();
}

}  // namespace

size_t EncodedSize(const raft::Message& m) {
  size_t size = wire::VarintFieldSize(1, static_cast<uint64_t>(m.type)) + wire::VarintFieldSize(2, m.to) +
                wire::VarintFieldSize(3, m.from) + wire::VarintFieldSize(4, m.term) +
                wire::VarintFieldSize(5, m.log_term) + wire::VarintFieldSize(6, m.index);
  for (const raft::Entry& entry : m.entries) size += wire::BytesFieldSize(7, raft::EncodedSize(entry));
  size += wire::VarintFieldSize(8, m.commit);
  if (m.snapshot == nullptr) {
    size += kNoSnapshot.size();
  } else {
    std::string snapshot;
    wal::AppendSnapshot(snapshot, *m.snapshot);
    size += wire::BytesFieldSize(9, snapshot.size());
  }
  size += wire::VarintFieldSize(10, m.reject ? 1 : 0) + wire::VarintFieldSize(11, m.reject_hint);
  if (!m.context.empty()) size += wire::BytesFieldSize(12, m.context.size());
  return size;
}

void AppendMessage(std::string& out, const raft::Message& m) {
  wire::AppendVarintField(out, 1, static_cast<uint64_t>(m.type));
  wire::AppendVarintField(out, 2, m.to);
  wire::AppendVarintField(out, 3, m.from);
  wire::AppendVarintField(out, 4, m.term);
  wire::AppendVarintField(out, 5, m.log_term);
  wire::AppendVarintField(out, 6, m.index);
  for (const raft::Entry& entry : m.entries) {
    wire::AppendVarint(out, wire::Tag(7, Type::kBytes));
    wire::AppendVarint(out, raft::EncodedSize(entry));
    wal::AppendEntry(out, entry);
  }
  wire::AppendVarintField(out, 8, m.commit);
  if (m.snapshot == nullptr) {
    out.append(kNoSnapshot);
  } else {
    std::string snapshot;
    wal::AppendSnapshot(snapshot, *m.snapshot);
    wire::AppendBytesField(out, 9, snapshot);
  }
  wire::AppendVarintField(out, 10, m.reject ? 1 : 0);
  wire::AppendVarintField(out, 11, m.reject_hint);
  wire::AppendBytesFieldNonEmpty(out, 12, m.context);
}

StatusOr<raft::Message> DecodeMessage(std::string_view in) {
  raft::Message message;
  uint64_t type = 0;
  wire::Reader reader(in);
  while (reader.Next()) {
    if (!TakeField(reader, &type, &message)) {
      return InvalidArgument("malformed field " + std::to_string(reader.field()) + " of a raft message");
    }
  }
  if (!reader.ok()) return InvalidArgument("malformed raft message");
  if (type > static_cast<uint64_t>(MessageType::kForgetLeader)) {
    return InvalidArgument("raft message of unknown type " + std::to_string(type));
  }
  message.type = static_cast<MessageType>(type);
  return message;
}

Status CheckMessage(const raft::Message& message) {
  if (!Travels(message.type)) {
    return InvalidArgument(std::string("a message of type ") + raft::Describe(message.type) +
                           " never comes from another member");
  }
  const bool snapshot = message.snapshot != nullptr && !message.snapshot->empty();
  if (snapshot != (message.type == MessageType::kSnap)) {
    return InvalidArgument(snapshot ? "a snapshot in a message of another type"
                                    : "MsgSnap without a snapshot");
  }
  if (message.type == MessageType::kApp) return CheckEntries(message);
  return absl::OkStatus();
}

bool MaySend(uint64_t sender, const raft::Message& message) {
  return message.from == sender || message.type == MessageType::kProp ||
         message.type == MessageType::kReadIndex || message.type == MessageType::kTransferLeader;
}

}  // namespace quorate::peer
