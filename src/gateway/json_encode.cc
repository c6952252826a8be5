#include "gateway/json_encode.h"

#include <string_view>

#include "absl/strings/escaping.h"
#include "base/check.h"
#include "base/go_json.h"

namespace quorate::gateway {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::EnumValueDescriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

void AppendQuoted(std::string& out, std::string_view text) { out.append("\"").append(text).append("\""); }

void AppendText(std::string& out, const FieldDescriptor* field, const std::string& text) {
  if (field->type() == FieldDescriptor::TYPE_BYTES) return AppendQuoted(out, absl::Base64Escape(text));
  AppendGoString(out, text);
}

void AppendEnum(std::string& out, const FieldDescriptor* field, int number) {
  const EnumValueDescriptor* value = field->enum_type()->FindValueByNumber(number);
  if (value == nullptr) {
    out += std::to_string(number);
  } else {
    AppendQuoted(out, value->name());
  }
}

void AppendItem(std::string& out, const Message& message, const FieldDescriptor* field, int i) {
  const Reflection* r = message.GetReflection();
  std::string scratch;
  switch (field->cpp_type()) {
    case FieldDescriptor::CPPTYPE_MESSAGE:
      return AppendJson(out, r->GetRepeatedMessage(message, field, i));
    case FieldDescriptor::CPPTYPE_STRING:
      return AppendText(out, field, r->GetRepeatedStringReference(message, field, i, &scratch));
    case FieldDescriptor::CPPTYPE_ENUM:
      return AppendEnum(out, field, r->GetRepeatedEnumValue(message, field, i));
    case FieldDescriptor::CPPTYPE_INT64:
      return AppendQuoted(out, std::to_string(r->GetRepeatedInt64(message, field, i)));
    case FieldDescriptor::CPPTYPE_UINT64:
      return AppendQuoted(out, std::to_string(r->GetRepeatedUInt64(message, field, i)));
    default:
      QUORATE_CHECK_MSG(false, "a kind of repeated field that etcd's messages don't have");
  }
}

void AppendSingle(std::string& out, const Message& message, const FieldDescriptor* field) {
  const Reflection* r = message.GetReflection();
  std::string scratch;
  switch (field->cpp_type()) {
    case FieldDescriptor::CPPTYPE_MESSAGE:
      return AppendJson(out, r->GetMessage(message, field));
    case FieldDescriptor::CPPTYPE_STRING:
      return AppendText(out, field, r->GetStringReference(message, field, &scratch));
    case FieldDescriptor::CPPTYPE_ENUM:
      return AppendEnum(out, field, r->GetEnumValue(message, field));
    case FieldDescriptor::CPPTYPE_INT64:
      return AppendQuoted(out, std::to_string(r->GetInt64(message, field)));
    case FieldDescriptor::CPPTYPE_UINT64:
      return AppendQuoted(out, std::to_string(r->GetUInt64(message, field)));
    case FieldDescriptor::CPPTYPE_INT32:
      out += std::to_string(r->GetInt32(message, field));
      return;
    case FieldDescriptor::CPPTYPE_UINT32:
      out += std::to_string(r->GetUInt32(message, field));
      return;
    case FieldDescriptor::CPPTYPE_BOOL:
      out += r->GetBool(message, field) ? "true" : "false";
      return;
    default:
      QUORATE_CHECK_MSG(false, "a kind of field that etcd's messages don't have");
  }
}

}  // namespace

void AppendJson(std::string& out, const Message& message) {
  const Descriptor* type = message.GetDescriptor();
  const Reflection* r = message.GetReflection();
  char separator = '{';
  for (int i = 0; i < type->field_count(); ++i) {
    const FieldDescriptor* field = type->field(i);
    const int size = field->is_repeated() ? r->FieldSize(message, field) : 0;
    if (field->is_repeated() ? size == 0 : !r->HasField(message, field)) continue;
    out += separator;
    separator = ',';
    AppendQuoted(out, field->name());
    out += ':';
    if (!field->is_repeated()) {
      AppendSingle(out, message, field);
      continue;
    }
    for (int k = 0; k < size; ++k) {
      out += k == 0 ? '[' : ',';
      AppendItem(out, message, field, k);
    }
    out += ']';
  }
  if (separator == '{') out += '{';
  out += '}';
}

}  // namespace quorate::gateway
