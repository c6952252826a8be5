#include "cmd/quoratectl/snapshot_save.h"

#include <openssl/evp.h>

#include <memory>

namespace quorate::cmd {
namespace {

constexpr size_t kDigestBytes = 32;
// A db file is a multiple of this, so that a file with a digest behind it can be told.
constexpr uint64_t kSectorBytes = 512;

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

Status Receive(client::SnapshotStream* stream, File* file, const ProgressFn& progress) {
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
  return file->Sync();
}

Status Write(FileSystem* files, client::SnapshotStream* stream, const std::string& part_path,
             const ProgressFn& progress) {
  OpenOptions open;
  open.write = open.create = open.truncate = true;
  auto file = files->Open(part_path, open);
  if (!file.ok()) {
    return MakeStatus(file.status().code(),
                      "could not open " + part_path + " (" + std::string(Message(file.status())) + ")");
  }
  return Receive(stream, file->get(), progress);
}

}  // namespace

Status SaveSnapshot(FileSystem* files, client::SnapshotStream* stream, const std::string& path,
                    const ProgressFn& progress) {
  const std::string part_path = path + ".part";
  Status saved = Write(files, stream, part_path, progress);
  if (saved.ok()) saved = files->Rename(part_path, path);
  if (saved.ok()) return files->SyncDirectory(DirectoryOf(path));
  if (files->Exists(part_path)) {
    if (const Status removed = files->Remove(part_path); !removed.ok()) return removed;
  }
  return saved;
}

}  // namespace quorate::cmd
