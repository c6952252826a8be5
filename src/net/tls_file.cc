#include "net/tls_file.h"

#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/sha.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

namespace quorate::net {
namespace {

constexpr size_t kFileBytesMax = 4 * 1024 * 1024;
// Times of files step with the kernel's tick, or by whole seconds on some file systems.
constexpr int64_t kSettledSeconds = 2;

bool SameState(const struct stat& a, const struct stat& b) {
  return a.st_dev == b.st_dev && a.st_ino == b.st_ino && a.st_size == b.st_size &&
         a.st_mtim.tv_sec == b.st_mtim.tv_sec && a.st_mtim.tv_nsec == b.st_mtim.tv_nsec &&
         a.st_ctim.tv_sec == b.st_ctim.tv_sec && a.st_ctim.tv_nsec == b.st_ctim.tv_nsec;
}

std::array<unsigned char, 32> DigestOf(const std::string& content) {
  std::array<unsigned char, 32> digest;
  SHA256(reinterpret_cast<const unsigned char*>(content.data()), content.size(), digest.data());
  return digest;
}

}  // namespace

StatusOr<std::string> TlsFile::ReadNow(struct stat* state) {
  const auto error = [&](const char* what) {
    return NotFound(std::string(what) + " " + path_ + ": " + std::generic_category().message(errno));
  };
  *state = {};
  const int fd = open(path_.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return error("open");
  std::string content;
  StatusOr<std::string> result = std::string();
  if (fstat(fd, state) != 0) result = error("stat");
  while (result.ok()) {
    char buffer[16384];
    const ssize_t n = read(fd, buffer, sizeof(buffer));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) result = error("read");
    if (n <= 0) break;
    content.append(buffer, static_cast<size_t>(n));
    OPENSSL_cleanse(buffer, static_cast<size_t>(n));
    if (content.size() > kFileBytesMax) {
      result = InvalidArgument(path_ + " is larger than 4 MiB, which no certificate or key is");
    }
  }
  close(fd);
  if (!result.ok()) return result;
  return content;
}

void TlsFile::Remember(const StatusOr<std::string>& content, const struct stat& state) {
  state_ = state;
  there_ = content.ok();
  settled_ = there_ && time(nullptr) - std::max(state.st_mtim.tv_sec, state.st_ctim.tv_sec) > kSettledSeconds;
  digest_ = there_ ? DigestOf(*content) : Digest{};
}

StatusOr<std::string> TlsFile::Read() {
  if (!named()) return std::string();
  struct stat state;
  StatusOr<std::string> content = ReadNow(&state);
  Remember(content, state);
  return content;
}

bool TlsFile::Changed() {
  if (!named()) return false;
  struct stat now {};
  if (settled_ && stat(path_.c_str(), &now) == 0 && SameState(now, state_)) return false;
  StatusOr<std::string> content = ReadNow(&now);
  const bool same = content.ok() == there_ && (!there_ || DigestOf(*content) == digest_);
  if (same) Remember(content, now);
  if (content.ok()) OPENSSL_cleanse(content->data(), content->size());
  return !same;
}

}  // namespace quorate::net
