#include "offline/data_directory.h"

#include <utility>

namespace quorate::offline {
namespace {

std::string WithoutTrailingSlashes(std::string path) {
  while (path.size() > 1 && path.ends_with('/')) path.pop_back();
  return path;
}

}  // namespace

DataDirectory LocateData(std::string data_dir, std::string wal_dir) {
  DataDirectory at;
  at.root = WithoutTrailingSlashes(std::move(data_dir));
  at.member = at.root + "/member";
  at.wal = wal_dir.empty() ? at.member + "/wal" : WithoutTrailingSlashes(std::move(wal_dir));
  at.snap = at.member + "/snap";
  at.db = at.snap + "/db";
  return at;
}

std::string ParentOf(const std::string& path) {
  const size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

}  // namespace quorate::offline
