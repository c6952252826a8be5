// YAML as the JSON document that etcd makes of it before it decodes its configuration file. Sources: the
// rules of https://pkg.go.dev/gopkg.in/yaml.v2 (YAML 1.1: merge keys, "yes" and "on" as booleans, the last of
// equal keys counts), https://pkg.go.dev/sigs.k8s.io/yaml and https://pkg.go.dev/encoding/json. Pure
// functions.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace quorate::cmd {

struct JsonValue {
  enum class Type { kNull, kBool, kNumber, kString, kArray, kObject };

  Type type = Type::kNull;
  std::string text;     // kBool: "true" or "false". kNumber: as Go writes it ("4" for 4.0). kString: itself.
  std::string written;  // A scalar as it stands in the file.
  std::vector<JsonValue> items;
  std::map<std::string, JsonValue> members;  // By bytes, which is the order in which Go's decoder meets them.

  // What Go's JSON decoder calls such a value in its errors.
  std::string_view TypeName() const;
};

// The first document of the text; kNull for an empty one. `source` names the text in errors, which are etcd's
// ("error converting YAML to JSON: ...") where it has one.
StatusOr<JsonValue> YamlToJson(std::string_view text, std::string_view source);

// The members of an object by name, in any case, as Go's decoder finds the field of a key. Borrows the
// object.
class JsonMembers {
 public:
  explicit JsonMembers(const JsonValue& object);
  // All whose name folds to `key` (which is in lower case), in order; each is to set the field anew.
  const std::vector<const JsonValue*>& Named(std::string_view key) const;

 private:
  std::map<std::string, std::vector<const JsonValue*>, std::less<>> by_name_;
};

}  // namespace quorate::cmd
