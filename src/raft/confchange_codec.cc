#include "raft/confchange_codec.h"

#include "base/wire.h"

namespace quorate::raft {
namespace {

using wire::Type;

Status Malformed(const char* what) {
  return InvalidArgument(std::string("raft: malformed ") + what + " in a log entry");
}

bool ReadType(uint64_t value, ConfChangeType* type) {
  if (value > static_cast<uint64_t>(ConfChangeType::kAddLearnerNode)) return false;
  *type = static_cast<ConfChangeType>(value);
  return true;
}

bool ReadSingle(std::string_view data, ConfChangeSingle* single) {
  wire::Reader reader(data);
  while (reader.Next()) {
    if (reader.Is(1, Type::kVarint)) {
      if (!ReadType(reader.varint(), &single->type)) return false;
    } else if (reader.Is(2, Type::kVarint)) {
      single->node_id = reader.varint();
    }
  }
  return reader.ok();
}

}  // namespace

std::string EncodeConfChange(const ConfChange& change) {
  std::string out;
  wire::AppendVarintField(out, 1, change.id);
  wire::AppendVarintField(out, 2, static_cast<uint64_t>(change.type));
  wire::AppendVarintField(out, 3, change.node_id);
  wire::AppendBytesFieldNonEmpty(out, 4, change.context);
  return out;
}

std::string EncodeConfChange(const ConfChangeV2& change) {
  std::string out;
  wire::AppendVarintField(out, 1, static_cast<uint64_t>(change.transition));
  for (const ConfChangeSingle& single : change.changes) {
    std::string bytes;
    wire::AppendVarintField(bytes, 1, static_cast<uint64_t>(single.type));
    wire::AppendVarintField(bytes, 2, single.node_id);
    wire::AppendBytesField(out, 2, bytes);
  }
  wire::AppendBytesFieldNonEmpty(out, 3, change.context);
  return out;
}

StatusOr<ConfChange> DecodeConfChange(std::string_view data) {
  ConfChange change;
  wire::Reader reader(data);
  while (reader.Next()) {
    if (reader.Is(1, Type::kVarint)) {
      change.id = reader.varint();
    } else if (reader.Is(2, Type::kVarint)) {
      if (!ReadType(reader.varint(), &change.type)) return Malformed("ConfChange");
    } else if (reader.Is(3, Type::kVarint)) {
      change.node_id = reader.varint();
    } else if (reader.Is(4, Type::kBytes)) {
      change.context = reader.bytes();
    }
  }
  if (!reader.ok()) return Malformed("ConfChange");
  return change;
}

StatusOr<ConfChangeV2> DecodeConfChangeV2(std::string_view data) {
  ConfChangeV2 change;
  wire::Reader reader(data);
  while (reader.Next()) {
    if (reader.Is(1, Type::kVarint)) {
      if (reader.varint() > static_cast<uint64_t>(ConfChangeTransition::kJointExplicit)) {
        return Malformed("ConfChangeV2");
      }
      change.transition = static_cast<ConfChangeTransition>(reader.varint());
    } else if (reader.Is(2, Type::kBytes)) {
      if (!ReadSingle(reader.bytes(), &change.changes.emplace_back())) return Malformed("ConfChangeV2");
    } else if (reader.Is(3, Type::kBytes)) {
      change.context = reader.bytes();
    }
  }
  if (!reader.ok()) return Malformed("ConfChangeV2");
  return change;
}

StatusOr<ConfChangeV2> DecodeConfChange(const Entry& entry) {
  if (entry.type == EntryType::kConfChangeV2) return DecodeConfChangeV2(entry.data.view());
  QUORATE_ASSIGN_OR_RETURN(const ConfChange change, DecodeConfChange(entry.data.view()));
  return ToV2(change);
}

ConfChangeV2 ToV2(const ConfChange& change) {
  ConfChangeV2 v2;
  v2.changes.push_back({change.type, change.node_id});
  v2.context = change.context;
  return v2;
}

uint64_t EncodedSize(const Entry& entry) {
  const size_t data = entry.data.size();
  return 2 + wire::VarintFieldSize(2, entry.term) + wire::VarintFieldSize(3, entry.index) +
         (data == 0 ? 0 : wire::BytesFieldSize(4, data));
}

}  // namespace quorate::raft
