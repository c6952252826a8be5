// Passwords: bcrypt as Go's golang.org/x/crypto/bcrypt stores it, "$2a$COST$" and 53 characters of salt and
// hash. Thread-safe. Slow on purpose: at cost 10 some 50 ms, doubling with each step.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/status.h"

namespace quorate::auth {

constexpr int kBcryptCostMin = 4;
constexpr int kBcryptCostMax = 31;
constexpr int kBcryptCostDefault = 10;

using Salt = std::array<char, 16>;

// Bytes beyond the 72nd do not count (bcrypt). A password with a zero byte is InvalidArgument.
StatusOr<std::string> HashPassword(std::string_view password, int cost, const Salt& salt);
// False too for a hash that is none.
bool VerifyPassword(const std::string& hash, std::string_view password);
// A hash of no password, as slow to verify as the others of that cost: so that the time an answer takes does
// not tell whether there is such a user.
std::string HashOfNobody(int cost);

}  // namespace quorate::auth
