#include "cmd/quorate/yaml_json.h"

#include <absl/strings/escaping.h>
#include <yaml-cpp/yaml.h>

#include <charconv>
#include <cmath>
#include <optional>
#include <utility>

#include "cmd/cli/go_syntax.h"

namespace quorate::cmd {
namespace {

using Type = JsonValue::Type;

// A deeper document than any setting needs; yaml-cpp recurses once per level.
constexpr int kNestingMax = 64;
constexpr size_t kFileBytesMax = 1 << 20;
// Aliases multiply: a page of them can stand for more values than memory holds.
constexpr int kValuesMax = 100'000;

constexpr std::string_view kTagPrefix = "tag:yaml.org,2002:";

Status BadYaml(std::string_view reason) {
  return InvalidArgument("error converting YAML to JSON: yaml: " + std::string(reason));
}

Status TooLarge(std::string_view source) {
  return BadYaml(std::string(source) + " is too large or nests too deep for a configuration file");
}

// Brackets and indentation bound how deep a document can nest; checked before the recursive parser sees it.
bool NestsTooDeep(std::string_view text) {
  int depth = 0;
  int column = 0;
  int dashes = 0;
  bool leading = true;
  for (char c : text) {
    if (c == '[' || c == '{') {
      if (++depth > kNestingMax) return true;
    } else if ((c == ']' || c == '}') && depth > 0) {
      --depth;
    }
    if (c == '\n') {
      column = 0;
      dashes = 0;
      leading = true;
      continue;
    }
    if (leading && (c == '-' || c == '?' || c == ':') && ++dashes > kNestingMax) return true;
    if (leading && c == ' ' && ++column > 4 * kNestingMax) return true;
    if (c != ' ' && c != '-' && c != '?' && c != ':') leading = false;
  }
  return false;
}

struct Word {
  std::string_view text;
  std::string_view tag;
  std::string_view value;
};
constexpr Word kWords[] = {
    {"y", "bool", "true"},      {"Y", "bool", "true"},      {"yes", "bool", "true"},
    {"Yes", "bool", "true"},    {"YES", "bool", "true"},    {"true", "bool", "true"},
    {"True", "bool", "true"},   {"TRUE", "bool", "true"},   {"on", "bool", "true"},
    {"On", "bool", "true"},     {"ON", "bool", "true"},     {"n", "bool", "false"},
    {"N", "bool", "false"},     {"no", "bool", "false"},    {"No", "bool", "false"},
    {"NO", "bool", "false"},    {"false", "bool", "false"}, {"False", "bool", "false"},
    {"FALSE", "bool", "false"}, {"off", "bool", "false"},   {"Off", "bool", "false"},
    {"OFF", "bool", "false"},   {"", "null", ""},           {"~", "null", ""},
    {"null", "null", ""},       {"Null", "null", ""},       {"NULL", "null", ""},
    {".nan", "float", "NaN"},   {".NaN", "float", "NaN"},   {".NAN", "float", "NaN"},
    {".inf", "float", "+Inf"},  {".Inf", "float", "+Inf"},  {".INF", "float", "+Inf"},
    {"+.inf", "float", "+Inf"}, {"+.Inf", "float", "+Inf"}, {"+.INF", "float", "+Inf"},
    {"-.inf", "float", "-Inf"}, {"-.Inf", "float", "-Inf"}, {"-.INF", "float", "-Inf"},
};

// A plain scalar: its tag ("bool", "null", "int", "float" or "str") and its value.
struct Resolved {
  std::string_view tag;
  std::string value;
};

size_t SkipDigits(std::string_view text, size_t at) {
  while (at < text.size() && text[at] >= '0' && text[at] <= '9') ++at;
  return at;
}

// [-+]? (.digits | digits[.digits]) [eE [-+]? digits]
bool IsFloat(std::string_view text) {
  size_t at = !text.empty() && (text[0] == '-' || text[0] == '+') ? 1 : 0;
  const size_t whole = at;
  at = SkipDigits(text, at);
  const bool has_whole = at > whole;
  if (at < text.size() && text[at] == '.') {
    const size_t part = ++at;
    at = SkipDigits(text, at);
    if (!has_whole && at == part) return false;
  } else if (!has_whole) {
    return false;
  }
  if (at < text.size() && (text[at] == 'e' || text[at] == 'E')) {
    ++at;
    if (at < text.size() && (text[at] == '-' || text[at] == '+')) ++at;
    const size_t exponent = at;
    at = SkipDigits(text, at);
    if (at == exponent) return false;
  }
  return at == text.size();
}

// encoding/json's text of a float64: the shortest, with an exponent only for very small and very large ones.
std::string FloatText(double value) {
  const double size = std::fabs(value);
  const bool exponent = size != 0 && (size < 1e-6 || size >= 1e21);
  char buffer[64];
  const auto end = std::to_chars(buffer, buffer + sizeof buffer, value,
                                 exponent ? std::chars_format::scientific : std::chars_format::fixed);
  std::string text(buffer, end.ptr);
  if (const size_t zero = text.find("e-0"); zero != std::string::npos) text.erase(zero + 2, 1);
  return text;
}

std::optional<Resolved> ResolveNumber(std::string_view text) {
  std::string plain;
  for (const char c : text) {
    if (c != '_') plain += c;
  }
  if (const auto integer = ParseGoInt(plain); integer.ok()) return Resolved{"int", std::to_string(*integer)};
  if (const auto integer = ParseGoUint(plain); integer.ok()) return Resolved{"int", std::to_string(*integer)};
  if (!IsFloat(plain)) return std::nullopt;
  const std::string_view digits = std::string_view(plain).substr(plain[0] == '+' ? 1 : 0);
  double value = 0;
  const auto end = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (end.ec != std::errc() || end.ptr != digits.data() + digits.size()) return std::nullopt;
  return Resolved{"float", FloatText(value)};
}

Resolved Resolve(std::string_view text) {
  for (const Word& word : kWords) {
    if (word.text == text) return {word.tag, std::string(word.value)};
  }
  const char first = text[0];  // The empty text is a word.
  if ((first >= '0' && first <= '9') || first == '+' || first == '-' || first == '.') {
    if (auto number = ResolveNumber(text)) return *std::move(number);
  }
  return {"str", std::string(text)};
}

StatusOr<JsonValue> ScalarValue(const YAML::Node& node) {
  JsonValue out;
  out.written = node.IsNull() ? "" : node.Scalar();
  out.type = Type::kString;
  out.text = out.written;
  const std::string& tag = node.Tag();
  std::string_view asked;  // The type that an explicit tag asks for.
  if (tag.starts_with(kTagPrefix)) asked = std::string_view(tag).substr(kTagPrefix.size());
  if (asked == "binary") {
    if (!absl::Base64Unescape(out.written, &out.text)) {
      return BadYaml("!!binary value contains invalid base64 data");
    }
    return out;
  }
  const bool plain = node.IsNull() || tag.empty() || tag == "?";
  const bool typed = asked == "bool" || asked == "int" || asked == "float" || asked == "null";
  if (!plain && !typed) return out;
  Resolved resolved = Resolve(out.written);
  if (typed && resolved.tag != asked && !(asked == "float" && resolved.tag == "int")) {
    return BadYaml("cannot decode !!" + std::string(resolved.tag) + " `" + out.written + "` as a !!" +
                   std::string(asked));
  }
  if (resolved.tag == "str") return out;
  if (resolved.value.ends_with("NaN") || resolved.value.ends_with("Inf")) {
    return InvalidArgument("error converting YAML to JSON: json: unsupported value: " + resolved.value);
  }
  out.type = resolved.tag == "null" ? Type::kNull : resolved.tag == "bool" ? Type::kBool : Type::kNumber;
  out.text = std::move(resolved.value);
  return out;
}

class Converter {
 public:
  explicit Converter(std::string_view source) : source_(source) {}

