#include "offline/check_db.h"

#include <utility>

#include "base/endian.h"
#include "bolt/check.h"
#include "bolt/db.h"
#include "cluster/member.h"
#include "cluster/version.h"
#include "mvcc/backend.h"
#include "mvcc/key_value.h"
#include "mvcc/revision.h"
#include "offline/db_file.h"

namespace quorate::offline {
namespace {

using mvcc::Bucket;
using mvcc::BucketName;

// Rows of one file.
class RowChecker {
 public:
  RowChecker(const bolt::ReadTx& tx, const std::string& path, DbCheck* check)
      : tx_(tx), path_(path), check_(check) {}

  Status CheckBucket(std::string_view name, const bolt::Bucket& bucket) {
    bolt::Cursor cursor = bucket.NewCursor();
    QUORATE_RETURN_IF_ERROR(cursor.SeekFirst());
    while (cursor.Valid()) {
      ++check_->rows;
      const std::string wrong = cursor.is_bucket() ? "a nested bucket, which etcd never makes"
                                                   : WhatIsWrong(name, cursor.key(), cursor.value());
      if (!wrong.empty()) Add(name, cursor.key(), wrong);
      QUORATE_RETURN_IF_ERROR(cursor.Next());
    }
    return absl::OkStatus();
  }

 private:
  void Add(std::string_view bucket, std::string_view key, const std::string& wrong) {
    if (check_->findings.size() >= kFindingsMax) return;
    // The key is a view into the mapped file.
    const auto offset = static_cast<uint64_t>(key.data() - tx_.pages().base);
    check_->findings.push_back({Finding::Kind::kDamage, path_ + " at offset " + std::to_string(offset) +
                                                            ": bucket '" + std::string(bucket) + "' holds " +
                                                            wrong});
  }

  std::string WhatIsWrong(std::string_view bucket, std::string_view key, std::string_view value) {
    if (bucket == BucketName(Bucket::kKey)) return WrongRecord(key, value);
    if (bucket == BucketName(Bucket::kMembers)) {
      const auto member = cluster::ParseMember(value);
      return member.ok() && cluster::IdText(member->id) == key ? "" : "a row that describes no member";
    }
    if (bucket == BucketName(Bucket::kMeta)) return WrongMeta(key, value);
    if (bucket == BucketName(Bucket::kLease) && key.size() != sizeof(uint64_t))
      return "a row that is no lease";
    return "";
  }

  std::string WrongRecord(std::string_view key, std::string_view value) {
    mvcc::Revision revision;
    bool tombstone = false;
    if (!mvcc::DecodeRevision(key, &revision, &tombstone)) return "a row whose key is no revision";
    const std::string at = std::to_string(revision.main) + "/" + std::to_string(revision.sub);
    if (revision.main < check_->revision)
      return "revision " + at + " after " + std::to_string(check_->revision);
    check_->revision = revision.main;
    mvcc::KeyValue kv;
    if (!mvcc::Decode(value, &kv)) return "revision " + at + " with a value that can't be read";
    // A restored snapshot's bumped revision has neither key nor value.
    if (value.empty() || tombstone) return "";
    if (kv.mod_revision != revision.main) {
      return "revision " + at + " with a value of revision " + std::to_string(kv.mod_revision);
    }
    if (kv.create_revision <= 0 || kv.create_revision > kv.mod_revision || kv.version <= 0) {
      return "revision " + at + " with a creation or a version that can't be";
    }
    return "";
  }

  static std::string WrongMeta(std::string_view key, std::string_view value) {
    const bool is_number = key == mvcc::kConsistentIndexKey || key == mvcc::kTermKey;
    if (is_number && value.size() != sizeof(uint64_t)) return std::string(key) + ", which is no number";
    if (key == mvcc::kScheduledCompactKey || key == mvcc::kFinishedCompactKey) {
      mvcc::Revision revision;
      bool tombstone = false;
      if (!mvcc::DecodeRevision(value, &revision, &tombstone))
        return std::string(key) + ", which is no revision";
    }
    return "";
  }

  const bolt::ReadTx& tx_;
  const std::string& path_;
  DbCheck* const check_;
};

}  // namespace

StatusOr<DbCheck> CheckDbFile(FileSystem* files, const std::string& path, const ReportFn& report) {
  DbCheck check;
  const auto damage = [&check](std::string text) {
    check.findings.push_back({Finding::Kind::kDamage, std::move(text)});
  };
  const auto db = OpenDb(files, path, false);
  if (db.status().code() == absl::StatusCode::kDataLoss) {
    damage(std::string(Message(db.status())));
    return check;
  }
  QUORATE_RETURN_IF_ERROR(db.status());
  QUORATE_RETURN_IF_ERROR(ReadAhead(files, path, report));
  QUORATE_ASSIGN_OR_RETURN(const bolt::ReadTx tx, (*db)->BeginRead());
  const bolt::CheckReport pages = CheckPages(tx, report);
  check.pages_total = pages.pages_total;
  check.pages_free = pages.pages_free;
  for (const Status& problem : pages.problems) damage(std::string(Message(problem)));
  // What lies on a damaged page would only repeat it.
  if (!pages.ok()) return check;
  for (const Bucket bucket : {Bucket::kKey, Bucket::kMeta}) {
    QUORATE_ASSIGN_OR_RETURN(const auto found, tx.FindBucket(BucketName(bucket)));
    if (!found)
      damage(path + ": it has no bucket '" + std::string(BucketName(bucket)) + "', so it is not etcd's");
  }
  RowChecker rows(tx, path, &check);
  QUORATE_RETURN_IF_ERROR(tx.ForEachBucket(
      [&](std::string_view name, const bolt::Bucket& bucket) { return rows.CheckBucket(name, bucket); }));
  return check;
}

}  // namespace quorate::offline
