#include "offline/db_file.h"

#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <vector>

#include "bolt/check.h"
#include "bolt/meta.h"
#include "mvcc/backend.h"

namespace quorate::offline {
namespace {

constexpr size_t kDigestBytes = 32;
constexpr uint64_t kSectorBytes = 512;
constexpr size_t kChunkBytes = 1024 * 1024;

using Hasher = std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)>;

// Calls fn with each chunk of the file's first `bytes` bytes.
template <typename Fn>
Status ReadChunks(File& file, uint64_t bytes, const ReportFn& report, Fn fn) {
  std::string buffer(std::min<uint64_t>(bytes, kChunkBytes), '\0');
  for (uint64_t at = 0; at < bytes;) {
    const size_t want = std::min<uint64_t>(buffer.size(), bytes - at);
    QUORATE_ASSIGN_OR_RETURN(const size_t got, file.ReadAt(at, buffer.data(), want));
    if (got == 0) return DataLoss(file.path() + " became shorter while it was read");
    fn(std::string_view(buffer).substr(0, got));
    at += got;
    if (report) report("reading", at, bytes);
  }
  return absl::OkStatus();
}

std::optional<bolt::Meta> MetaAt(File& file, uint64_t offset) {
  std::array<char, bolt::kPageHeaderBytes + bolt::Meta::kBytes> bytes;
  const auto got = file.ReadAt(offset, bytes.data(), bytes.size());
  if (!got.ok() || *got < bytes.size()) return std::nullopt;
  return bolt::Meta::Parse(bytes.data());
}

}  // namespace

bool IsLocked(const Status& status) { return status.code() == absl::StatusCode::kFailedPrecondition; }

std::optional<std::string> WhyNoDb(FileSystem* files, const std::string& path) {
  const auto file = files->Open(path, {});
  if (!file.ok()) return std::nullopt;
  const auto size = (*file)->Size();
  if (!size.ok()) return std::nullopt;
  if (*size == 0) return path + " is empty; name the file that `snapshot save` wrote, or a member's snap/db";
  std::optional<bolt::Meta> meta = MetaAt(**file, 0);
  for (uint64_t at = bolt::kPageBytesMin; !meta && at <= bolt::kPageBytesMax; at *= 2)
    meta = MetaAt(**file, at);
  if (!meta) {
    return path +
           " is not a db file of etcd; name the file that `snapshot save` wrote, or a member's snap/db";
  }
  const uint64_t needed = meta->high_water * meta->page_size;
  if (*size < needed) {
    return path + " was cut off: it has " + std::to_string(*size) + " bytes of " + std::to_string(needed) +
           "; copy it anew, or use another snapshot";
  }
  return std::nullopt;
}

StatusOr<std::unique_ptr<bolt::Db>> OpenDb(FileSystem* files, const std::string& path, bool write,
                                           uint64_t map_bytes) {
  QUORATE_ASSIGN_OR_RETURN(const FileInfo info, files->Stat(path));
  if (info.directory)
    return InvalidArgument(path + " is a directory; name the file, such as member/snap/db in it");
  if (const auto why = WhyNoDb(files, path)) return DataLoss("invalid database: " + *why);
  bolt::Options options;
  options.read_only = !write;
  options.map_bytes = map_bytes;
  auto db = bolt::Db::Open(*files, path, options);
  if (!db.ok() && IsLocked(db.status())) {
    return FailedPrecondition(path +
                              " is locked by another process; stop the server that has it open, or use a "
                              "snapshot of it");
  }
  return db;
}

Status ReadAhead(FileSystem* files, const std::string& path, const ReportFn& report) {
  QUORATE_ASSIGN_OR_RETURN(const auto file, files->Open(path, {}));
  QUORATE_ASSIGN_OR_RETURN(const uint64_t size, file->Size());
  return ReadChunks(*file, size, report, [](std::string_view) {});
}

StatusOr<Digest> ReadDigest(FileSystem* files, const std::string& path, const ReportFn& report) {
  QUORATE_ASSIGN_OR_RETURN(const auto file, files->Open(path, {}));
  QUORATE_ASSIGN_OR_RETURN(const uint64_t size, file->Size());
  Digest digest;
  if (size % kSectorBytes != kDigestBytes) return digest;
  digest.stored.resize(kDigestBytes);
  QUORATE_ASSIGN_OR_RETURN(const size_t got,
                           file->ReadAt(size - kDigestBytes, digest.stored.data(), kDigestBytes));
  if (got != kDigestBytes) return DataLoss(path + " became shorter while it was read");
  const Hasher hasher(EVP_MD_CTX_new(), EVP_MD_CTX_free);
  bool hashed = hasher != nullptr && EVP_DigestInit_ex(hasher.get(), EVP_sha256(), nullptr) == 1;
  QUORATE_RETURN_IF_ERROR(ReadChunks(*file, size - kDigestBytes, report, [&](std::string_view chunk) {
    hashed = hashed && EVP_DigestUpdate(hasher.get(), chunk.data(), chunk.size()) == 1;
  }));
  digest.computed.resize(kDigestBytes);
  auto* const out = reinterpret_cast<unsigned char*>(digest.computed.data());
  hashed = hashed && EVP_DigestFinal_ex(hasher.get(), out, nullptr) == 1;
  if (!hashed) return Internal("the cryptographic library can't compute SHA-256");
  return digest;
}

bolt::CheckReport CheckPages(const bolt::ReadTx& tx, const ReportFn& report) {
  const uint64_t page_size = tx.pages().page_size;
  return bolt::Check(tx, [&](uint64_t pages, uint64_t pages_total) {
    if (report) report("checking", pages * page_size, pages_total * page_size);
    return true;
  });
}

Status CheckDb(const bolt::ReadTx& tx, const std::string& path, const ReportFn& report) {
  const bolt::CheckReport pages = CheckPages(tx, report);
  if (!pages.ok()) {
    return DataLoss("snapshot file integrity check failed. " + std::to_string(pages.problems.size()) +
                    " errors found. The first: " + std::string(Message(pages.problems.front())));
  }
  QUORATE_ASSIGN_OR_RETURN(const auto keys, tx.FindBucket(mvcc::BucketName(mvcc::Bucket::kKey)));
  QUORATE_ASSIGN_OR_RETURN(const auto meta, tx.FindBucket(mvcc::BucketName(mvcc::Bucket::kMeta)));
  if (keys && meta) return absl::OkStatus();
  return DataLoss(path + " is a bbolt file, but not etcd's: it has no bucket '" + (keys ? "meta" : "key") +
                  "'; name the file that `snapshot save` wrote, or a member's snap/db");
}

}  // namespace quorate::offline
