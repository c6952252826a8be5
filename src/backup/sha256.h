// The digest of files that snapshots end with.
#pragma once

#include <openssl/evp.h>

#include <memory>
#include <string>
#include <string_view>

#include "base/status.h"

namespace quorate::backup {

// One stream of bytes. One thread at a time.
class Sha256 {
 public:
  Sha256();

  void Update(std::string_view bytes);
  // 32 bytes; once. Internal when the cryptographic library can't.
  StatusOr<std::string> Finish();

 private:
  std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context_;
  bool ok_;
};

// Lower case.
std::string Hex(std::string_view bytes);

}  // namespace quorate::backup
