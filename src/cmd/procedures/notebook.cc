#include "cmd/procedures/notebook.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "cmd/procedures/cluster_state.h"
#include "cmd/session/answer.h"

namespace quorate::cmd {
namespace {

std::string StateDirectory() {
  if (const char* const state = std::getenv("XDG_STATE_HOME"); state != nullptr && *state != '\0') {
    return std::string(state) + "/quorate";
  }
  const char* const home = std::getenv("HOME");
  return (home != nullptr && *home != '\0' ? std::string(home) : std::string("/tmp")) +
         "/.local/state/quorate";
}

Status Failed(std::string_view what, const std::string& path) {
  return Unavailable("can't " + std::string(what) + " " + path + ": " + std::strerror(errno));
}

Status WriteSynced(const std::string& path, const std::string& text) {
  const int fd = open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (fd < 0) return Failed("write", path);
  const ssize_t written = write(fd, text.data(), text.size());
  const bool good = written == static_cast<ssize_t>(text.size()) && fsync(fd) == 0;
  const Status status = good ? Status() : Failed("write", path);
  close(fd);
  return status;
}

// As a part of a file's name.
std::string FileName(std::string name) {
  std::replace(name.begin(), name.end(), '/', '_');
  return name;
}

std::string Suffix(uint64_t cluster_id) { return "-" + HexId(cluster_id) + ".json"; }

std::string Directory(std::string directory) {
  return directory.empty() ? StateDirectory() : std::move(directory);
}

}  // namespace

Notebook::Notebook(std::string directory, uint64_t cluster_id, const std::string& procedure)
    : path_(Directory(std::move(directory)) + "/" + FileName(procedure) + Suffix(cluster_id)) {}

StatusOr<std::optional<Notes>> Notebook::Read() const {
  std::ifstream in(path_);
  if (!in) return std::optional<Notes>();
  std::ostringstream text;
  text << in.rdbuf();
  const auto json = nlohmann::json::parse(text.str(), nullptr, false);
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
  const std::filesystem::path path(path_);
  std::error_code error;
  std::filesystem::create_directories(path.parent_path(), error);
  if (error) return Unavailable("can't make " + path.parent_path().string() + ": " + error.message());
  const std::string part = path_ + ".part";
  QUORATE_RETURN_IF_ERROR(WriteSynced(part, nlohmann::json(notes).dump(1) + "\n"));
  return std::rename(part.c_str(), path_.c_str()) == 0 ? Status() : Failed("write", path_);
}

Status Notebook::Remove() const {
  return unlink(path_.c_str()) == 0 || errno == ENOENT ? Status() : Failed("remove", path_);
}

std::vector<std::string> InterruptedProcedures(std::string directory, uint64_t cluster_id,
                                               std::string_view prefix) {
  std::vector<std::string> names;
  std::error_code error;
  const std::string suffix = Suffix(cluster_id);
  for (const auto& entry : std::filesystem::directory_iterator(Directory(std::move(directory)), error)) {
    const std::string file = entry.path().filename().string();
    if (file.size() <= prefix.size() + suffix.size() || !file.starts_with(prefix) || !file.ends_with(suffix))
      continue;
    names.push_back(file.substr(prefix.size(), file.size() - prefix.size() - suffix.size()));
  }
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace quorate::cmd
