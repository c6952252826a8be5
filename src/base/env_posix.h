// The real outside world of env.h on Linux.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/env.h"

namespace quorate {

// The Status of a failed system call: "ACTION PATH: strerror". ENOENT is NotFound, EEXIST AlreadyExists,
// ENOSPC and EDQUOT ResourceExhausted, EIO DataLoss, EACCES, EPERM and EROFS PermissionDenied, EWOULDBLOCK
// FailedPrecondition, EINVAL and ENAMETOOLONG InvalidArgument; all else is Internal.
Status ErrnoStatus(int error, std::string_view action, std::string_view path);

// Thread-safe. Its files must not outlive it.
class PosixFileSystem : public FileSystem {
 public:
  StatusOr<std::unique_ptr<File>> Open(const std::string& path, const OpenOptions& options) override;
  Status Rename(const std::string& from, const std::string& to) override;
  Status Remove(const std::string& path) override;
  Status RemoveAll(const std::string& path) override;
  Status CreateDirectories(const std::string& path, uint32_t mode) override;
  StatusOr<std::vector<std::string>> List(const std::string& directory) override;
  StatusOr<FileInfo> Stat(const std::string& path) override;
  Status SyncDirectory(const std::string& directory) override;

  // Runs when a Sync or a SyncDirectory has failed, on the thread where it did, before the caller hears of
  // it; perhaps on several at once. Set before the first use.
  using OnFailedSync = std::function<void(const std::string& path)>;
  void set_on_failed_sync(OnFailedSync fn) { on_failed_sync_ = std::move(fn); }

 private:
  OnFailedSync on_failed_sync_;
};

class SystemClock : public Clock {
 public:
  int64_t MonotonicNanos() const override;
  int64_t WallNanos() const override;
};

// What the kernel's generator gives (getrandom(2)), fetched in blocks: good for secrets too, such as tokens
// and salts.
class SystemRandom : public Random {
 public:
  uint64_t Next() override;

 private:
  std::array<uint64_t, 32> block_{};  // 256 bytes: up to this size getrandom is never interrupted or short.
  size_t used_ = 32;
};

}  // namespace quorate
