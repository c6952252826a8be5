// For tests: loads the data directories recorded from etcd (NAME.tar.gz) into a simulated file system. Zeros
// become holes, so the 64 MB segments cost little. Needs gzip on the PATH.
#pragma once

#include <array>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/env.h"
#include "wal/frame.h"

namespace quorate::golden {

// The folder with the archives of etcd 3.4.23: $QUORATE_SHARED_DATA, else shared/data in a directory above
// this one.
inline std::optional<std::string> Directory() {
  namespace fs = std::filesystem;
  const std::string below = "/etcd-3.4.23";
  std::error_code error;
  if (const char* set = std::getenv("QUORATE_SHARED_DATA")) {
    if (fs::is_directory(set + below, error)) return set + below;
    return std::nullopt;
  }
  for (fs::path at = fs::current_path(error);; at = at.parent_path()) {
    const std::string candidate = (at / "shared/data").string() + below;
    if (fs::is_directory(candidate, error)) return candidate;
    if (at == at.root_path()) return std::nullopt;
  }
}

// Writes the archive's files whose path `wanted` accepts under "/". False when the archive can't be read.
inline bool Load(const std::string& archive, FileSystem* files,
                 const std::function<bool(std::string_view)>& wanted) {
  const std::unique_ptr<FILE, int (*)(FILE*)> pipe(popen(("gzip -dc '" + archive + "'").c_str(), "r"),
                                                   pclose);
  if (!pipe) return false;
  constexpr size_t kBlock = 512;  // POSIX ustar.
  std::array<char, kBlock> header;
  std::string piece;
  while (std::fread(header.data(), 1, kBlock, pipe.get()) == kBlock && header[0] != '\0') {
    const std::string name(header.data(), strnlen(header.data(), 100));
    const uint64_t size = std::strtoull(std::string(header.data() + 124, 12).c_str(), nullptr, 8);
    std::unique_ptr<File> file;
    if (header[156] == '0' && wanted(name)) {
      const std::string path = "/" + name;
      OpenOptions open;
      open.write = open.create = open.truncate = true;
      if (!files->CreateDirectories(path.substr(0, path.rfind('/')), 0700).ok()) return false;
      auto opened = files->Open(path, open);
      if (!opened.ok()) return false;
      file = *std::move(opened);
    }
    for (uint64_t at = 0; at < size;) {
      const uint64_t padded = (size - at + kBlock - 1) / kBlock * kBlock;
      piece.resize(std::min<uint64_t>(padded, 1 << 16));
      if (std::fread(piece.data(), 1, piece.size(), pipe.get()) != piece.size()) return false;
      const std::string_view bytes =
          std::string_view(piece).substr(0, std::min<uint64_t>(piece.size(), size - at));
      if (file != nullptr && !wal::AllZero(bytes) && !file->WriteAt(at, bytes).ok()) {
        return false;
      }
      at += bytes.size();
    }
    if (file != nullptr && !(file->Truncate(size).ok() && file->Sync().ok())) return false;
  }
  return true;
}

}  // namespace quorate::golden
