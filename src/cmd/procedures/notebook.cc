#include "cmd/procedures/notebook.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "cmd/session/answer.h"

namespace quorate::cmd {
namespace {

constexpr off_t kNotesMax = 1 << 20;

Status Failed(std::string_view what, const std::string& path) {
  return Unavailable("can't " + std::string(what) + " " + path + ": " + std::strerror(errno));
}

// A file descriptor that is closed at the end.
class Opened {
 public:
  explicit Opened(int fd) : fd_(fd) {}
  ~Opened() {
    if (fd_ >= 0) close(fd_);
  }
  Opened(const Opened&) = delete;
  Opened& operator=(const Opened&) = delete;
  int fd() const { return fd_; }

 private:
  const int fd_;
};

bool WriteAll(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = write(fd, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return false;
    text.remove_prefix(static_cast<size_t>(written));
  }
  return true;
}

Status WriteSynced(const std::string& path, const std::string& text) {
  const Opened file(open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (file.fd() < 0) return Failed("write", path);
  return WriteAll(file.fd(), text) && fsync(file.fd()) == 0 ? Status() : Failed("write", path);
}

// The whole of the file; NotFound: there is none.
StatusOr<std::string> ReadOwn(const std::string& path) {
  const Opened file(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  if (file.fd() < 0) return errno == ENOENT ? NotFound(path) : Failed("read", path);
  struct stat facts {};
  if (fstat(file.fd(), &facts) != 0) return Failed("read", path);
  const bool own = S_ISREG(facts.st_mode) && (facts.st_uid == geteuid() || facts.st_uid == 0) &&
                   (facts.st_mode & (S_IWGRP | S_IWOTH)) == 0;
  if (!own || facts.st_size > kNotesMax) {
    return FailedPrecondition(
        path +
        " may have been written by others than its user, so it is not believed: look at "
        "it, and remove it to begin anew");
  }
  std::string text(static_cast<size_t>(facts.st_size), '\0');
  const ssize_t count = pread(file.fd(), text.data(), text.size(), 0);
  if (count < 0) return Failed("read", path);
  text.resize(static_cast<size_t>(count));
  return text;
}

Status MakeDirectory(const std::filesystem::path& path) {
  std::error_code error;
  const bool made = std::filesystem::create_directories(path, error);
  if (!error && made) {
    std::filesystem::permissions(path, std::filesystem::perms::owner_all, error);
  }
  return error ? Unavailable("can't make " + path.string() + ": " + error.message()) : Status();
}

// As a part of a file's name.
std::string FileName(std::string name) {
  std::replace(name.begin(), name.end(), '/', '_');
  return name;
}

std::string Suffix(uint64_t cluster_id) { return "-" + HexId(cluster_id) + ".json"; }

}  // namespace

StatusOr<std::string> NotesDirectory(const std::string& given) {
  if (!given.empty()) return given;
  const auto variable = [](const char* name) {
    const char* const value = std::getenv(name);
    return std::string(value == nullptr ? "" : value);
  };
  if (const std::string state = variable("XDG_STATE_HOME"); !state.empty()) return state + "/quorate";
  if (const std::string home = variable("HOME"); !home.empty()) return home + "/.local/state/quorate";
  return FailedPrecondition(
      "there is no place for the notes that make an interruption harmless: HOME is not set; name a directory "
      "with --state-dir");
}

Notebook::Notebook(const std::string& directory, uint64_t cluster_id, const std::string& procedure)
    : path_(directory + "/" + FileName(procedure) + Suffix(cluster_id)) {}

StatusOr<std::optional<Notes>> Notebook::Read() const {
  const auto text = ReadOwn(path_);
  if (absl::IsNotFound(text.status())) return std::optional<Notes>();
  if (!text.ok()) return text.status();
  const auto json = nlohmann::json::parse(*text, nullptr, false);
  const Status damaged = DataLoss(path_ + " is damaged; look at it, and remove it to begin anew");
  if (!json.is_object()) return damaged;
  Notes notes;
  for (const auto& [name, value] : json.items()) {
    if (!value.is_string()) return damaged;
    notes[name] = value.get<std::string>();
  }
  return std::optional<Notes>(std::move(notes));
}

Status Notebook::Write(const Notes& notes) const {
  QUORATE_RETURN_IF_ERROR(MakeDirectory(std::filesystem::path(path_).parent_path()));
  const std::string part = path_ + ".part";
  QUORATE_RETURN_IF_ERROR(WriteSynced(part, nlohmann::json(notes).dump(1) + "\n"));
  return std::rename(part.c_str(), path_.c_str()) == 0 ? Status() : Failed("write", path_);
}

Status Notebook::Remove() const {
  return unlink(path_.c_str()) == 0 || errno == ENOENT ? Status() : Failed("remove", path_);
}

StatusOr<std::vector<std::string>> InterruptedProcedures(const std::string& directory, uint64_t cluster_id,
                                                         std::string_view prefix) {
  std::vector<std::string> names;
  std::error_code error;
  const std::string suffix = Suffix(cluster_id);
  for (std::filesystem::directory_iterator at(directory, error), end; !error && at != end;
       at.increment(error)) {
    const std::string file = at->path().filename().string();
    if (file.size() <= prefix.size() + suffix.size() || !file.starts_with(prefix) || !file.ends_with(suffix))
      continue;
    names.push_back(file.substr(prefix.size(), file.size() - prefix.size() - suffix.size()));
  }
  if (error && error != std::errc::no_such_file_or_directory) {
    return Unavailable("can't read " + directory + ": " + error.message());
  }
  std::sort(names.begin(), names.end());
  return names;
}

StatusOr<std::unique_ptr<ProcedureLock>> ProcedureLock::Take(const std::string& directory,
                                                             uint64_t cluster_id,
                                                             const std::string& procedure) {
  QUORATE_RETURN_IF_ERROR(MakeDirectory(directory));
  const std::string path = directory + "/lock-" + HexId(cluster_id);
  const int fd = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0) return Failed("write", path);
  std::unique_ptr<ProcedureLock> lock(new ProcedureLock(fd));
  if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) return Failed("lock", path);
    char holder[256];
    const ssize_t count = pread(fd, holder, sizeof holder, 0);
    return FailedPrecondition("another procedure is at work on this cluster: " +
                              std::string(holder, static_cast<size_t>(std::max<ssize_t>(count, 0))) + " (" +
                              path + "); wait for its end, or end it");
  }
  const std::string holder = procedure + ", process " + std::to_string(getpid());
  const bool told = ftruncate(fd, 0) == 0 && WriteAll(fd, holder);
  if (!told) return Failed("write", path);
  return lock;
}

ProcedureLock::~ProcedureLock() { close(fd_); }

}  // namespace quorate::cmd
