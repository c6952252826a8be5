#include "cmd/session/message_json.h"

#include "absl/strings/escaping.h"
#include "base/check.h"
#include "base/go_json.h"

namespace quorate::cmd {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::OneofDescriptor;
using google::protobuf::Reflection;

// "response_delete_range" to "ResponseDeleteRange".
std::string GoName(const std::string& name) {
  std::string out;
  bool upper = true;
  for (const char c : name) {
    if (c != '_') out += upper && c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
    upper = c == '_';
  }
  return out;
}

std::string StringValue(const FieldDescriptor* field, const std::string& text) {
  return field->type() == FieldDescriptor::TYPE_BYTES ? JsonBytes(text) : JsonText(text);
}

std::string Item(const Message& message, const FieldDescriptor* field, int i) {
  const Reflection& r = *message.GetReflection();
  switch (field->cpp_type()) {
    case FieldDescriptor::CPPTYPE_MESSAGE:
      return MessageJson(r.GetRepeatedMessage(message, field, i));
    case FieldDescriptor::CPPTYPE_STRING:
      return StringValue(field, r.GetRepeatedString(message, field, i));
    case FieldDescriptor::CPPTYPE_INT64:
      return std::to_string(r.GetRepeatedInt64(message, field, i));
    case FieldDescriptor::CPPTYPE_UINT64:
      return std::to_string(r.GetRepeatedUInt64(message, field, i));
    default:
      QUORATE_CHECK_MSG(false, "a kind of repeated field that etcd's answers don't have");
  }
}

std::string Single(const Message& message, const FieldDescriptor* field) {
  const Reflection& r = *message.GetReflection();
  switch (field->cpp_type()) {
    case FieldDescriptor::CPPTYPE_MESSAGE:
      return MessageJson(r.GetMessage(message, field));
    case FieldDescriptor::CPPTYPE_STRING:
      return StringValue(field, r.GetString(message, field));
    case FieldDescriptor::CPPTYPE_ENUM:
      return std::to_string(r.GetEnumValue(message, field));
    case FieldDescriptor::CPPTYPE_INT64:
      return std::to_string(r.GetInt64(message, field));
    case FieldDescriptor::CPPTYPE_UINT64:
      return std::to_string(r.GetUInt64(message, field));
    case FieldDescriptor::CPPTYPE_INT32:
      return std::to_string(r.GetInt32(message, field));
    case FieldDescriptor::CPPTYPE_UINT32:
      return std::to_string(r.GetUInt32(message, field));
    case FieldDescriptor::CPPTYPE_BOOL:
      return r.GetBool(message, field) ? "true" : "false";
    default:
      QUORATE_CHECK_MSG(false, "a kind of field that etcd's answers don't have");
  }
}

std::string Items(const Message& message, const FieldDescriptor* field) {
  std::string text = "[";
  const int count = message.GetReflection()->FieldSize(message, field);
  for (int i = 0; i < count; ++i) text += (i > 0 ? "," : "") + Item(message, field, i);
  return text + "]";
}

std::string OneofValue(const Message& message, const OneofDescriptor* oneof) {
  const FieldDescriptor* const field = message.GetReflection()->GetOneofFieldDescriptor(message, oneof);
  if (field == nullptr) return "null";
  return JsonObject().Add(GoName(field->name()), Single(message, field)).Text();
}

}  // namespace

std::string JsonText(std::string_view text) {
  std::string out;
  AppendGoString(out, text);
  return out;
}

std::string JsonBytes(std::string_view bytes) {
  return "\"" + absl::Base64Escape(absl::string_view(bytes.data(), bytes.size())) + "\"";
}

std::string JsonTexts(const std::vector<std::string>& texts) {
  std::string out;
  AppendGoStrings(out, texts);
  return out;
}

std::string MessageJson(const Message& message) { return JsonObject().AddFields(message).Text(); }

JsonObject& JsonObject::Add(std::string_view name, std::string_view json) {
  if (!members_.empty()) members_ += ",";
  members_ += JsonText(name) + ":";
  members_ += json;
  return *this;
}

JsonObject& JsonObject::AddFields(const Message& message) {
  const Reflection& reflection = *message.GetReflection();
  const google::protobuf::Descriptor& type = *message.GetDescriptor();
  for (int i = 0; i < type.field_count(); ++i) {
    const FieldDescriptor* const field = type.field(i);
    const OneofDescriptor* const oneof = field->real_containing_oneof();
    if (oneof != nullptr) {
      // Once, where the first of its fields stands.
      if (oneof->field(0) == field) Add(GoName(oneof->name()), OneofValue(message, oneof));
    } else if (field->is_repeated()) {
      if (reflection.FieldSize(message, field) > 0) Add(field->name(), Items(message, field));
    } else if (reflection.HasField(message, field)) {
      Add(field->name(), Single(message, field));
    }
  }
  return *this;
}

}  // namespace quorate::cmd
