#include "auth/password.h"

#include <crypt.h>

#include <memory>

#include "base/wipe.h"

namespace quorate::auth {
namespace {

// libxcrypt's $2b$ computes what Go computes for $2a$; its own $2a$ differs for some passwords, on purpose,
// to be safe from a bug of old hashes that Go never had.
constexpr std::string_view kComputedPrefix = "$2b$";
constexpr std::string_view kStoredPrefix = "$2a$";
constexpr size_t kPasswordBytesMax = 72;
constexpr size_t kHashBytes = 60;
constexpr size_t kDigestBytes = 31;  // The last characters: the hash without cost and salt.
constexpr size_t kSaltEnd = kHashBytes - kDigestBytes;

// Empty on failure.
std::string Compute(std::string_view password, const std::string& setting) {
  const auto scratch = std::make_unique<crypt_data>();
  Secret phrase(password.substr(0, kPasswordBytesMax));  // The library refuses longer ones.
  const char* result = ::crypt_r(phrase.mutable_bytes()->c_str(), setting.c_str(), scratch.get());
  std::string hash = result == nullptr ? "" : result;
  Wipe(scratch.get(), sizeof *scratch);
  return hash.size() == kHashBytes ? hash : "";
}

// The setting (prefix, cost, salt) to recompute a stored hash with; empty when it is none.
std::string SettingOf(const std::string& hash) {
  // "$2$" of the first bcrypt, or "$2x$" with a letter: Go takes them all for the same.
  const size_t prefix = hash.starts_with("$2$") ? 3 : 4;
  if (!hash.starts_with("$2") || hash.size() != kHashBytes - 4 + prefix || hash[prefix - 1] != '$') return "";
  const std::string setting = std::string(kComputedPrefix) + hash.substr(prefix, kSaltEnd - 4);
  const auto digit = [](char c) { return c >= '0' && c <= '9'; };
  if (!digit(setting[4]) || !digit(setting[5]) || setting[6] != '$') return "";
  const int cost = (setting[4] - '0') * 10 + (setting[5] - '0');
  return cost < kBcryptCostMin || cost > kBcryptCostMax ? "" : setting;
}

}  // namespace

StatusOr<std::string> HashPassword(std::string_view password, int cost, const Salt& salt) {
  if (password.find('\0') != std::string_view::npos) {
    return InvalidArgument("a password cannot contain a zero byte; choose another");
  }
  char setting[CRYPT_GENSALT_OUTPUT_SIZE];
  if (cost < kBcryptCostMin || cost > kBcryptCostMax ||
      ::crypt_gensalt_rn(kComputedPrefix.data(), static_cast<unsigned long>(cost), salt.data(),
                         static_cast<int>(salt.size()), setting, sizeof setting) == nullptr) {
    return InvalidArgument("bcrypt cost " + std::to_string(cost) + " is not within " +
                           std::to_string(kBcryptCostMin) + " and " + std::to_string(kBcryptCostMax));
  }
  const std::string hash = Compute(password, setting);
  if (hash.empty()) return Internal("bcrypt failed; the crypt library of this system lacks it");
  return std::string(kStoredPrefix) + hash.substr(kComputedPrefix.size());
}

bool VerifyPassword(const std::string& hash, std::string_view password) {
  const std::string setting = SettingOf(hash);
  if (setting.empty() || password.find('\0') != std::string_view::npos) return false;
  const std::string computed = Compute(password, setting);
  if (computed.empty()) return false;
  // Without an early end, so that the time taken tells nothing of where they differ.
  unsigned difference = 0;
  for (size_t i = 1; i <= kDigestBytes; ++i) {
    difference |= static_cast<unsigned>(computed[computed.size() - i] ^ hash[hash.size() - i]);
  }
  return difference == 0;
}

std::string HashOfNobody(int cost) {
  const std::string digits = (cost < 10 ? "0" : "") + std::to_string(cost);
  return std::string(kStoredPrefix) + digits + "$" + std::string(kHashBytes - kStoredPrefix.size() - 3, '.');
}

}  // namespace quorate::auth
