// The values of --write-out (-w).
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace quorate::cmd {

enum class OutputFormat { kSimple, kFields, kJson, kProtobuf, kTable };

// "simple", "fields", "json", "protobuf", "table"; nothing for all else.
std::optional<OutputFormat> ParseOutputFormat(std::string_view text);

// etcd's text for a format that no command has, with the near ones; the exit code is kBadFeature.
std::string UnsupportedFormatText(std::string_view text);

// One line of -w fields: "NAME" : VALUE. Strings are quoted as Go's %q does where `quote` is set.
std::string FieldLine(std::string_view name, std::string_view value, bool quote = false);
std::string FieldLine(std::string_view name, int64_t value);
std::string FieldLine(std::string_view name, uint64_t value);

}  // namespace quorate::cmd
