// Protobuf messages from JSON, as the original's gateway reads them (golang/protobuf's jsonpb and protojson):
// both names of a field, 64-bit numbers as numbers or strings, enums by name or number, bytes in either
// base64 alphabet with or without padding; null leaves a field unset, unknown fields are ignored, of two
// values for a field the last one counts. Error texts are those of Go's encoding/json. Pure.
#pragma once

#include <google/protobuf/message.h>

#include <string_view>

#include "base/status.h"

namespace quorate::gateway {

// Messages within messages, as deep as the services read them from the wire.
constexpr int kMessageDepthMax = 100;

// `well_formed` is one value from JsonValues::Next(). Adds to `message`.
Status DecodeJson(std::string_view well_formed, google::protobuf::Message* message);
// Overwrites the texts of the message itself, which may be passwords; it is of no use after that.
void WipeTexts(google::protobuf::Message* message);

}  // namespace quorate::gateway
