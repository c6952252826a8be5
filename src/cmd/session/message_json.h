// Answers in JSON as Go's encoding/json writes the structs that protoc makes of etcd's messages, which is
// what -w json prints: fields by their names in the .proto file, numbers as numbers, enums too, bytes in
// base64, zero values left out; a oneof is an object in an object, both named in Go's way
// ({"Response":{"ResponsePut":{}}}). Pure functions.
#pragma once

#include <google/protobuf/message.h>

#include <concepts>
#include <string>
#include <string_view>
#include <vector>

namespace quorate::cmd {

std::string MessageJson(const google::protobuf::Message& message);
std::string JsonText(std::string_view text);
// In base64.
std::string JsonBytes(std::string_view bytes);
std::string JsonTexts(const std::vector<std::string>& texts);

// An object piece by piece.
class JsonObject {
 public:
  // `json` is a value.
  JsonObject& Add(std::string_view name, std::string_view json);
  JsonObject& AddString(std::string_view name, std::string_view text) { return Add(name, JsonText(text)); }
  JsonObject& AddNumber(std::string_view name, std::integral auto number) {
    return Add(name, std::to_string(number));
  }
  JsonObject& AddBool(std::string_view name, bool value) { return Add(name, value ? "true" : "false"); }
  // Those of an embedded struct.
  JsonObject& AddFields(const google::protobuf::Message& message);
  std::string Text() const { return "{" + members_ + "}"; }

 private:
  std::string members_;
};

}  // namespace quorate::cmd
