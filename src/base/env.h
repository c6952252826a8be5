// The outside world as the core sees it: files, clocks, randomness, and work that runs elsewhere. Three
// families stand behind these interfaces: the real one (env_posix.h), one in memory with a fault model
// (env_sim.h), and whatever a test derives. Nothing in raft, wal, bolt, mvcc, lease, auth, cluster or server
// reaches the system by another way; that is what lets the simulator run the production code.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace quorate {

// Thread-safe.
class Clock {
 public:
  virtual ~Clock() = default;
  // Never goes back; nanoseconds from an arbitrary start.
  virtual int64_t MonotonicNanos() const = 0;
  // Nanoseconds since 1970 UTC; may jump.
  virtual int64_t WallNanos() const = 0;
};

// Not thread-safe: one per owner thread.
class Random {
 public:
  virtual ~Random() = default;
  virtual uint64_t Next() = 0;
  // Uniform in [0, bound); bound > 0.
  uint64_t Below(uint64_t bound) { return Next() % bound; }
};

// A read-only view of the first `size()` bytes of a file, shared with the file: later writes through
// File::WriteAt show. Bytes beyond the file's end must not be touched. Unmapped on destruction. Reading is
// thread-safe.
class Mapping {
 public:
  virtual ~Mapping() = default;
  virtual const char* data() const = 0;
  virtual size_t size() const = 0;
  // Whether all pages of [offset, offset+length) are in memory, so that reading them will not wait for the
  // disk.
  virtual bool Resident(size_t offset, size_t length) const = 0;
};

// An open file. Offsets and sizes are bytes. Thread-safe as pread/pwrite are. Error texts carry the path.
class File {
 public:
  virtual ~File() = default;
  virtual const std::string& path() const = 0;
  // Reads up to `length` bytes; fewer only at the end of the file.
  virtual StatusOr<size_t> ReadAt(uint64_t offset, char* out, size_t length) = 0;
  // Writes all of `data` or fails (what was then written is unknown).
  virtual Status WriteAt(uint64_t offset, std::string_view data) = 0;
  // fdatasync. After a failure nothing written since the last success may be believed: the caller ends the
  // process.
  virtual Status Sync() = 0;
  virtual Status Truncate(uint64_t size) = 0;
  // Reserves disk space up to `size` and extends the file with zeros to it.
  virtual Status Allocate(uint64_t size) = 0;
  virtual StatusOr<uint64_t> Size() = 0;
  // Maps `length` bytes from the start; length may lie beyond the end (room to grow).
  virtual StatusOr<std::unique_ptr<Mapping>> Map(size_t length) = 0;
};

// kFlock is flock(2) LOCK_EX, kFlockShared LOCK_SH (the db file); kOpenFileDescription is fcntl F_OFD_SETLK
// over the whole file (WAL segments). All are tried once: a held lock gives FailedPrecondition.
enum class LockKind { kNone, kFlock, kFlockShared, kOpenFileDescription };

struct OpenOptions {
  bool write = false;
  bool create = false;     // Make it if missing.
  bool exclusive = false;  // With create: fail with AlreadyExists if it is there.
  bool truncate = false;
  uint32_t mode = 0600;  // Of a created file, before the umask.
  LockKind lock = LockKind::kNone;
};

struct FileInfo {
  uint64_t size = 0;
  uint32_t mode = 0;  // Permission bits.
  bool directory = false;
};

// Thread-safe. A missing file gives NotFound; every text carries the path.
class FileSystem {
 public:
  virtual ~FileSystem() = default;
  virtual StatusOr<std::unique_ptr<File>> Open(const std::string& path, const OpenOptions& options) = 0;
  virtual Status Rename(const std::string& from, const std::string& to) = 0;
  virtual Status Remove(const std::string& path) = 0;
  // Removes a directory and everything in it; OK when missing.
  virtual Status RemoveAll(const std::string& path) = 0;
  // With all missing parents; OK when it exists.
  virtual Status CreateDirectories(const std::string& path, uint32_t mode) = 0;
  // Names without "." and "..", sorted by bytes.
  virtual StatusOr<std::vector<std::string>> List(const std::string& directory) = 0;
  virtual StatusOr<FileInfo> Stat(const std::string& path) = 0;
  // Makes creations, renames and removals in the directory durable.
  virtual Status SyncDirectory(const std::string& directory) = 0;

  bool Exists(const std::string& path) { return Stat(path).ok(); }
  StatusOr<std::string> ReadAll(const std::string& path);
  // Creates or replaces a file, whole: NAME.tmp is written and synced, then renamed, then the directory
  // synced.
  Status WriteAtomically(const std::string& path, std::string_view data, uint32_t mode);
};

// Where work that may wait for a disk runs. kLog and kDb each run one job at a time, in order of submission;
// kRead runs several at once, in any order; kBackground is one at a time and may take long (snapshot files,
// purge).
enum class Lane { kLog, kDb, kRead, kBackground };

// Owned by the core's thread. `work` runs elsewhere; then `done` runs on the owner's thread, in a later round
// of its loop. Both always run, except that on shutdown jobs not begun may be dropped together with their
// `done`.
class Executor {
 public:
  virtual ~Executor() = default;
  virtual void Submit(Lane lane, std::function<void()> work, std::function<void()> done) = 0;
};

// What a component is given. Nothing in it is owned.
struct Env {
  FileSystem* files = nullptr;
  Clock* clock = nullptr;
  Random* random = nullptr;
  Executor* executor = nullptr;
};

}  // namespace quorate
