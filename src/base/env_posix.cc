#include "base/env_posix.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <optional>
#include <system_error>
#include <utility>

#include "base/check.h"
#include "base/mapping_faults.h"

namespace quorate {
namespace {

// The kernel moves at most this much per call; larger requests only come back short.
constexpr size_t kTransferBytesMax = size_t{1} << 30;
constexpr size_t kZerosBytes = size_t{1} << 16;

size_t PageBytes() {
  static const size_t kBytes = static_cast<size_t>(::sysconf(_SC_PAGESIZE));
  return kBytes;
}

class PosixMapping final : public Mapping {
 public:
  PosixMapping(char* data, size_t size, const std::string& path)
      : data_(data), size_(size), seen_(size / PageBytes() + 1), range_(std::in_place, data, size, path) {
    // A look-up touches pages all over the file; reading ahead around each would only push others out.
    ::madvise(data_, size_, MADV_RANDOM);
  }
  ~PosixMapping() override {
    range_.reset();
    ::munmap(data_, size_);
  }
  PosixMapping(const PosixMapping&) = delete;
  PosixMapping& operator=(const PosixMapping&) = delete;

  const char* data() const override { return data_; }
  size_t size() const override { return size_; }

  bool Resident(size_t offset, size_t length) const override {
    QUORATE_CHECK(offset <= size_);
    QUORATE_CHECK(length <= size_ - offset);
    if (length == 0) return true;
    const size_t last = (offset + length - 1) / PageBytes();
    const uint16_t now = Second();
    for (size_t page = offset / PageBytes(); page <= last; ++page) {
      if (seen_[page].load(std::memory_order_relaxed) == now) continue;
      unsigned char state = 0;
      // An error means a range the kernel does not know: the caller then takes the way that may wait.
      if (::mincore(data_ + page * PageBytes(), PageBytes(), &state) != 0 || (state & 1) == 0) return false;
      seen_[page].store(now, std::memory_order_relaxed);
    }
    return true;
  }

 private:
  // The kernel is asked once a second for a page in use: that costs more than the look-up that wants to know.
  // A page that went away meanwhile costs one wait. Never 0.
  static uint16_t Second() {
    timespec time{};
    ::clock_gettime(CLOCK_MONOTONIC_COARSE, &time);
    return static_cast<uint16_t>(time.tv_sec % UINT16_MAX + 1);
  }

  // Zeros from the kernel, so that pages never asked for take no memory.
  class SeenPages {
   public:
    explicit SeenPages(size_t pages)
        : seconds_(static_cast<std::atomic<uint16_t>*>(std::calloc(pages, sizeof(uint16_t)))) {
      static_assert(sizeof(std::atomic<uint16_t>) == sizeof(uint16_t));
      QUORATE_CHECK(seconds_ != nullptr);
    }
    ~SeenPages() { std::free(seconds_); }
    SeenPages(const SeenPages&) = delete;
    SeenPages& operator=(const SeenPages&) = delete;
    std::atomic<uint16_t>& operator[](size_t page) const { return seconds_[page]; }

   private:
    std::atomic<uint16_t>* const seconds_;
  };

  char* const data_;
  const size_t size_;
  const SeenPages seen_;  // When each page was last found in memory.
  std::optional<MappedFileRange> range_;
};

class PosixFile final : public File {
 public:
  // `on_failed_sync` outlives it.
  PosixFile(int descriptor, std::string path, const PosixFileSystem::OnFailedSync* on_failed_sync)
      : descriptor_(descriptor), path_(std::move(path)), on_failed_sync_(*on_failed_sync) {}
  ~PosixFile() override { ::close(descriptor_); }
  PosixFile(const PosixFile&) = delete;
  PosixFile& operator=(const PosixFile&) = delete;

  const std::string& path() const override { return path_; }

  StatusOr<size_t> ReadAt(uint64_t offset, char* out, size_t length) override {
    size_t done = 0;
    while (done < length) {
      const size_t want = std::min(length - done, kTransferBytesMax);
      const ssize_t n = ::pread(descriptor_, out + done, want, static_cast<off_t>(offset + done));
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return ErrnoStatus(errno, "read", path_);
      if (n == 0) break;
      done += static_cast<size_t>(n);
    }
    return done;
  }

