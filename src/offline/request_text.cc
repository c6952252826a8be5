#include "offline/request_text.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>

#include <cinttypes>
#include <cstdio>
#include <vector>

#include "cluster/v2_request.h"
#include "raft/confchange_codec.h"
#include "raft_internal.pb.h"
#include "server/requests.h"

namespace quorate::offline {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

bool IsSecretField(std::string_view name) {
  return name == "password" || name == "hashedPassword" || name == "simple_token" || name == "token";
}

// Members and leases are known by their IDs in hexadecimal.
bool IsHexField(const FieldDescriptor& field) {
  const std::string& name = field.name();
  return name == "lease" || name == "memberID" || name == "member_ID" ||
         (name == "ID" && field.containing_type()->name() != "RequestHeader");
}

std::string Hex(uint64_t value) {
  char text[24];
  std::snprintf(text, sizeof text, "%" PRIx64, value);
  return text;
}

std::string MessageText(const Message& message, const TextOptions& options);

std::string ScalarText(const Message& message, const FieldDescriptor& field, int index, bool hide) {
  const auto& reflection = *message.GetReflection();
  const bool repeated = index >= 0;
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_STRING: {
      std::string scratch;
      const std::string& bytes = repeated
                                     ? reflection.GetRepeatedStringReference(message, &field, index, &scratch)
                                     : reflection.GetStringReference(message, &field, &scratch);
      return hide ? std::string(kHidden) : BytesText(bytes);
    }
    case FieldDescriptor::CPPTYPE_BOOL:
      return reflection.GetBool(message, &field) ? "true" : "false";
    case FieldDescriptor::CPPTYPE_ENUM: {
      const int number = repeated ? reflection.GetRepeatedEnumValue(message, &field, index)
                                  : reflection.GetEnumValue(message, &field);
      const auto* value = field.enum_type()->FindValueByNumber(number);
      return value == nullptr ? std::to_string(number) : value->name();
    }
    case FieldDescriptor::CPPTYPE_INT64: {
      const int64_t value = repeated ? reflection.GetRepeatedInt64(message, &field, index)
                                     : reflection.GetInt64(message, &field);
      return IsHexField(field) ? Hex(static_cast<uint64_t>(value)) : std::to_string(value);
    }
    case FieldDescriptor::CPPTYPE_UINT64: {
      const uint64_t value = repeated ? reflection.GetRepeatedUInt64(message, &field, index)
                                      : reflection.GetUInt64(message, &field);
      return IsHexField(field) ? Hex(value) : std::to_string(value);
    }
    case FieldDescriptor::CPPTYPE_INT32:
      return std::to_string(reflection.GetInt32(message, &field));
    default:
      return "?";  // The log's messages have no others.
  }
}

std::string FieldText(const Message& message, const FieldDescriptor& field, int index, bool hide,
                      const TextOptions& options) {
  if (field.cpp_type() != FieldDescriptor::CPPTYPE_MESSAGE) return ScalarText(message, field, index, hide);
  const auto& reflection = *message.GetReflection();
  const Message& inner = index >= 0 ? reflection.GetRepeatedMessage(message, &field, index)
                                    : reflection.GetMessage(message, &field);
  return "{" + MessageText(inner, options) + "}";
}

// The value of a put, or the one that a compare in a transaction looks for.
bool HidesValue(const Message& message, const TextOptions& options) {
  const FieldDescriptor* key = message.GetDescriptor()->FindFieldByName("key");
  if (options.show_secrets || key == nullptr || key->cpp_type() != FieldDescriptor::CPPTYPE_STRING)
    return false;
  return IsSecretKey(message.GetReflection()->GetString(message, key));
}

// key="a" value="b" compare=[{...} {...}]
std::string MessageText(const Message& message, const TextOptions& options) {
  std::vector<const FieldDescriptor*> fields;
  message.GetReflection()->ListFields(message, &fields);
  const bool hides_value = HidesValue(message, options);
  std::string text;
  for (const FieldDescriptor* field : fields) {
    const bool hide = IsSecretField(field->name()) || (hides_value && field->name() == "value");
    if (!text.empty()) text += ' ';
    text += field->name() + "=";
    if (!field->is_repeated()) {
      text += FieldText(message, *field, -1, hide, options);
      continue;
    }
    text += '[';
    for (int i = 0; i < message.GetReflection()->FieldSize(message, field); ++i) {
      text += (i > 0 ? " " : "") + FieldText(message, *field, i, hide, options);
    }
    text += ']';
  }
  return text;
}

