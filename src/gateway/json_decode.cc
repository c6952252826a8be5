#include "gateway/json_decode.h"

#include <charconv>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/escaping.h"
#include "base/wipe.h"
#include "gateway/json_syntax.h"

namespace quorate::gateway {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::EnumDescriptor;
using google::protobuf::EnumValueDescriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

constexpr std::string_view kGoMap = "map[string]json.RawMessage";
constexpr std::string_view kGoSlice = "[]json.RawMessage";
constexpr std::string_view kGoBytes = "[]uint8";

// What Go calls a value that begins with this byte.
std::string_view Kind(char first) {
  switch (first) {
    case '{':
      return "object";
    case '[':
      return "array";
    case '"':
      return "string";
    case 't':
    case 'f':
      return "bool";
    case 'n':
      return "null";
    default:
      return "number";
  }
}

Status WrongType(std::string_view what, std::string_view go_type) {
  std::string text = "json: cannot unmarshal ";
  text.append(what).append(" into Go value of type ").append(go_type);
  return InvalidArgument(text);
}

// etcdserverpb.RangeRequest_SortOrder
std::string GoEnumName(const EnumDescriptor* type) {
  std::string name;
  for (const Descriptor* outer = type->containing_type(); outer != nullptr;
       outer = outer->containing_type()) {
    name = outer->name() + "_" + name;
  }
  return type->file()->package() + "." + name + type->name();
}

// An integer that is written with a fraction or an exponent (1.0, 25e1), as digits; none if it is no integer.
std::optional<std::string> PlainInteger(std::string_view number) {
  constexpr int kExponentMax = 30;
  const size_t e = number.find_first_of("eE");
  int exponent = 0;
  if (e != std::string_view::npos) {
    std::string_view text = number.substr(e + 1);
    if (text.starts_with('+')) text.remove_prefix(1);
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), exponent);
    if (error != std::errc() || exponent > kExponentMax || exponent < -kExponentMax) return std::nullopt;
  }
  const std::string_view mantissa = number.substr(0, e);
  const size_t point = mantissa.find('.');
  std::string digits(mantissa.substr(0, point));
  if (point != std::string_view::npos) {
    digits += mantissa.substr(point + 1);
    exponent -= static_cast<int>(std::min<size_t>(mantissa.size() - point - 1, 4096));
  }
  for (; exponent < 0; ++exponent) {
    if (digits.empty() || digits.back() != '0') return std::nullopt;
    digits.pop_back();
    if (digits.empty() || digits == "-") digits += '0';
  }
  digits.append(static_cast<size_t>(exponent), '0');
  return digits;
}

template <typename Int>
StatusOr<Int> ParseInt(std::string_view number, std::string_view go_type) {
  Int value = 0;
  const auto parse = [&value](std::string_view text) {
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    return error == std::errc() && end == text.data() + text.size();
  };
  if (number == "-0" || parse(number)) return value;
  if (const auto plain = PlainInteger(number); plain && (*plain == "-0" || parse(*plain))) return value;
  return WrongType("number " + std::string(number), go_type);
}

// Numbers may stand in strings; then what is in the string is read as JSON of its own.
Status NoNumberInString(std::string_view text, std::string_view go_type) {
  JsonValues values(text);
  if (values.AtEnd()) return InvalidArgument("unexpected end of JSON input");
  const auto value = values.Next();
  if (!value.ok()) {
    return quorate::Message(value.status()) == "unexpected EOF"
               ? InvalidArgument("unexpected end of JSON input")
               : value.status();
  }
  if (!values.AtEnd()) {
    return InvalidArgument("invalid character '" + std::string(values.rest().substr(0, 1)) +
                           "' after top-level value");
  }
  return WrongType(Kind(value->front()), go_type);
}

// Reflection gives no string to be changed; but the message is ours, and a text that is not empty its own.
void WipeText(Message* message, const FieldDescriptor* field) {
  std::string unused;
  const std::string& text = message->GetReflection()->GetStringReference(*message, field, &unused);
  if (!text.empty()) Wipe(const_cast<std::string*>(&text));
}

class Decoder {
 public:
  explicit Decoder(std::string_view text) : cursor_(text) {}