  Status WriteAt(uint64_t offset, std::string_view data) override {
    while (!data.empty()) {
      const size_t want = std::min(data.size(), kTransferBytesMax);
      const ssize_t n = ::pwrite(descriptor_, data.data(), want, static_cast<off_t>(offset));
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return ErrnoStatus(errno, "write", path_);
      if (n == 0) return ErrnoStatus(EIO, "write", path_);
      data.remove_prefix(static_cast<size_t>(n));
      offset += static_cast<uint64_t>(n);
    }
    return absl::OkStatus();
  }

  // Not repeated on EINTR: whether a second call reports the pages lost by the first is not known.
  Status Sync() override {
    if (::fdatasync(descriptor_) == 0) return absl::OkStatus();
    const int error = errno;
    if (on_failed_sync_) on_failed_sync_(path_);
    return ErrnoStatus(error, "sync", path_);
  }

  Status Truncate(uint64_t size) override {
    int result;
    do {
      result = ::ftruncate(descriptor_, static_cast<off_t>(size));
    } while (result != 0 && errno == EINTR);
    if (result != 0) return ErrnoStatus(errno, "truncate", path_);
    return absl::OkStatus();
  }

  Status Allocate(uint64_t size) override {
    int result;
    do {
      result = ::fallocate(descriptor_, 0, 0, static_cast<off_t>(size));
    } while (result != 0 && errno == EINTR);
    if (result == 0) return absl::OkStatus();
    if (errno != EOPNOTSUPP && errno != ENOSYS) return ErrnoStatus(errno, "allocate", path_);
    return AllocateByWriting(size);
  }

  StatusOr<uint64_t> Size() override {
    struct stat info;
    if (::fstat(descriptor_, &info) != 0) return ErrnoStatus(errno, "stat", path_);
    return static_cast<uint64_t>(info.st_size);
  }

  StatusOr<std::unique_ptr<Mapping>> Map(size_t length) override {
    if (length == 0) return InvalidArgument("map " + path_ + ": the length must be above zero");
    void* data = ::mmap(nullptr, length, PROT_READ, MAP_SHARED, descriptor_, 0);
    if (data == MAP_FAILED) return ErrnoStatus(errno, "map", path_);
    return std::unique_ptr<Mapping>(new PosixMapping(static_cast<char*>(data), length, path_));
  }

 private:
  // Where the file system has no fallocate: zeros from the end up to `size`.
  Status AllocateByWriting(uint64_t size) {
    QUORATE_ASSIGN_OR_RETURN(uint64_t end, Size());
    const std::string zeros(kZerosBytes, '\0');
    while (end < size) {
      const size_t n = static_cast<size_t>(std::min<uint64_t>(size - end, zeros.size()));
      QUORATE_RETURN_IF_ERROR(WriteAt(end, std::string_view(zeros).substr(0, n)));
      end += n;
    }
    return absl::OkStatus();
  }

