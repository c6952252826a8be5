#include "cmd/quorate/config_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

#include "cmd/cli/go_syntax.h"
#include "cmd/quorate/yaml_json.h"

namespace quorate::cmd {
namespace {

using Type = JsonValue::Type;

// Enough for the parser to see that the file is too large.
constexpr size_t kReadBytesMax = (1 << 20) + 1;

// Where a value stands, as Go's decoder says it: the struct of its field, and the keys that lead to it.
struct Place {
  std::string_view go_struct;
  std::string path;
};

// Of numbers, Go says which one only where it wanted another number.
Status WrongType(const JsonValue& value, const Place& place, std::string_view go_type) {
  std::string got(value.TypeName());
  const bool number_wanted = go_type.find("int") != std::string_view::npos || go_type == "time.Duration";
  if (value.type == Type::kNumber && number_wanted) got += " " + value.text;
  return InvalidArgument("error unmarshaling JSON: while decoding JSON: json: cannot unmarshal " + got +
                         " into Go struct field " + std::string(place.go_struct) + "." + place.path +
                         " of type " + std::string(go_type));
}

bool IsScalar(const JsonValue& value) {
  return value.type == Type::kString || value.type == Type::kNumber || value.type == Type::kBool;
}

// More lenient than etcd, which wants a number or a boolean quoted where a text is expected: it is taken as
// written.
const std::string& TextOf(const JsonValue& value) {
  return value.type == Type::kString ? value.text : value.written;
}

std::string_view GoTypeOf(Kind kind) {
  switch (kind) {
    case Kind::kBool:
      return "bool";
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

StatusOr<std::vector<std::string>> ListOf(const JsonValue& value, const Place& place) {
  if (value.type != Type::kArray) return WrongType(value, place, "[]string");
  std::vector<std::string> items;
  for (const JsonValue& item : value.items) {
    if (!IsScalar(item)) return WrongType(item, place, "string");
    items.push_back(TextOf(item));
  }
  return items;
}

using ListGetter = std::vector<std::string>& (*)(Options&);

bool IsList(const Flag& flag) { return std::holds_alternative<ListGetter>(flag.field); }
std::vector<std::string>& ListField(const Flag& flag, Options& options) {
  return std::get<ListGetter>(flag.field)(options);
}

// Durations are integer nanoseconds here, unlike in flags. Null leaves what is there, as in Go.
Status SetFromValue(const Flag& flag, const JsonValue& value, const Place& place, Options* options) {
  if (value.type == Type::kNull) return absl::OkStatus();
  const bool yaml_list = flag.name == "cipher-suites" || flag.name == "log-outputs";
  if (yaml_list) {
    QUORATE_ASSIGN_OR_RETURN(ListField(flag, *options), ListOf(value, place));
    return absl::OkStatus();
  }
  const Status wrong = WrongType(value, place, GoTypeOf(flag.kind));
  if (!IsScalar(value)) return wrong;
  const std::string& text = TextOf(value);
  switch (flag.kind) {
    case Kind::kBool:
      return value.type == Type::kBool ? SetValue(flag, value.text, options) : wrong;
    case Kind::kInt:
    case Kind::kUint:
    case Kind::kUint32:
      if (value.type != Type::kNumber || !SetValue(flag, value.text, options).ok()) return wrong;
      return absl::OkStatus();
    case Kind::kDuration: {
      const auto nanos = ParseGoInt(value.text);
      if (value.type != Type::kNumber || !nanos.ok()) return wrong;
      std::get<int64_t& (*)(Options&)>(flag.field)(*options) = *nanos;
      return absl::OkStatus();
    }
    case Kind::kUrls:
    case Kind::kOrigins:
    case Kind::kStringSet:
      if (text.empty()) return absl::OkStatus();
      if (const Status s = SetValue(flag, text, options); !s.ok()) {
        return InvalidArgument("unexpected error setting up " + place.path + ": " + std::string(Message(s)));
      }
      return absl::OkStatus();
    default:
      return SetValue(flag, text, options);
  }
}

// A map that stands for one of Go's structs; null counts as empty.
Status CheckStruct(const JsonValue& value, const Place& place, std::string_view go_type) {
  if (value.type == Type::kObject || value.type == Type::kNull) return absl::OkStatus();
  return WrongType(value, place, go_type);
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

Status SetSecurityValue(const SecurityKey& entry, const JsonValue& value, bool peer, const Place& place,
                        Options* options, std::vector<const Flag*>* given) {
  const bool client_names = !peer && entry.key == "allowed-cn";  // There is no such flag.
  const Flag* flag = FindFlag(peer ? entry.peer_flag : entry.client_flag);
  if (flag == nullptr && !client_names) return absl::OkStatus();
  if (entry.list && value.type != Type::kNull) {
    std::vector<std::string>& names =
        client_names ? options->client_tls.allowed_cns : ListField(*flag, *options);
    if (IsScalar(value)) {
      names = {TextOf(value)};  // One value, as before 3.6.
    } else {
      QUORATE_ASSIGN_OR_RETURN(names, ListOf(value, place));
    }
  } else if (!client_names) {
    QUORATE_RETURN_IF_ERROR(SetFromValue(*flag, value, place, options));
  }
  if (flag != nullptr) given->push_back(flag);
  return absl::OkStatus();
}

Status ReadSecurity(const JsonValue& map, bool peer, Options* options, std::vector<const Flag*>* given) {
  const std::string section = peer ? "peer-transport-security" : "client-transport-security";
  QUORATE_RETURN_IF_ERROR(CheckStruct(map, {"configYAML", section}, "embed.securityConfig"));
  const JsonMembers members(map);
  for (const SecurityKey& entry : kSecurityKeys) {
    const Place place{"securityConfig", section + "." + std::string(entry.key)};
    for (const JsonValue* value : members.Named(entry.key)) {
      QUORATE_RETURN_IF_ERROR(SetSecurityValue(entry, *value, peer, place, options, given));
    }
  }
  return absl::OkStatus();
}

struct NestedKey {
  std::string_view section;
  std::string_view inner;  // A map within the map, or empty.
  std::string_view key;
  std::string_view flag;
  std::string_view go_struct;  // For errors.
};
constexpr NestedKey kNestedKeys[] = {
    {"socket-options", "", "reuse-port", "socket-reuse-port", "SocketOpts"},
    {"socket-options", "", "reuse-address", "socket-reuse-address", "SocketOpts"},
    {"discovery-config", "", "token", "discovery-token", "DiscoveryConfig"},
    {"discovery-config", "client", "endpoints", "discovery-endpoints", "ConfigSpec"},
    {"discovery-config", "client", "dial-timeout", "discovery-dial-timeout", "ConfigSpec"},
    {"discovery-config", "client", "request-timeout", "discovery-request-timeout", "ConfigSpec"},
    {"discovery-config", "client", "keepalive-time", "discovery-keepalive-time", "ConfigSpec"},
    {"discovery-config", "client", "keepalive-timeout", "discovery-keepalive-timeout", "ConfigSpec"},
};

// The maps that hold an entry's key: its section, or each map of the right name within it.
StatusOr<std::vector<const JsonValue*>> MapsOf(const NestedKey& entry, const JsonMembers& root) {
  const bool discovery = entry.section == "discovery-config";
  const std::string section(entry.section);
  std::vector<const JsonValue*> maps;
  for (const JsonValue* outer : root.Named(entry.section)) {
    QUORATE_RETURN_IF_ERROR(CheckStruct(*outer, {"configYAML", section},
                                        discovery ? "v3discovery.DiscoveryConfig" : "transport.SocketOpts"));
    if (entry.inner.empty()) {
      maps.push_back(outer);
      continue;
    }
    const JsonMembers members(*outer);
    for (const JsonValue* inner : members.Named(entry.inner)) {
      const Place place{"DiscoveryConfig", section + "." + std::string(entry.inner)};
      QUORATE_RETURN_IF_ERROR(CheckStruct(*inner, place, "clientv3.ConfigSpec"));
      maps.push_back(inner);
    }
  }
  return maps;
}

Status ReadNested(const JsonMembers& root, Options* options, std::vector<const Flag*>* given) {
  for (const NestedKey& entry : kNestedKeys) {
    const Flag* flag = FindFlag(entry.flag);
    if (flag == nullptr) continue;
    std::string path = std::string(entry.section) + ".";
    if (!entry.inner.empty()) path += std::string(entry.inner) + ".";
    const Place place{entry.go_struct, path + std::string(entry.key)};
    QUORATE_ASSIGN_OR_RETURN(const std::vector<const JsonValue*> maps, MapsOf(entry, root));
    for (const JsonValue* map : maps) {
      const JsonMembers members(*map);
      for (const JsonValue* value : members.Named(entry.key)) {
        if (value->type == Type::kArray && IsList(*flag)) {
          QUORATE_ASSIGN_OR_RETURN(ListField(*flag, *options), ListOf(*value, place));
        } else {
          QUORATE_RETURN_IF_ERROR(SetFromValue(*flag, *value, place, options));
        }
        given->push_back(flag);
      }
    }
  }
  return absl::OkStatus();
}

Status ReadRoot(const JsonValue& root, Options* options, std::vector<const Flag*>* given) {
  if (root.type == Type::kNull) return absl::OkStatus();
  if (root.type != Type::kObject) {
    return InvalidArgument("error unmarshaling JSON: while decoding JSON: json: cannot unmarshal " +
                           std::string(root.TypeName()) + " into Go value of type embed.configYAML");
  }
  const JsonMembers members(root);
  // Older spellings first, so that the current one wins when a file has both.
  for (const bool older : {true, false}) {
    for (const Flag& flag : FlagTable()) {
      const std::string key(flag.yaml_key.empty() ? flag.name : flag.yaml_key);
      if (flag.yaml_key == "-" || flag.replaced_by.empty() == older) continue;
      for (const JsonValue* value : members.Named(key)) {
        QUORATE_RETURN_IF_ERROR(SetFromValue(flag, *value, {"configYAML", key}, options));
        given->push_back(&flag);
      }
    }
  }
  for (const bool peer : {false, true}) {
    for (const JsonValue* map :
         members.Named(peer ? "peer-transport-security" : "client-transport-security")) {
      QUORATE_RETURN_IF_ERROR(ReadSecurity(*map, peer, options, given));
    }
  }
  return ReadNested(members, options, given);
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
  QUORATE_ASSIGN_OR_RETURN(const JsonValue root, YamlToJson(text, source));
  return ReadRoot(root, options, given);
}

Status ReadConfigFile(const std::string& path, Options* options, std::vector<const Flag*>* given) {
  const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) return NotFound("open " + path + ": " + GoErrno(errno));
  std::string text;
  char buffer[16384];
  ssize_t count = 0;
  while (text.size() < kReadBytesMax) {
    count = read(file, buffer, sizeof buffer);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) break;
    text.append(buffer, static_cast<size_t>(count));
  }
  const int error = errno;
  close(file);
  if (count < 0) return Unknown("read " + path + ": " + GoErrno(error));
  return ReadConfigText(text, path, options, given);
}

}  // namespace quorate::cmd
