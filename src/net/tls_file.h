// A file of certificates or keys as it was last read, and whether it has changed since.
#pragma once

#include <sys/stat.h>

#include <array>
#include <string>

#include "base/status.h"

namespace quorate::net {

// Of one owner; not thread-safe. The content is not kept, only its SHA-256.
class TlsFile {
 public:
  // An empty path is a file that never is and never changes.
  explicit TlsFile(std::string path) : path_(std::move(path)) {}

  const std::string& path() const { return path_; }
  bool named() const { return !path_.empty(); }

  // The content, which from now on is what Changed() compares with. "open PATH: no such file or directory".
  StatusOr<std::string> Read();
  // Whether the content differs from what was last read, or tried to be. A stat in most cases.
  bool Changed();

 private:
  using Digest = std::array<unsigned char, 32>;

  StatusOr<std::string> ReadNow(struct stat* state);
  void Remember(const StatusOr<std::string>& content, const struct stat& state);

  std::string path_;
  struct stat state_ {};
  bool settled_ = false;  // Written long enough before it was read that a later write shows in its times.
  bool there_ = false;    // It could be read.
  Digest digest_{};
};

}  // namespace quorate::net
