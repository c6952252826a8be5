#include "server/own_directory.h"

namespace quorate::server {

std::string OwnDirectory(const std::string& data_dir) {
  std::string path = data_dir;
  while (path.size() > 1 && path.ends_with('/')) path.pop_back();
  return path + "/quorate";
}

Status MakeOwnDirectory(FileSystem* files, const std::string& own_directory) {
  QUORATE_RETURN_IF_ERROR(files->CreateDirectories(own_directory, 0700));
  return files->SyncDirectory(own_directory.substr(0, own_directory.rfind('/')));
}

}  // namespace quorate::server
