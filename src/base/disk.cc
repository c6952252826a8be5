#include "base/disk.h"

#include <fcntl.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>

#include "base/env_posix.h"
#include "base/env_sim.h"

namespace quorate {

StatusOr<uint64_t> FreeBytes(FileSystem* files, const std::string& path) {
  if (const auto* const simulated = dynamic_cast<const SimFileSystem*>(files)) {
    const uint64_t capacity = simulated->capacity_bytes();
    if (capacity == UINT64_MAX) return capacity;
    const uint64_t used = simulated->used_bytes();
    return used < capacity ? capacity - used : 0;
  }
  if (dynamic_cast<const PosixFileSystem*>(files) == nullptr) return UINT64_MAX;
  struct statvfs info {};
  int result;
  do {
    result = ::statvfs(path.c_str(), &info);
  } while (result != 0 && errno == EINTR);
  if (result != 0) return ErrnoStatus(errno, "ask for the free space of", path);
  return static_cast<uint64_t>(info.f_bavail) * info.f_frsize;
}

void DropPageCache(FileSystem* files, const std::string& path) {
  if (dynamic_cast<const PosixFileSystem*>(files) == nullptr) return;
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) return;
  static_cast<void>(::posix_fadvise(descriptor, 0, 0, POSIX_FADV_DONTNEED));
  ::close(descriptor);
}

}  // namespace quorate
