// Protobuf messages as the JSON that the original's gateway writes (golang/protobuf's jsonpb): fields in the
// order of their declaration under their own names, without zero values; 64-bit integers as strings, bytes as
// base64, enums by name; strings escaped as Go does. Pure; any thread.
#pragma once

#include <google/protobuf/message.h>

#include <string>

namespace quorate::gateway {

// The message has no floating-point fields (etcd's have none).
void AppendJson(std::string& out, const google::protobuf::Message& message);

}  // namespace quorate::gateway
