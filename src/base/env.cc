#include "base/env.h"

namespace quorate {

StatusOr<std::string> FileSystem::ReadAll(const std::string& path) {
  QUORATE_ASSIGN_OR_RETURN(std::unique_ptr<File> file, Open(path, OpenOptions{}));
  QUORATE_ASSIGN_OR_RETURN(const uint64_t size, file->Size());
  std::string data(size, '\0');
  QUORATE_ASSIGN_OR_RETURN(const size_t read, file->ReadAt(0, data.data(), data.size()));
  data.resize(read);
  return data;
}

Status FileSystem::WriteAtomically(const std::string& path, std::string_view data, uint32_t mode) {
  const std::string temporary = path + ".tmp";
  OpenOptions options;
  options.write = true;
  options.create = true;
  options.truncate = true;
  options.mode = mode;
  {
    QUORATE_ASSIGN_OR_RETURN(std::unique_ptr<File> file, Open(temporary, options));
    QUORATE_RETURN_IF_ERROR(file->WriteAt(0, data));
    QUORATE_RETURN_IF_ERROR(file->Sync());
  }
  QUORATE_RETURN_IF_ERROR(Rename(temporary, path));
  const size_t slash = path.rfind('/');
  if (slash == std::string::npos) return SyncDirectory(".");
  return SyncDirectory(slash == 0 ? "/" : path.substr(0, slash));
}

}  // namespace quorate
