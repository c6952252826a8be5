#include "cmd/quorate/config_file.h"

#include <yaml-cpp/yaml.h>

#include <cerrno>
#include <fstream>
#include <sstream>
#include <system_error>

#include "cmd/cli/go_syntax.h"

namespace quorate::cmd {
namespace {

// A deeper document than any setting needs; yaml-cpp recurses once per level.
constexpr int kNestingMax = 64;
constexpr size_t kFileBytesMax = 1 << 20;

bool IsQuoted(const YAML::Node& node) { return node.Tag() == "!"; }

// What Go's JSON decoder calls the node.
std::string_view JsonType(const YAML::Node& node) {
  if (node.IsMap()) return "object";
  if (node.IsSequence()) return "array";
  if (IsQuoted(node)) return "string";
  const std::string& text = node.Scalar();
  if (text == "true" || text == "false" || text == "yes" || text == "no" || text == "on" || text == "off") {
    return "bool";
  }
  return ParseGoInt(text).ok() ? "number" : "string";
}

Status WrongType(const YAML::Node& node, std::string_view key, std::string_view go_type) {
  return InvalidArgument("error unmarshaling JSON: while decoding JSON: json: cannot unmarshal " +
                         std::string(JsonType(node)) + " into Go struct field configYAML." +
                         std::string(key) + " of type " + std::string(go_type));
}

StatusOr<std::string> BoolText(const YAML::Node& node, std::string_view key) {
  if (!node.IsScalar() || JsonType(node) != "bool") return WrongType(node, key, "bool");
  const std::string& text = node.Scalar();
  return std::string(text == "true" || text == "yes" || text == "on" ? "true" : "false");
}

std::string_view GoTypeOf(Kind kind) {
  switch (kind) {
    case Kind::kUint:
      return "uint";
    case Kind::kUint32:
      return "uint32";
    case Kind::kInt:
      return "int64";
    case Kind::kDuration:
      return "time.Duration";
    default:
      return "string";
  }
}

StatusOr<std::vector<std::string>> ListOf(const YAML::Node& node, std::string_view key) {
  if (!node.IsSequence()) return WrongType(node, key, "[]string");
  std::vector<std::string> items;
  for (const YAML::Node& item : node) {
    if (!item.IsScalar()) return WrongType(item, key, "string");
    items.push_back(item.Scalar());
  }
  return items;
}

using ListGetter = std::vector<std::string>& (*)(Options&);

bool IsList(const Flag& flag) { return std::holds_alternative<ListGetter>(flag.field); }
std::vector<std::string>& ListField(const Flag& flag, Options& options) {
  return std::get<ListGetter>(flag.field)(options);
}

// Durations are integer nanoseconds here, unlike in flags.
Status SetFromNode(const Flag& flag, const YAML::Node& node, std::string_view key, Options* options) {
  if (node.IsNull()) return absl::OkStatus();
  const bool yaml_list = flag.name == "cipher-suites" || flag.name == "log-outputs";
  if (yaml_list) {
    QUORATE_ASSIGN_OR_RETURN(ListField(flag, *options), ListOf(node, key));
    return absl::OkStatus();
  }
  if (flag.kind == Kind::kBool) {
    QUORATE_ASSIGN_OR_RETURN(const std::string text, BoolText(node, key));
    return SetValue(flag, text, options);
  }
  if (!node.IsScalar()) return WrongType(node, key, GoTypeOf(flag.kind));
  const std::string& text = node.Scalar();
  switch (flag.kind) {
    case Kind::kInt:
    case Kind::kUint:
    case Kind::kUint32:
      if (JsonType(node) != "number" || !SetValue(flag, text, options).ok()) {
        return WrongType(node, key, GoTypeOf(flag.kind));
      }
      return absl::OkStatus();
    case Kind::kDuration: {
      const auto nanos = ParseGoInt(text);
      if (JsonType(node) != "number" || !nanos.ok()) return WrongType(node, key, GoTypeOf(flag.kind));
      std::get<int64_t& (*)(Options&)>(flag.field)(*options) = *nanos;
      return absl::OkStatus();
    }
    case Kind::kUrls:
    case Kind::kOrigins:
    case Kind::kStringSet:
      if (text.empty()) return absl::OkStatus();
      if (const Status s = SetValue(flag, text, options); !s.ok()) {
        return InvalidArgument("unexpected error setting up " + std::string(key) + ": " +
                               std::string(Message(s)));
      }
      return absl::OkStatus();
    default:
      return SetValue(flag, text, options);
  }
}

struct SecurityKey {
  std::string_view key;
  std::string_view client_flag;
  std::string_view peer_flag;
  bool list;
};
constexpr SecurityKey kSecurityKeys[] = {
    {"cert-file", "cert-file", "peer-cert-file", false},
    {"key-file", "key-file", "peer-key-file", false},
    {"client-cert-file", "client-cert-file", "peer-client-cert-file", false},
    {"client-key-file", "client-key-file", "peer-client-key-file", false},
    {"client-cert-auth", "client-cert-auth", "peer-client-cert-auth", false},
    {"trusted-ca-file", "trusted-ca-file", "peer-trusted-ca-file", false},
    {"auto-tls", "auto-tls", "peer-auto-tls", false},
    {"allowed-cn", "", "peer-cert-allowed-cn", true},
    {"allowed-hostname", "client-cert-allowed-hostname", "peer-cert-allowed-hostname", true},
    {"skip-client-san-verification", "", "peer-skip-client-san-verification", false},
};

Status ReadClientNames(const YAML::Node& node, Options* options) {
  if (node.IsScalar()) {
    options->client_tls.allowed_cns = {node.Scalar()};
  } else if (!node.IsNull()) {
    QUORATE_ASSIGN_OR_RETURN(options->client_tls.allowed_cns,
                             ListOf(node, "client-transport-security.allowed-cn"));
  }
  return absl::OkStatus();
}

Status ReadSecurity(const YAML::Node& map, bool peer, Options* options, std::vector<const Flag*>* given) {
  const std::string section = peer ? "peer-transport-security" : "client-transport-security";
  if (map.IsNull()) return absl::OkStatus();
  if (!map.IsMap()) return InvalidArgument("invalid " + section);
  for (const SecurityKey& entry : kSecurityKeys) {
    const YAML::Node node = map[std::string(entry.key)];
    if (!peer && node.IsDefined() && entry.key == "allowed-cn") {
      QUORATE_RETURN_IF_ERROR(ReadClientNames(node, options));  // There is no such flag.
    }
    const Flag* flag = FindFlag(peer ? entry.peer_flag : entry.client_flag);
    if (!node.IsDefined() || flag == nullptr) continue;
    const std::string key = section + "." + std::string(entry.key);
    if (entry.list && node.IsSequence()) {
      QUORATE_ASSIGN_OR_RETURN(ListField(*flag, *options), ListOf(node, key));
    } else if (entry.list && node.IsScalar()) {
      ListField(*flag, *options) = {node.Scalar()};  // One value, as before 3.6.
    } else {
      QUORATE_RETURN_IF_ERROR(SetFromNode(*flag, node, key, options));
    }
    given->push_back(flag);
  }
  return absl::OkStatus();
}

struct NestedKey {
  std::string_view section;
  std::string_view inner;  // A map within the map, or empty.
  std::string_view key;
  std::string_view flag;
};
constexpr NestedKey kNestedKeys[] = {
    {"socket-options", "", "reuse-port", "socket-reuse-port"},
    {"socket-options", "", "reuse-address", "socket-reuse-address"},
    {"discovery-config", "", "token", "discovery-token"},
    {"discovery-config", "client", "endpoints", "discovery-endpoints"},
    {"discovery-config", "client", "dial-timeout", "discovery-dial-timeout"},
    {"discovery-config", "client", "request-timeout", "discovery-request-timeout"},
    {"discovery-config", "client", "keepalive-time", "discovery-keepalive-time"},
    {"discovery-config", "client", "keepalive-timeout", "discovery-keepalive-timeout"},
};

Status ReadNested(const YAML::Node& root, Options* options, std::vector<const Flag*>* given) {
  for (const NestedKey& entry : kNestedKeys) {
    YAML::Node map = root[std::string(entry.section)];
    if (map.IsDefined() && map.IsMap() && !entry.inner.empty()) {
      const YAML::Node inner = map[std::string(entry.inner)];
      map.reset(inner);
    }
    if (!map.IsDefined() || !map.IsMap()) continue;
    const YAML::Node node = map[std::string(entry.key)];
    const Flag* flag = FindFlag(entry.flag);
    if (!node.IsDefined() || flag == nullptr) continue;
    const std::string key = std::string(entry.section) + "." + std::string(entry.key);
    if (node.IsSequence() && IsList(*flag)) {
      QUORATE_ASSIGN_OR_RETURN(ListField(*flag, *options), ListOf(node, key));
    } else {
      QUORATE_RETURN_IF_ERROR(SetFromNode(*flag, node, key, options));
    }
    given->push_back(flag);
  }
  return absl::OkStatus();
}

Status ReadRoot(const YAML::Node& root, Options* options, std::vector<const Flag*>* given) {
  if (root.IsNull()) return absl::OkStatus();
  if (!root.IsMap()) {
    return InvalidArgument("error unmarshaling JSON: while decoding JSON: json: cannot unmarshal " +
                           std::string(JsonType(root)) + " into Go value of type embed.configYAML");
  }
  // Older spellings first, so that the current one wins when a file has both.
  for (const bool older : {true, false}) {
    for (const Flag& flag : FlagTable()) {
      const std::string key(flag.yaml_key.empty() ? flag.name : flag.yaml_key);
      if (flag.yaml_key == "-" || flag.replaced_by.empty() == older) continue;
      const YAML::Node node = root[key];
      if (!node.IsDefined()) continue;
      QUORATE_RETURN_IF_ERROR(SetFromNode(flag, node, key, options));
      given->push_back(&flag);
    }
  }
  for (const bool peer : {false, true}) {
    const YAML::Node map = root[peer ? "peer-transport-security" : "client-transport-security"];
    if (map.IsDefined()) QUORATE_RETURN_IF_ERROR(ReadSecurity(map, peer, options, given));
  }
  return ReadNested(root, options, given);
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

// The text of an errno as Go prints it: strerror without its capital.
std::string GoErrno(int error) {
  std::string text = std::generic_category().message(error);
  if (!text.empty() && text[0] >= 'A' && text[0] <= 'Z') text[0] = static_cast<char>(text[0] + 32);
  return text;
}

}  // namespace

Status ReadConfigText(std::string_view text, std::string_view source, Options* options,
                      std::vector<const Flag*>* given) {
  if (text.size() > kFileBytesMax || NestsTooDeep(text)) {
    return InvalidArgument("error converting YAML to JSON: yaml: " + std::string(source) +
                           " is too large or nests too deep for a configuration file");
  }
  // yaml-cpp reports by exception; none leaves this function.
  try {
    return ReadRoot(YAML::Load(std::string(text)), options, given);
  } catch (const YAML::Exception& e) {
    const std::string line = e.mark.is_null() ? "" : "line " + std::to_string(e.mark.line + 1) + ": ";
    return InvalidArgument("error converting YAML to JSON: yaml: " + line + e.msg);
  }
}

Status ReadConfigFile(const std::string& path, Options* options, std::vector<const Flag*>* given) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return NotFound("open " + path + ": " + GoErrno(errno));
  std::ostringstream text;
  text << file.rdbuf();
  if (file.bad()) return Unknown("read " + path + ": " + GoErrno(errno));
  return ReadConfigText(text.str(), path, options, given);
}

}  // namespace quorate::cmd