  Status Read(Message* message, int depth) {
    if (cursor_.Peek() == 'n') return cursor_.Skip(), absl::OkStatus();
    if (!cursor_.Take('{')) return WrongType(Kind(cursor_.Peek()), kGoMap);
    if (depth > kMessageDepthMax) return InvalidArgument("exceeded max depth of messages");
    while (!cursor_.Take('}')) {
      const std::string name = cursor_.TakeString();
      cursor_.Take(':');
      const FieldDescriptor* field = FindField(message->GetDescriptor(), name);
      if (field == nullptr || cursor_.Peek() == 'n') {
        cursor_.Skip();
      } else if (field->is_repeated()) {
        QUORATE_RETURN_IF_ERROR(ReadRepeated(message, field, depth));
      } else {
        QUORATE_RETURN_IF_ERROR(ReadSingle(message, field, depth));
      }
      cursor_.Take(',');
    }
    return absl::OkStatus();
  }

 private:
  static const FieldDescriptor* FindField(const Descriptor* type, const std::string& name) {
    const FieldDescriptor* field = type->FindFieldByName(name);
    return field != nullptr ? field : type->FindFieldByCamelcaseName(name);
  }

  Status ReadRepeated(Message* message, const FieldDescriptor* field, int depth) {
    message->GetReflection()->ClearField(message, field);
    if (!cursor_.Take('[')) return WrongType(Kind(cursor_.Peek()), kGoSlice);
    while (!cursor_.Take(']')) {
      if (cursor_.Peek() == 'n') return InvalidArgument("null in the list " + field->name());
      QUORATE_RETURN_IF_ERROR(ReadItem(message, field, depth));
      cursor_.Take(',');
    }
    return absl::OkStatus();
  }

  Status ReadItem(Message* message, const FieldDescriptor* field, int depth) {
    const Reflection* r = message->GetReflection();
    switch (field->cpp_type()) {
      case FieldDescriptor::CPPTYPE_MESSAGE:
        return Read(r->AddMessage(message, field), depth + 1);
      case FieldDescriptor::CPPTYPE_STRING: {
        QUORATE_ASSIGN_OR_RETURN(std::string value, ReadText(field));
        r->AddString(message, field, std::move(value));
        return absl::OkStatus();
      }
      case FieldDescriptor::CPPTYPE_ENUM: {
        QUORATE_ASSIGN_OR_RETURN(const int value, ReadEnum(field));
        r->AddEnumValue(message, field, value);
        return absl::OkStatus();
      }
      case FieldDescriptor::CPPTYPE_INT64: {
        QUORATE_ASSIGN_OR_RETURN(const int64_t value, ReadInt<int64_t>("int64"));
        r->AddInt64(message, field, value);
        return absl::OkStatus();
      }
      case FieldDescriptor::CPPTYPE_UINT64: {
        QUORATE_ASSIGN_OR_RETURN(const uint64_t value, ReadInt<uint64_t>("uint64"));
        r->AddUInt64(message, field, value);
        return absl::OkStatus();
      }
      default:
        return Unserved(field);
    }
  }

  Status ReadSingle(Message* message, const FieldDescriptor* field, int depth) {
    const Reflection* r = message->GetReflection();
    switch (field->cpp_type()) {
      case FieldDescriptor::CPPTYPE_MESSAGE:
        r->ClearField(message, field);
        return Read(r->MutableMessage(message, field), depth + 1);
      case FieldDescriptor::CPPTYPE_STRING: {
        QUORATE_ASSIGN_OR_RETURN(std::string value, ReadText(field));
        WipeText(message, field);
        r->SetString(message, field, std::move(value));
        return absl::OkStatus();
      }
      case FieldDescriptor::CPPTYPE_ENUM: {
        QUORATE_ASSIGN_OR_RETURN(const int value, ReadEnum(field));
        r->SetEnumValue(message, field, value);
        return absl::OkStatus();
      }
      case FieldDescriptor::CPPTYPE_INT64: {
        QUORATE_ASSIGN_OR_RETURN(const int64_t value, ReadInt<int64_t>("int64"));
        r->SetInt64(message, field, value);
        return absl::OkStatus();
      }
      case FieldDescriptor::CPPTYPE_UINT64: {
        QUORATE_ASSIGN_OR_RETURN(const uint64_t value, ReadInt<uint64_t>("uint64"));
        r->SetUInt64(message, field, value);
        return absl::OkStatus();
      }
      case FieldDescriptor::CPPTYPE_INT32: {
        QUORATE_ASSIGN_OR_RETURN(const int32_t value, ReadInt<int32_t>("int32"));
        r->SetInt32(message, field, value);
        return absl::OkStatus();
      }
      case FieldDescriptor::CPPTYPE_UINT32: {
        QUORATE_ASSIGN_OR_RETURN(const uint32_t value, ReadInt<uint32_t>("uint32"));
        r->SetUInt32(message, field, value);
        return absl::OkStatus();
      }
      case FieldDescriptor::CPPTYPE_BOOL: {
        QUORATE_ASSIGN_OR_RETURN(const bool value, ReadBool());
        r->SetBool(message, field, value);
        return absl::OkStatus();
      }
      default:
        return Unserved(field);
    }
  }

