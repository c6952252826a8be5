#include "cmd/quoratectl/snapshot_save.h"

#include <openssl/evp.h>

#include <cinttypes>
#include <cstdio>
#include <memory>

namespace quorate::cmd {
namespace {

constexpr size_t kDigestBytes = 32;
// A db file is a multiple of this, so that a file with a digest behind it can be told.
constexpr uint64_t kSectorBytes = 512;
constexpr size_t kReadBytes = 1 << 20;

struct DigestFree {
  void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
};

// The digest of all bytes but the last 32, which are it.
class TrailingDigest {
 public:
  TrailingDigest() : context_(EVP_MD_CTX_new()) { EVP_DigestInit_ex(context_.get(), EVP_sha256(), nullptr); }

  void Update(std::string_view bytes) {
    held_ += bytes;
    if (held_.size() <= kDigestBytes) return;
    const size_t covered = held_.size() - kDigestBytes;
    EVP_DigestUpdate(context_.get(), held_.data(), covered);
    held_.erase(0, covered);
  }

  bool Matches() {
    std::string digest(kDigestBytes, '\0');
    EVP_DigestFinal_ex(context_.get(), reinterpret_cast<unsigned char*>(digest.data()), nullptr);
    return digest == held_;
  }

 private:
  std::unique_ptr<EVP_MD_CTX, DigestFree> context_;
  std::string held_;
};

std::string DirectoryOf(const std::string& path) {
  const size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

// A name that no other save has, so that none writes into another's file, whatever became of it.
std::string PartPath(const std::string& path, Random* random) {
  char name[32];
  std::snprintf(name, sizeof name, ".%016" PRIx64 ".part", random->Next());
  return path + name;
}

// Returns the size.
StatusOr<uint64_t> Receive(client::SnapshotStream* stream, File* file, const ProgressFn& progress) {
  TrailingDigest digest;
  client::SnapshotResponse part;
  uint64_t size = 0;
  while (true) {
    QUORATE_ASSIGN_OR_RETURN(const bool more, stream->Next(&part));
    if (!more) break;
    QUORATE_RETURN_IF_ERROR(file->WriteAt(size, part.blob()));
    digest.Update(part.blob());
    size += part.blob().size();
    progress(size, size + part.remaining_bytes());
  }
  if (size % kSectorBytes != kDigestBytes) {
    return DataLoss("sha256 checksum not found [bytes: " + std::to_string(size) + "]");
  }
  if (!digest.Matches()) {
    return DataLoss("the snapshot of " + std::to_string(size) +
                    " bytes does not match the sha256 checksum sent with it; nothing was saved, try again");
  }
  QUORATE_RETURN_IF_ERROR(file->Sync());
  return size;
}

// What counts is what can be read again, not what was sent.
Status CheckWritten(FileSystem* files, const std::string& part_path, uint64_t size) {
  QUORATE_ASSIGN_OR_RETURN(const auto file, files->Open(part_path, {}));
  TrailingDigest digest;
  std::string chunk(kReadBytes, '\0');
  uint64_t at = 0;
  while (true) {
    QUORATE_ASSIGN_OR_RETURN(const size_t read, file->ReadAt(at, chunk.data(), chunk.size()));
    if (read == 0) break;
    digest.Update({chunk.data(), read});
    at += read;
  }
  if (at == size && digest.Matches()) return absl::OkStatus();
  return DataLoss("what was written to " + part_path + " reads back as something else (" +
                  std::to_string(at) + " bytes of " + std::to_string(size) +
                  "); the disk can't be trusted: save to another one");
}

Status Write(FileSystem* files, client::SnapshotStream* stream, File* file, const ProgressFn& progress) {
  QUORATE_ASSIGN_OR_RETURN(const uint64_t size, Receive(stream, file, progress));
  return CheckWritten(files, file->path(), size);
}

}  // namespace

Status SaveSnapshot(FileSystem* files, Random* random, client::SnapshotStream* stream,
                    const std::string& path, const ProgressFn& progress) {
  const std::string part_path = PartPath(path, random);
  OpenOptions open;
  open.write = open.create = open.exclusive = true;
  auto file = files->Open(part_path, open);
  if (!file.ok()) {
    return MakeStatus(file.status().code(),
                      "could not open " + part_path + " (" + std::string(Message(file.status())) + ")");
  }
  Status saved = Write(files, stream, file->get(), progress);
  if (saved.ok()) saved = files->Rename(part_path, path);
  if (saved.ok()) return files->SyncDirectory(DirectoryOf(path));
  // The first error is the one to tell.
  files->Remove(part_path).IgnoreError();
  return saved;
}

}  // namespace quorate::cmd