  StatusOr<JsonValue> Convert(const YAML::Node& node) {
    if (++values_ > kValuesMax) return TooLarge(source_);
    if (!node.IsMap() && !node.IsSequence()) return ScalarValue(node);
    QUORATE_RETURN_IF_ERROR(Enter(node));
    JsonValue out;
    if (node.IsMap()) {
      out.type = Type::kObject;
      QUORATE_RETURN_IF_ERROR(AddMembers(node, &out));
    } else {
      out.type = Type::kArray;
      for (const YAML::Node& item : node) {
        QUORATE_ASSIGN_OR_RETURN(JsonValue value, Convert(item));
        out.items.push_back(std::move(value));
      }
    }
    within_.pop_back();
    return out;
  }

 private:
  Status Enter(const YAML::Node& node) {
    for (const YAML::Node& outer : within_) {
      if (outer.is(node)) return BadYaml("anchor value contains itself");
    }
    if (within_.size() >= kNestingMax) return TooLarge(source_);
    within_.push_back(node);
    return absl::OkStatus();
  }

  // In the order of the file: what comes later counts, and a merge key stands at its own place.
  Status AddMembers(const YAML::Node& map, JsonValue* out) {
    for (const auto& pair : map) {
      const bool unquoted = pair.first.Tag() == "?" || pair.first.Tag() == "tag:yaml.org,2002:merge";
      if (pair.first.IsScalar() && unquoted && pair.first.Scalar() == "<<") {
        QUORATE_RETURN_IF_ERROR(Merge(pair.second, out));
        continue;
      }
      QUORATE_ASSIGN_OR_RETURN(std::string key, Key(pair.first));
      QUORATE_ASSIGN_OR_RETURN(JsonValue value, Convert(pair.second));
      out->members.insert_or_assign(std::move(key), std::move(value));
    }
    return absl::OkStatus();
  }

