#include "cmd/cli/output_format.h"

#include "cmd/cli/go_syntax.h"
#include "cmd/cli/near_names.h"

namespace quorate::cmd {
namespace {

struct NamedFormat {
  std::string_view name;
  OutputFormat format;
};
constexpr NamedFormat kFormats[] = {{"fields", OutputFormat::kFields},
                                    {"json", OutputFormat::kJson},
                                    {"protobuf", OutputFormat::kProtobuf},
                                    {"simple", OutputFormat::kSimple},
                                    {"table", OutputFormat::kTable}};

}  // namespace

std::optional<OutputFormat> ParseOutputFormat(std::string_view text) {
  for (const NamedFormat& known : kFormats) {
    if (known.name == text) return known.format;
  }
  return std::nullopt;
}

std::string UnsupportedFormatText(std::string_view text) {
  std::vector<std::string> names;
  for (const NamedFormat& known : kFormats) names.emplace_back(known.name);
  return "unsupported output format" + DidYouMean(NearNames(text, names));
}

std::string FieldLine(std::string_view name, std::string_view value, bool quote) {
  return "\"" + std::string(name) + "\" : " + (quote ? GoQuote(value) : std::string(value)) + "\n";
}
std::string FieldLine(std::string_view name, int64_t value) { return FieldLine(name, std::to_string(value)); }
std::string FieldLine(std::string_view name, uint64_t value) {
  return FieldLine(name, std::to_string(value));
}

}  // namespace quorate::cmd
