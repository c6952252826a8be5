#include "cmd/quorate/serve_auth.h"

#include <openssl/crypto.h>

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/strings/str_split.h"
#include "base/logging.h"

namespace quorate::cmd {
namespace {

constexpr std::string_view kSignMethod = "sign-method";
constexpr std::string_view kPublicKey = "pub-key";
constexpr std::string_view kPrivateKey = "priv-key";
constexpr std::string_view kTtl = "ttl";

using Parts = std::map<std::string, std::string, std::less<>>;

Status InFlag(const Status& status) {
  return MakeStatus(status.code(), "--auth-token: " + std::string(Message(status)));
}

// "type,name=value,...", as the original takes it apart.
StatusOr<Parts> TakeApart(const std::string& text, std::string* type) {
  const std::vector<std::string> pieces = absl::StrSplit(text, ',');
  *type = pieces.front();
  Parts parts;
  for (size_t i = 1; i < pieces.size(); ++i) {
    const std::vector<std::string> pair = absl::StrSplit(pieces[i], '=');
    if (pair.size() != 2) {
      return auth::ErrInvalidAuthOpts("\"" + pieces[i] +
                                      "\" is not name=value; commas and equal signs can't be part of either");
    }
    if (!parts.emplace(pair[0], pair[1]).second) {
      return auth::ErrInvalidAuthOpts(pair[0] + "= is given twice; leave one out");
    }
  }
  return parts;
}

StatusOr<std::string> ReadKey(const Parts& parts, std::string_view name, FileSystem* files) {
  const auto file = parts.find(name);
  if (file == parts.end() || file->second.empty()) return std::string();
  auto bytes = files->ReadAll(file->second);
  if (bytes.ok()) return bytes;
  return auth::ErrInvalidAuthOpts(std::string(name) + "=: " + std::string(Message(bytes.status())));
}

StatusOr<std::shared_ptr<const auth::Jwt>> ReadJwt(const Parts& parts, FileSystem* files) {
  auth::JwtOptions options;
  std::vector<std::string> unknown;
  for (const auto& [name, value] : parts) {
    if (name != kSignMethod && name != kPublicKey && name != kPrivateKey && name != kTtl) {
      unknown.push_back(name);
    }
  }
  if (!unknown.empty()) LOG_WARN("unknown JWT options", {"keys", unknown});
  if (const auto ttl = parts.find(kTtl); ttl != parts.end() && !ttl->second.empty()) {
    const auto nanos = ParseGoDuration(ttl->second);
    if (!nanos.ok()) return auth::ErrInvalidAuthOpts("ttl=: " + std::string(Message(nanos.status())));
    options.ttl_nanos = *nanos;
  }
  QUORATE_ASSIGN_OR_RETURN(options.public_key, ReadKey(parts, kPublicKey, files));
  QUORATE_ASSIGN_OR_RETURN(options.private_key, ReadKey(parts, kPrivateKey, files));
  if (const auto method = parts.find(kSignMethod); method != parts.end())
    options.sign_method = method->second;
  auto jwt = auth::Jwt::Make(options);
  OPENSSL_cleanse(options.private_key.data(), options.private_key.size());
  return jwt;
}

}  // namespace

StatusOr<auth::AuthOptions> ReadAuthOptions(const Options& options, FileSystem* files) {
  auth::AuthOptions out;
  out.bcrypt_cost = static_cast<int>(options.bcrypt_cost);
  out.token_ttl_nanos = static_cast<int64_t>(options.auth_token_ttl_seconds) * 1'000'000'000;
  std::string type;
  const auto parts = TakeApart(options.auth_token, &type);
  if (!parts.ok()) return InFlag(parts.status());
  if (type == "simple") {
    LOG_WARN("simple token is not cryptographically signed");
  } else if (type == "jwt") {
    out.tokens = auth::TokenKind::kJwt;
    auto jwt = ReadJwt(*parts, files);
    if (!jwt.ok()) return InFlag(jwt.status());
    out.jwt = *std::move(jwt);
  } else if (type.empty()) {
    out.tokens = auth::TokenKind::kNone;
  } else {
    return InFlag(auth::ErrInvalidAuthOpts("unknown token type \"" + type + "\"; give simple or jwt,..."));
  }
  return out;
}

}  // namespace quorate::cmd
