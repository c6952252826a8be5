#include "server/data_directory.h"

#include "base/logging.h"

namespace quorate::server {
namespace {

constexpr uint32_t kPrivateMode = 0700;

// Of a directory, as ls and Go print it.
std::string PermissionText(uint32_t mode) {
  std::string text = "drwxrwxrwx";
  for (size_t i = 1; i < text.size(); ++i) {
    if ((mode >> (text.size() - 1 - i) & 1) == 0) text[i] = '-';
  }
  return text;
}

}  // namespace

Status CheckDataDirectory(FileSystem* files, const std::string& path) {
  const auto info = files->Stat(path);
  if (!info.ok()) return absl::OkStatus();
  if (!info->directory) return FailedPrecondition(path + " is no directory; choose another --data-dir");
  if (info->mode != kPrivateMode) {
    LOG_WARN(
        "check file permission",
        {"error", "directory \"" + path + "\" exist, but the permission is \"" + PermissionText(info->mode) +
                      "\". The recommended permission is \"-rwx------\" to prevent possible "
                      "unprivileged access to the data"});
  }
  return absl::OkStatus();
}

}  // namespace quorate::server