  // A kind of field that none of etcd's messages has.
  static Status Unserved(const FieldDescriptor* field) {
    return InvalidArgument("the field " + field->full_name() + " can't be given as JSON; use gRPC");
  }

  StatusOr<std::string> ReadText(const FieldDescriptor* field) {
    const bool bytes = field->type() == FieldDescriptor::TYPE_BYTES;
    if (const char first = cursor_.Peek(); first != '"') {
      return WrongType(Kind(first), bytes ? kGoBytes : "string");
    }
    std::string text = cursor_.TakeString();
    return bytes ? ReadBase64(text) : StatusOr<std::string>(std::move(text));
  }

  static StatusOr<std::string> ReadBase64(const std::string& text) {
    std::string value;
    const bool web_safe = text.find_first_of("-_") != std::string::npos;
    // Go skips the ends of lines only, absl every white space.
    const bool blanks = text.find_first_of(" \t\v\f") != std::string::npos;
    if (!blanks &&
        (web_safe ? absl::WebSafeBase64Unescape(text, &value) : absl::Base64Unescape(text, &value)))
      return value;
    const size_t bad = text.find_first_not_of(
        web_safe ? "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_\r\n"
                 : "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/\r\n");
    return InvalidArgument("illegal base64 data at input byte " +
                           std::to_string(bad == std::string::npos ? text.size() : bad));
  }

  StatusOr<int> ReadEnum(const FieldDescriptor* field) {
    const EnumDescriptor* type = field->enum_type();
    if (cursor_.Peek() != '"') return ReadInt<int32_t>(GoEnumName(type));
    const std::string name = cursor_.TakeString();
    const EnumValueDescriptor* value = type->FindValueByName(name);
    if (value != nullptr) return value->number();
    return InvalidArgument("unknown value \"" + name + "\" for enum " + GoEnumName(type));
  }

  template <typename Int>
  StatusOr<Int> ReadInt(std::string_view go_type) {
    const char first = cursor_.Peek();
    if (first == '"') {
      const std::string text = cursor_.TakeString();
      JsonValues values(text);
      const auto inner = values.Next();
      const bool number = inner.ok() && Kind(inner->front()) == "number" && values.AtEnd();
      return number ? ParseInt<Int>(*inner, go_type) : NoNumberInString(text, go_type);
    }
    if (Kind(first) != "number") return WrongType(Kind(first), go_type);
    return ParseInt<Int>(cursor_.TakeScalar(), go_type);
  }

  StatusOr<bool> ReadBool() {
    if (const std::string_view kind = Kind(cursor_.Peek()); kind != "bool") return WrongType(kind, "bool");
    return cursor_.TakeScalar() == "true";
  }

  JsonCursor cursor_;
};

}  // namespace

void WipeTexts(Message* message) {
  const Descriptor* type = message->GetDescriptor();
  for (int i = 0; i < type->field_count(); ++i) {
    const FieldDescriptor* field = type->field(i);
    if (field->type() == FieldDescriptor::TYPE_STRING && !field->is_repeated()) WipeText(message, field);
  }
}

Status DecodeJson(std::string_view well_formed, Message* message) {
  return Decoder(well_formed).Read(message, 1);
}

}  // namespace quorate::gateway