StatusOr<std::string> RequestText(std::string_view data, const TextOptions& options) {
  etcdserverpb::InternalRaftRequest request;
  if (!request.ParseFromArray(data.data(), static_cast<int>(data.size()))) {
    return DataLoss("data that is no request");
  }
  std::vector<const FieldDescriptor*> fields;
  const auto& reflection = *request.GetReflection();
  reflection.ListFields(request, &fields);
  std::string text;
  std::string head;
  for (const FieldDescriptor* field : fields) {
    if (field->cpp_type() != FieldDescriptor::CPPTYPE_MESSAGE) continue;
    const std::string body = MessageText(reflection.GetMessage(request, field), options);
    if (field->name() == "header") {
      head = body;
      continue;
    }
    if (!text.empty()) text += "; ";
    text += field->name() + (body.empty() ? "" : " " + body);
  }
  if (text.empty()) {
    server::EntryView entry;
    if (!server::DecodeEntry(data, &entry)) return DataLoss("data that is no request");
    text = "request of kind " + std::to_string(entry.field) + ", " + std::to_string(entry.body.size()) +
           " bytes";
  }
  return text + (head.empty() ? "" : "  header={" + head + "}");
}

StatusOr<std::string> V2RequestText(std::string_view data) {
  QUORATE_ASSIGN_OR_RETURN(const cluster::V2Request request, cluster::DecodeV2Request(data));
  std::string text = "v2 " + request.method + " " + request.path;
  if (!request.value.empty()) text += " value=" + BytesText(request.value);
  return text + "  header={ID=" + std::to_string(request.id) + "}";
}

std::string_view ChangeTypeText(raft::ConfChangeType type) {
  switch (type) {
    case raft::ConfChangeType::kAddNode:
      return "add-node";
    case raft::ConfChangeType::kRemoveNode:
      return "remove-node";
    case raft::ConfChangeType::kUpdateNode:
      return "update-node";
    case raft::ConfChangeType::kAddLearnerNode:
      return "add-learner-node";
  }
  return "?";
}

StatusOr<std::string> ConfChangeText(const raft::Entry& entry) {
  std::string context;
  if (entry.type == raft::EntryType::kConfChange) {
    QUORATE_ASSIGN_OR_RETURN(const raft::ConfChange change, raft::DecodeConfChange(entry.data.view()));
    context = change.context;
  }
  QUORATE_ASSIGN_OR_RETURN(const raft::ConfChangeV2 changes, raft::DecodeConfChange(entry));
  std::string text;
  for (const raft::ConfChangeSingle& change : changes.changes) {
    if (!text.empty()) text += ", ";
    text += std::string(ChangeTypeText(change.type)) + " " + Hex(change.node_id);
  }
  if (text.empty()) text = "leave the joint configuration";
  return text + (context.empty() ? "" : " " + context);
}

}  // namespace

std::string BytesText(std::string_view bytes) {
  const bool cut = bytes.size() > kShownBytesMax;
  std::string text = "\"";
  for (const char c : bytes.substr(0, kShownBytesMax)) {
    const auto byte = static_cast<uint8_t>(c);
    if (c == '"' || c == '\\') {
      text += '\\';
      text += c;
    } else if (byte >= 0x20 && byte < 0x7f) {
      text += c;
    } else {
      char escaped[8];
      std::snprintf(escaped, sizeof escaped, "\\x%02x", byte);
      text += escaped;
    }
  }
  text += '"';
  return cut ? text + "... (" + std::to_string(bytes.size()) + " bytes)" : text;
}

bool IsSecretKey(std::string_view key) { return key.find("/secrets/") != std::string_view::npos; }

StatusOr<std::string> EntryText(const raft::Entry& entry, const TextOptions& options) {
  if (entry.type != raft::EntryType::kNormal) return ConfChangeText(entry);
  const std::string_view data = entry.data.view();
  if (data.empty()) return "empty entry of a new leader";
  return cluster::IsV2Request(data) ? V2RequestText(data) : RequestText(data, options);
}

std::string_view EntryTypeText(raft::EntryType type) {
  switch (type) {
    case raft::EntryType::kNormal:
      return "normal";
    case raft::EntryType::kConfChange:
      return "conf-change";
    case raft::EntryType::kConfChangeV2:
      return "conf-change-v2";
  }
  return "?";
}

}  // namespace quorate::offline
