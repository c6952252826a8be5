#include "backup/sha256.h"

#include "absl/strings/escaping.h"

namespace quorate::backup {

Sha256::Sha256()
    : context_(EVP_MD_CTX_new(), EVP_MD_CTX_free),
      ok_(context_ != nullptr && EVP_DigestInit_ex(context_.get(), EVP_sha256(), nullptr) == 1) {}

void Sha256::Update(std::string_view bytes) {
  ok_ = ok_ && EVP_DigestUpdate(context_.get(), bytes.data(), bytes.size()) == 1;
}

StatusOr<std::string> Sha256::Finish() {
  std::string digest(32, '\0');
  auto* const out = reinterpret_cast<unsigned char*>(digest.data());
  ok_ = ok_ && EVP_DigestFinal_ex(context_.get(), out, nullptr) == 1;
  if (!ok_) return Internal("the cryptographic library can't compute SHA-256");
  return digest;
}

std::string Hex(std::string_view bytes) {
  return absl::BytesToHexString(absl::string_view(bytes.data(), bytes.size()));
}

}  // namespace quorate::backup