  // The maps of a list count from its end: the first of them wins.
  Status Merge(const YAML::Node& node, JsonValue* out) {
    std::vector<YAML::Node> maps;
    if (node.IsSequence()) {
      for (const YAML::Node& item : node) maps.push_back(item);
    } else {
      maps.push_back(node);
    }
    for (auto it = maps.rbegin(); it != maps.rend(); ++it) {
      const YAML::Node& map = *it;
      if (!map.IsMap()) return BadYaml("map merge requires map or sequence of maps as the value");
      if (++values_ > kValuesMax) return TooLarge(source_);
      QUORATE_RETURN_IF_ERROR(Enter(map));
      QUORATE_RETURN_IF_ERROR(AddMembers(map, out));
      within_.pop_back();
    }
    return absl::OkStatus();
  }

  StatusOr<std::string> Key(const YAML::Node& node) {
    if (++values_ > kValuesMax) return TooLarge(source_);
    if (node.IsMap() || node.IsSequence()) return BadYaml("invalid map key: a map or a list");
    QUORATE_ASSIGN_OR_RETURN(JsonValue key, ScalarValue(node));
    if (key.type == Type::kNull) {
      return InvalidArgument("error converting YAML to JSON: unsupported map key: null");
    }
    return std::move(key.text);
  }

  std::string_view source_;
  int values_ = 0;
  std::vector<YAML::Node> within_;
};

// encoding/json folds letters, and with k and s also the Kelvin sign and the long s.
std::string Folded(std::string_view name) {
  constexpr std::string_view kKelvin = "\u212a";
  constexpr std::string_view kLongS = "\u017f";
  std::string out;
  for (size_t at = 0; at < name.size();) {
    const std::string_view rest = name.substr(at);
    if (rest.starts_with(kKelvin)) {
      out += 'k';
      at += kKelvin.size();
    } else if (rest.starts_with(kLongS)) {
      out += 's';
      at += kLongS.size();
    } else {
      const char c = rest[0];
      out += c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
      ++at;
    }
  }
  return out;
}

}  // namespace

std::string_view JsonValue::TypeName() const {
  switch (type) {
    case Type::kNull:
      return "null";
    case Type::kBool:
      return "bool";
    case Type::kNumber:
      return "number";
    case Type::kString:
      return "string";
    case Type::kArray:
      return "array";
    case Type::kObject:
      return "object";
  }
  return "";
}

StatusOr<JsonValue> YamlToJson(std::string_view text, std::string_view source) {
  if (text.size() > kFileBytesMax || NestsTooDeep(text)) return TooLarge(source);
  // yaml-cpp reports by exception; none leaves this function.
  try {
    return Converter(source).Convert(YAML::Load(std::string(text)));
  } catch (const YAML::Exception& e) {
    const std::string line = e.mark.is_null() ? "" : "line " + std::to_string(e.mark.line + 1) + ": ";
    return BadYaml(line + e.msg);
  }
}

JsonMembers::JsonMembers(const JsonValue& object) {
  for (const auto& [name, value] : object.members) by_name_[Folded(name)].push_back(&value);
}

const std::vector<const JsonValue*>& JsonMembers::Named(std::string_view key) const {
  static const std::vector<const JsonValue*> kNone;
  const auto it = by_name_.find(key);
  return it == by_name_.end() ? kNone : it->second;
}

}  // namespace quorate::cmd
