#include "auth/auth_types.h"

#include "base/wire.h"

namespace quorate::auth {
namespace {

using wire::Type;

std::string EncodePermission(const Permission& permission) {
  std::string out;
  wire::AppendVarintFieldNonZero(out, 1,
                                 static_cast<uint64_t>(int64_t{static_cast<int32_t>(permission.type)}));
  wire::AppendBytesFieldNonEmpty(out, 2, permission.key);
  wire::AppendBytesFieldNonEmpty(out, 3, permission.range_end);
  return out;
}

StatusOr<Permission> DecodePermission(std::string_view bytes) {
  Permission permission;
  wire::Reader in(bytes);
  while (in.Next()) {
    if (in.Is(1, Type::kVarint)) {
      permission.type = static_cast<PermissionType>(static_cast<int32_t>(in.varint()));
    } else if (in.Is(2, Type::kBytes)) {
      permission.key = in.bytes();
    } else if (in.Is(3, Type::kBytes)) {
      permission.range_end = in.bytes();
    }
  }
  if (!in.ok()) return DataLoss("a stored permission is malformed");
  return permission;
}

StatusOr<bool> DecodeNoPassword(std::string_view bytes) {
  bool no_password = false;
  wire::Reader in(bytes);
  while (in.Next()) {
    if (in.Is(1, Type::kVarint)) no_password = in.varint() != 0;
  }
  if (!in.ok()) return DataLoss("stored options of a user are malformed");
  return no_password;
}

}  // namespace

std::string Encode(const User& user) {
  std::string out;
  wire::AppendBytesFieldNonEmpty(out, 1, user.name);
  wire::AppendBytesFieldNonEmpty(out, 2, user.password_hash);
  for (const std::string& role : user.roles) wire::AppendBytesField(out, 3, role);
  if (user.no_password) {
    std::string options;
    wire::AppendVarintFieldNonZero(options, 1, *user.no_password ? 1 : 0);
    wire::AppendBytesField(out, 4, options);
  }
  return out;
}

std::string Encode(const Role& role) {
  std::string out;
  wire::AppendBytesFieldNonEmpty(out, 1, role.name);
  for (const Permission& permission : role.permissions) {
    wire::AppendBytesField(out, 2, EncodePermission(permission));
  }
  return out;
}

StatusOr<User> DecodeUser(std::string_view bytes) {
  User user;
  wire::Reader in(bytes);
  while (in.Next()) {
    if (in.Is(1, Type::kBytes)) {
      user.name = in.bytes();
    } else if (in.Is(2, Type::kBytes)) {
      user.password_hash = in.bytes();
    } else if (in.Is(3, Type::kBytes)) {
      user.roles.emplace_back(in.bytes());
    } else if (in.Is(4, Type::kBytes)) {
      QUORATE_ASSIGN_OR_RETURN(user.no_password, DecodeNoPassword(in.bytes()));
    }
  }
  if (!in.ok()) return DataLoss("a stored user is malformed");
  return user;
}

StatusOr<Role> DecodeRole(std::string_view bytes) {
  Role role;
  wire::Reader in(bytes);
  while (in.Next()) {
    if (in.Is(1, Type::kBytes)) {
      role.name = in.bytes();
    } else if (in.Is(2, Type::kBytes)) {
      QUORATE_ASSIGN_OR_RETURN(Permission permission, DecodePermission(in.bytes()));
      role.permissions.push_back(std::move(permission));
    }
  }
  if (!in.ok()) return DataLoss("a stored role is malformed");
  return role;
}

}  // namespace quorate::auth
