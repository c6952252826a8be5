// A protobuf message of which nothing is known, as an outline: fields by number; what looks like text is
// text, what reads as a message is one. Pure functions; any input is safe.
#pragma once

#include <optional>
#include <string_view>

#include "cmd/decode/outline.h"

namespace quorate::cmd {

// How deep messages in messages are looked into, and how many fields of all are shown.
inline constexpr int kWireDepthMax = 24;
inline constexpr size_t kWireFieldsMax = 20'000;

// Adds the fields to `out`. False: the bytes are no message; then `out` holds a part of it.
bool AddWireFields(std::string_view message, Outline* out);

// One value of wire type "bytes" under a name.
Outline BytesOutline(std::string name, std::string_view bytes);

}  // namespace quorate::cmd
