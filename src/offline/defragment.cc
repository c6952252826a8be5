#include "offline/defragment.h"

#include <cinttypes>
#include <cstdio>
#include <memory>

#include "bolt/db.h"
#include "offline/data_directory.h"
#include "offline/db_file.h"

namespace quorate::offline {
namespace {

// Pages fill in order and are not split again; a few thousand pairs a transaction bound the memory.
constexpr double kSequentialFill = 0.9;
constexpr size_t kTransactionBytes = 8 * 1024 * 1024;

// Copies buckets into a new file, a transaction after the other.
class Copier {
 public:
  Copier(bolt::Db* to, uint64_t total, const ReportFn& report) : to_(to), total_(total), report_(report) {}

  Status CopyBucket(std::string_view name, const bolt::Bucket& bucket) {
    bolt::Cursor cursor = bucket.NewCursor();
    QUORATE_RETURN_IF_ERROR(cursor.SeekFirst());
    do {
      QUORATE_RETURN_IF_ERROR(CopySome(name, &cursor));
    } while (cursor.Valid());
    return absl::OkStatus();
  }

 private:
  Status CopySome(std::string_view name, bolt::Cursor* cursor) {
    QUORATE_ASSIGN_OR_RETURN(const std::unique_ptr<bolt::WriteTx> tx, to_->BeginWrite());
    QUORATE_ASSIGN_OR_RETURN(bolt::WriteBucket * target, tx->CreateBucketIfMissing(name));
    target->set_fill_percent(kSequentialFill);
    for (size_t bytes = 0; bytes < kTransactionBytes && cursor->Valid();) {
      if (cursor->is_bucket()) {
        return FailedPrecondition("bucket '" + std::string(name) +
                                  "' holds a nested bucket, which etcd never makes; "
                                  "this file can't be defragmented");
      }
      QUORATE_RETURN_IF_ERROR(target->Put(cursor->key(), cursor->value()));
      bytes += cursor->key().size() + cursor->value().size();
      done_ += cursor->key().size() + cursor->value().size();
      QUORATE_RETURN_IF_ERROR(cursor->Next());
    }
    if (report_) report_("copying", done_, total_);
    return tx->Commit();
  }

  bolt::Db* const to_;
  const uint64_t total_;
  const ReportFn& report_;
  uint64_t done_ = 0;
};

Status SyncFile(FileSystem* files, const std::string& path) {
  OpenOptions open;
  open.write = true;
  QUORATE_ASSIGN_OR_RETURN(const auto file, files->Open(path, open));
  return file->Sync();
}

Status WriteCopy(FileSystem* files, const bolt::ReadTx& from, uint64_t bytes_in_use, const std::string& path,
                 const ReportFn& report) {
  bolt::Options options;
  options.page_size = from.pages().page_size;
  options.sync = false;  // The copy counts for nothing until it is whole; then it is synced once.
  {
    QUORATE_ASSIGN_OR_RETURN(const auto to, bolt::Db::Open(*files, path, options));
    Copier copier(to.get(), bytes_in_use, report);
    QUORATE_RETURN_IF_ERROR(from.ForEachBucket(
        [&](std::string_view name, const bolt::Bucket& bucket) { return copier.CopyBucket(name, bucket); }));
  }
  return SyncFile(files, path);
}

}  // namespace

StatusOr<Defragmented> Defragment(const Env& env, const std::string& db_path, const ReportFn& report) {
  QUORATE_ASSIGN_OR_RETURN(const auto db, OpenDb(env.files, db_path, true));
  QUORATE_ASSIGN_OR_RETURN(const bolt::ReadTx from, db->BeginRead());
  QUORATE_RETURN_IF_ERROR(CheckDb(from, db_path, report));
  const bolt::Stats stats = db->stats();
  char suffix[24];
  std::snprintf(suffix, sizeof suffix, ".tmp.%016" PRIx64, env.random->Next());
  const std::string copy = db_path + suffix;
  Status status =
      WriteCopy(env.files, from, (stats.pages_total - stats.pages_free) * stats.page_size, copy, report);
  Defragmented result;
  result.bytes_before = stats.file_bytes;
  if (status.ok()) {
    const auto info = env.files->Stat(copy);
    status = info.status();
    if (info.ok()) result.bytes_after = info->size;
  }
  if (status.ok()) status = env.files->Rename(copy, db_path);
  if (!status.ok()) {
    // The first error is the one to tell; what can't be removed now, the server's next start removes.
    for (const std::string& path : {copy, copy + ".tmp"}) {
      if (env.files->Exists(path)) env.files->Remove(path).IgnoreError();
    }
    return status;
  }
  QUORATE_RETURN_IF_ERROR(env.files->SyncDirectory(ParentOf(db_path)));
  return result;
}

}  // namespace quorate::offline
