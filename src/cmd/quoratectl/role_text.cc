#include "cmd/quoratectl/role_text.h"

#include <cctype>

#include "cmd/cli/output_format.h"
#include "cmd/session/answer.h"

namespace quorate::cmd {
namespace {

using authpb::Permission;

// An end of one zero byte is no end.
const std::string kOpenEnd(1, '\0');

std::string RangeLine(const Permission& permission) {
  const std::string& key = permission.key();
  const std::string& end = permission.range_end();
  if (end.empty()) return "\t" + key + "\n";
  std::string line = "\t[" + key + ", " + (end == kOpenEnd ? "<open ended>" : end + ")");
  if (client::PrefixEnd(key) == end) line += " (prefix " + key + ")";
  return line + "\n";
}

Status Exclusive() { return InvalidArgument("--from-key and --prefix flags are mutually exclusive"); }

}  // namespace

std::string RoleLines(std::string_view role, const etcdserverpb::AuthRoleGetResponse& response) {
  std::string read;
  std::string write;
  for (const Permission& permission : response.perm()) {
    if (permission.permtype() != Permission::WRITE) read += RangeLine(permission);
    if (permission.permtype() != Permission::READ) write += RangeLine(permission);
  }
  return "Role " + std::string(role) + "\nKV Read:\n" + read + "KV Write:\n" + write;
}

std::string RoleFields(const etcdserverpb::AuthRoleGetResponse& response, bool hex) {
  std::string text = HeaderFields(response.header(), hex);
  for (const Permission& permission : response.perm()) {
    // The second space is etcd's.
    text += FieldLine("PermType", " " + Permission::Type_Name(permission.permtype()));
    text += FieldLine("Key", permission.key(), true) + FieldLine("RangeEnd", permission.range_end(), true);
  }
  return text;
}

StatusOr<client::PermissionType> ParsePermissionType(std::string_view text) {
  std::string name(text);
  for (char& c : name) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  client::PermissionType type;
  if (!Permission::Type_Parse(name, &type)) {
    return InvalidArgument("invalid permission type: " + std::string(text));
  }
  return type;
}

StatusOr<client::KeyRange> PermissionRange(const std::vector<std::string>& values, bool prefix,
                                           bool from_key) {
  const std::string& key = values[0];
  if (key.empty()) {
    if (prefix && from_key) return Exclusive();
    // Permissions know no empty key; with a flag it means all keys.
    return client::KeyRange(kOpenEnd, prefix || from_key ? kOpenEnd : "");
  }
  if (values.size() == 1) {
    if (prefix && from_key) return Exclusive();
    if (prefix) return client::KeyRange(key, client::PrefixEnd(key));
    return client::KeyRange(key, from_key ? kOpenEnd : "");
  }
  if (prefix) return InvalidArgument("unexpected endkey argument with --prefix flag");
  if (from_key) return InvalidArgument("unexpected endkey argument with --from-key flag");
  return client::KeyRange(key, values[1]);
}

}  // namespace quorate::cmd
