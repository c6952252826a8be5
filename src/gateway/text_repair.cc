#include "gateway/text_repair.h"

#include <cstddef>
#include <span>
#include <string_view>

#include "base/utf8.h"
#include "base/wire.h"

namespace quorate::gateway {
namespace {

constexpr int kDepthMax = 100;  // As protobuf's parser.

void RepairString(std::span<char> text) {
  for (size_t i = 0; i < text.size();) {
    const size_t length = Utf8Length({text.data() + i, text.size() - i});
    if (length == 0) text[i] = '?';
    i += length == 0 ? 1 : length;
  }
}

void Repair(const google::protobuf::Descriptor& type, std::span<char> message, int depth) {
  using google::protobuf::FieldDescriptor;
  wire::Reader in({message.data(), message.size()});
  while (in.Next()) {
    const FieldDescriptor* const field = type.FindFieldByNumber(static_cast<int>(in.field()));
    if (field == nullptr || in.type() != wire::Type::kBytes) continue;
    const auto begin = static_cast<size_t>(in.bytes().data() - message.data());
    const std::span<char> value = message.subspan(begin, in.bytes().size());
    if (field->type() == FieldDescriptor::TYPE_STRING) RepairString(value);
    if (field->type() == FieldDescriptor::TYPE_MESSAGE && depth < kDepthMax) {
      Repair(*field->message_type(), value, depth + 1);
    }
  }
}

}  // namespace

void RepairText(const google::protobuf::Descriptor& type, std::string* message) { Repair(type, *message, 0); }

}  // namespace quorate::gateway