  const int descriptor_;
  const std::string path_;
  const PosixFileSystem::OnFailedSync& on_failed_sync_;
};

Status Lock(int descriptor, LockKind kind, const std::string& path) {
  int result = 0;
  switch (kind) {
    case LockKind::kNone:
      return absl::OkStatus();
    case LockKind::kFlock:
    case LockKind::kFlockShared:
      do {
        result = ::flock(descriptor, (kind == LockKind::kFlock ? LOCK_EX : LOCK_SH) | LOCK_NB);
      } while (result != 0 && errno == EINTR);
      break;
    case LockKind::kOpenFileDescription: {
      struct flock whole {};
      whole.l_type = F_WRLCK;
      whole.l_whence = SEEK_SET;
      result = ::fcntl(descriptor, F_OFD_SETLK, &whole);
      break;
    }
  }
  if (result == 0) return absl::OkStatus();
  if (errno == EACCES) errno = EAGAIN;  // What fcntl may say of a held lock.
  return ErrnoStatus(errno, "lock", path);
}

Status FromErrorCode(const std::error_code& error, std::string_view action, const std::string& path) {
  return ErrnoStatus(error.value(), action, path);
}

}  // namespace

Status ErrnoStatus(int error, std::string_view action, std::string_view path) {
  std::string text(action);
  text += ' ';
  text.append(path);
  text += ": " + std::generic_category().message(error);
  switch (error) {
    case ENOENT:
      return NotFound(text);
    case EEXIST:
      return AlreadyExists(text);
    case ENOSPC:
    case EDQUOT:
      return ResourceExhausted(text);
    case EIO:
      return DataLoss(text);
    case EACCES:
    case EPERM:
    case EROFS:
      return PermissionDenied(text);
    case EWOULDBLOCK:
      return FailedPrecondition(text);
    case EINVAL:
    case ENAMETOOLONG:
      return InvalidArgument(text);
    default:
      return Internal(text);
  }
}

StatusOr<std::unique_ptr<File>> PosixFileSystem::Open(const std::string& path, const OpenOptions& options) {
  int flags = O_CLOEXEC | (options.write ? O_RDWR : O_RDONLY);
  if (options.create) flags |= O_CREAT;
  if (options.exclusive) flags |= O_EXCL;
  if (options.truncate) flags |= O_TRUNC;
  int descriptor;
  do {
    descriptor = ::open(path.c_str(), flags, static_cast<mode_t>(options.mode));
  } while (descriptor < 0 && errno == EINTR);
  if (descriptor < 0) return ErrnoStatus(errno, "open", path);
  auto file = std::make_unique<PosixFile>(descriptor, path, &on_failed_sync_);
  QUORATE_RETURN_IF_ERROR(Lock(descriptor, options.lock, path));
  return file;
}

Status PosixFileSystem::Rename(const std::string& from, const std::string& to) {
  if (::rename(from.c_str(), to.c_str()) != 0) return ErrnoStatus(errno, "rename", from + " to " + to);
  return absl::OkStatus();
}

Status PosixFileSystem::Remove(const std::string& path) {
  if (std::remove(path.c_str()) != 0) return ErrnoStatus(errno, "remove", path);
  return absl::OkStatus();
}

Status PosixFileSystem::RemoveAll(const std::string& path) {
  std::error_code error;
  std::filesystem::remove_all(path, error);
  if (error) return FromErrorCode(error, "remove", path);
  return absl::OkStatus();
}

Status PosixFileSystem::CreateDirectories(const std::string& path, uint32_t mode) {
  for (size_t end = 0; end != std::string::npos;) {
    end = path.find('/', end + 1);
    const std::string prefix = path.substr(0, end);
    if (::mkdir(prefix.c_str(), static_cast<mode_t>(mode)) == 0) continue;
    const int error = errno;
    struct stat info;
    if (::stat(prefix.c_str(), &info) == 0 && S_ISDIR(info.st_mode)) continue;
    return ErrnoStatus(error, "make directory", prefix);
  }
  return absl::OkStatus();
}

StatusOr<std::vector<std::string>> PosixFileSystem::List(const std::string& directory) {
  DIR* stream = ::opendir(directory.c_str());
  if (stream == nullptr) return ErrnoStatus(errno, "list", directory);
  std::vector<std::string> names;
  errno = 0;
  while (const dirent* entry = ::readdir(stream)) {
    const std::string_view name = entry->d_name;
    if (name != "." && name != "..") names.emplace_back(name);
    errno = 0;
  }
  const int error = errno;
  ::closedir(stream);
  if (error != 0) return ErrnoStatus(error, "list", directory);
  std::sort(names.begin(), names.end());
  return names;
}

StatusOr<FileInfo> PosixFileSystem::Stat(const std::string& path) {
  struct stat info;
  if (::stat(path.c_str(), &info) != 0) return ErrnoStatus(errno, "stat", path);
  FileInfo result;
  result.size = static_cast<uint64_t>(info.st_size);
  result.mode = info.st_mode & 07777;
  result.directory = S_ISDIR(info.st_mode);
  return result;
}

Status PosixFileSystem::SyncDirectory(const std::string& directory) {
  const int descriptor = ::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0) return ErrnoStatus(errno, "open directory", directory);
  const int result = ::fsync(descriptor);
  const int error = errno;
  ::close(descriptor);
  if (result != 0 && on_failed_sync_) on_failed_sync_(directory);
  if (result != 0) return ErrnoStatus(error, "sync directory", directory);
  return absl::OkStatus();
}

namespace {
int64_t ReadClock(clockid_t id) {
  timespec t{};
  ::clock_gettime(id, &t);
  return int64_t{t.tv_sec} * 1'000'000'000 + t.tv_nsec;
}
}  // namespace

int64_t SystemClock::MonotonicNanos() const { return ReadClock(CLOCK_MONOTONIC); }
int64_t SystemClock::WallNanos() const { return ReadClock(CLOCK_REALTIME); }

uint64_t SystemRandom::Next() {
  if (used_ == block_.size()) {
    QUORATE_CHECK(::getrandom(block_.data(), sizeof block_, 0) == static_cast<ssize_t>(sizeof block_));
    used_ = 0;
  }
  return std::exchange(block_[used_++], 0);  // Numbers handed out do not stay in memory here.
}

}  // namespace quorate
