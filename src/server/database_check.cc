#include "server/database_check.h"

#include <memory>
#include <string_view>
#include <utility>

#include "base/endian.h"
#include "bolt/check.h"
#include "bolt/db.h"
#include "bolt/meta.h"
#include "bolt/page.h"
#include "mvcc/backend.h"

namespace quorate::server {
namespace {

StatusOr<uint64_t> IndexIn(const bolt::ReadTx& tx) {
  QUORATE_ASSIGN_OR_RETURN(const auto meta, tx.FindBucket(mvcc::BucketName(mvcc::Bucket::kMeta)));
  if (!meta) return 0;
  QUORATE_ASSIGN_OR_RETURN(const auto index, meta->Get(mvcc::kConsistentIndexKey));
  return index && index->size() == sizeof(uint64_t) ? LoadBig64(index->data()) : 0;
}

StatusOr<bolt::ReadTx> Read(FileSystem* files, const std::string& path) {
  bolt::Options options;
  options.read_only = true;
  QUORATE_ASSIGN_OR_RETURN(const auto db, bolt::Db::Open(*files, path, options));
  return db->BeginRead();
}

// Db::Open is content with one of the two metas; a copy has both, and then the first is the newest.
Status CheckFirstMeta(FileSystem* files, const std::string& path) {
  QUORATE_ASSIGN_OR_RETURN(const auto file, files->Open(path, {}));
  std::string head(bolt::kPageHeaderBytes + bolt::Meta::kBytes, '\0');
  QUORATE_ASSIGN_OR_RETURN(const size_t bytes, file->ReadAt(0, head.data(), head.size()));
  if (bytes < head.size()) return DataLoss("is too short for a db file");
  if (!bolt::Meta::Parse(head.data())) return DataLoss("does not begin with a sound meta page");
  return absl::OkStatus();
}

// The ways out that are named after it are those of a member whose own file is damaged.
std::string_view WithoutWayOut(std::string_view text) { return text.substr(0, text.find(';')); }

}  // namespace

StatusOr<uint64_t> ReadConsistentIndex(FileSystem* files, const std::string& path) {
  if (const auto info = files->Stat(path); !info.ok() || info->size == 0) {
    return info.ok() || absl::IsNotFound(info.status()) ? StatusOr<uint64_t>(0) : info.status();
  }
  QUORATE_ASSIGN_OR_RETURN(const bolt::ReadTx tx, Read(files, path));
  return IndexIn(tx);
}

Status CheckReceivedDatabase(FileSystem* files, const std::string& path, uint64_t index,
                             const std::function<bool()>& wanted) {
  const auto refusal = [&](std::string_view why) {
    return DataLoss("the database received with a snapshot at raft index " + std::to_string(index) + " (" +
                    path + ") " + std::string(why) + "; the sender will be asked again");
  };
  const auto verdict = [&](const Status& status) {
    if (status.ok() || !absl::IsDataLoss(status)) return status;
    return refusal("is damaged: " + std::string(WithoutWayOut(Message(status))));
  };
  if (const Status status = CheckFirstMeta(files, path); !status.ok()) {
    return absl::IsDataLoss(status) ? refusal(Message(status)) : status;
  }
  StatusOr<bolt::ReadTx> tx = Read(files, path);
  if (!tx.ok()) return verdict(tx.status());
  QUORATE_RETURN_IF_ERROR(verdict(bolt::CheckUsable(*tx, [&](uint64_t, uint64_t) { return wanted(); })));
  const StatusOr<uint64_t> stands_at = IndexIn(*tx);
  if (!stands_at.ok()) return verdict(stands_at.status());
  if (*stands_at >= index) return absl::OkStatus();
  return refusal("stands at raft index " + std::to_string(*stands_at) +
                 ": it is older than the snapshot, or another cluster's");
}

}  // namespace quorate::server
