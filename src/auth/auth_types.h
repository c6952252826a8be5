// Users, roles and permissions, and their stored form: authpb.User and authpb.Role of etcd's buckets
// authUsers and authRoles (formats: User{name=1,password=2,roles=3,options=4{no_password=1}},
// Role{name=1,keyPermission=2}, Permission{permType=1,key=2,range_end=3}).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace quorate::auth {

// Frozen. Other values may be stored, by clients that send them, and grant nothing.
enum class PermissionType : int32_t { kRead = 0, kWrite = 1, kReadWrite = 2 };

// On one key when range_end is empty; on all keys from `key` when it is one zero byte; else on [key,
// range_end).
struct Permission {
  PermissionType type = PermissionType::kRead;
  std::string key;
  std::string range_end;
  bool operator==(const Permission&) const = default;
};

struct Role {
  std::string name;
  std::vector<Permission> permissions;  // Sorted by key.
  bool operator==(const Role&) const = default;
};

struct User {
  std::string name;
  std::string password_hash;       // bcrypt, "$2a$..."; empty for a user without a password.
  std::vector<std::string> roles;  // Sorted.
  // Absent in users made before options were stored, and kept so: an absent message and an empty one differ
  // in bytes.
  std::optional<bool> no_password;
  bool operator==(const User&) const = default;
};

std::string Encode(const User& user);
std::string Encode(const Role& role);
// Unknown fields are ignored; DataLoss on malformed bytes.
StatusOr<User> DecodeUser(std::string_view bytes);
StatusOr<Role> DecodeRole(std::string_view bytes);

}  // namespace quorate::auth
