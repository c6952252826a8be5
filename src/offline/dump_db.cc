#include <vector>

#include "auth.pb.h"
#include "base/endian.h"
#include "base/wire.h"
#include "bolt/db.h"
#include "cluster/member.h"
#include "mvcc/backend.h"
#include "mvcc/key_value.h"
#include "mvcc/revision.h"
#include "offline/db_file.h"
#include "offline/dump.h"

namespace quorate::offline {
namespace {

using mvcc::Bucket;
using mvcc::BucketName;

std::string RevisionText(mvcc::Revision revision) {
  return std::to_string(revision.main) + "/" + std::to_string(revision.sub);
}

std::string RecordText(std::string_view key, std::string_view value, const TextOptions& options) {
  mvcc::Revision revision;
  bool tombstone = false;
  mvcc::KeyValue kv;
  if (!mvcc::DecodeRevision(key, &revision, &tombstone) || !mvcc::Decode(value, &kv)) return "(no record)";
  std::string text =
      "rev=" + RevisionText(revision) + (tombstone ? " delete key=" : " put key=") + BytesText(kv.key);
  if (tombstone) return text;
  text += " create=" + std::to_string(kv.create_revision) + " version=" + std::to_string(kv.version);
  if (kv.lease != 0) text += " lease=" + cluster::IdText(static_cast<uint64_t>(kv.lease));
  const bool hide = IsSecretKey(kv.key) && !options.show_secrets;
  return text + " value=" + (hide ? std::string(kHidden) : BytesText(kv.value));
}

std::string MetaText(std::string_view key, std::string_view value) {
  std::string text = std::string(key) + "=";
  mvcc::Revision revision;
  bool tombstone = false;
  if ((key == mvcc::kConsistentIndexKey || key == mvcc::kTermKey) && value.size() == sizeof(uint64_t)) {
    return text + std::to_string(LoadBig64(value.data()));
  }
  if (mvcc::DecodeRevision(value, &revision, &tombstone)) return text + RevisionText(revision);
  return text + BytesText(value);
}

std::string LeaseText(std::string_view key, std::string_view value) {
  std::string text =
      "lease " + (key.size() == sizeof(uint64_t) ? cluster::IdText(LoadBig64(key.data())) : BytesText(key));
  wire::Reader reader(value);
  while (reader.Next()) {
    if (reader.Is(2, wire::Type::kVarint)) text += " ttl=" + std::to_string(reader.int64()) + "s";
    if (reader.Is(3, wire::Type::kVarint)) text += " remaining=" + std::to_string(reader.int64()) + "s";
  }
  return reader.ok() ? text : text + " (can't be read)";
}

std::string AlarmText(std::string_view key) {
  uint64_t member = 0;
  uint64_t alarm = 0;
  wire::Reader reader(key);
  while (reader.Next()) {
    if (reader.Is(1, wire::Type::kVarint)) member = reader.varint();
    if (reader.Is(2, wire::Type::kVarint)) alarm = reader.varint();
  }
  const char* name = alarm == 1 ? "NOSPACE" : alarm == 2 ? "CORRUPT" : "NONE";
  return "alarm " + std::string(name) + " member=" + cluster::IdText(member);
}

std::string UserText(std::string_view key, std::string_view value) {
  authpb::User user;
  std::string text = "user " + BytesText(key);
  if (!user.ParseFromArray(value.data(), static_cast<int>(value.size()))) return text + " (can't be read)";
  for (const std::string& role : user.roles()) text += " role=" + BytesText(role);
  if (user.options().no_password()) return text + " no-password";
  return text + " password=" + std::string(kHidden);
}

std::string RoleText(std::string_view key, std::string_view value) {
  authpb::Role role;
  std::string text = "role " + BytesText(key);
  if (!role.ParseFromArray(value.data(), static_cast<int>(value.size()))) return text + " (can't be read)";
  for (const authpb::Permission& permission : role.keypermission()) {
    text += " " + authpb::Permission::Type_Name(permission.permtype()) + "=[" + BytesText(permission.key());
    if (!permission.range_end().empty()) text += ", " + BytesText(permission.range_end());
    text += permission.range_end().empty() ? "]" : ")";
  }
  return text;
}

std::string AuthText(std::string_view key, std::string_view value) {
  if (value.size() == sizeof(uint64_t))
    return std::string(key) + "=" + std::to_string(LoadBig64(value.data()));
  if (value.size() == 1) return std::string(key) + "=" + (value[0] == 0 ? "false" : "true");
  return std::string(key) + "=" + BytesText(value);
}

std::string RowText(std::string_view bucket, std::string_view key, std::string_view value,
                    const TextOptions& options) {
  const auto is = [bucket](Bucket name) { return bucket == BucketName(name); };
  if (is(Bucket::kKey)) return RecordText(key, value, options);
  if (is(Bucket::kMeta)) return MetaText(key, value);
  if (is(Bucket::kLease)) return LeaseText(key, value);
  if (is(Bucket::kAlarm)) return AlarmText(key);
  if (is(Bucket::kAuthUsers)) return UserText(key, value);
  if (is(Bucket::kAuthRoles)) return RoleText(key, value);
  if (is(Bucket::kAuth)) return AuthText(key, value);
  if (is(Bucket::kMembers) || is(Bucket::kMembersRemoved) || is(Bucket::kCluster)) {
    return std::string(key) + " " + std::string(value);
  }
  return BytesText(key) + " " + BytesText(value);
}

StatusOr<std::string> BucketNames(const bolt::ReadTx& tx) {
  std::string names;
  QUORATE_RETURN_IF_ERROR(tx.ForEachBucket([&names](std::string_view name, const bolt::Bucket&) -> Status {
    names += (names.empty() ? "" : ", ") + std::string(name);
    return absl::OkStatus();
  }));
  return names;
}

}  // namespace

Status DumpBuckets(FileSystem* files, const std::string& path, const LineFn& line) {
  QUORATE_ASSIGN_OR_RETURN(const auto db, OpenDb(files, path, false));
  QUORATE_ASSIGN_OR_RETURN(const bolt::ReadTx tx, db->BeginRead());
  return tx.ForEachBucket([&](std::string_view name, const bolt::Bucket& bucket) -> Status {
    uint64_t rows = 0;
    uint64_t bytes = 0;
    bolt::Cursor cursor = bucket.NewCursor();
    QUORATE_RETURN_IF_ERROR(cursor.SeekFirst());
    while (cursor.Valid()) {
      ++rows;
      bytes += cursor.key().size() + cursor.value().size();
      QUORATE_RETURN_IF_ERROR(cursor.Next());
    }
    return line(std::string(name) + "  rows=" + std::to_string(rows) + " bytes=" + std::to_string(bytes));
  });
}

Status DumpBucket(FileSystem* files, const std::string& path, const BucketDumpOptions& options,
                  const LineFn& line) {
  QUORATE_ASSIGN_OR_RETURN(const auto db, OpenDb(files, path, false));
  QUORATE_ASSIGN_OR_RETURN(const bolt::ReadTx tx, db->BeginRead());
  QUORATE_ASSIGN_OR_RETURN(const auto bucket, tx.FindBucket(options.bucket));
  if (!bucket) {
    QUORATE_ASSIGN_OR_RETURN(const std::string names, BucketNames(tx));
    return NotFound(path + " has no bucket '" + options.bucket + "'; it has " + names);
  }
  bolt::Cursor cursor = bucket->NewCursor();
  QUORATE_RETURN_IF_ERROR(options.newest_first ? cursor.SeekLast() : cursor.SeekFirst());
  for (uint64_t rows = 0; cursor.Valid() && rows < options.rows_max; ++rows) {
    QUORATE_RETURN_IF_ERROR(line(RowText(options.bucket, cursor.key(), cursor.value(), options.text)));
    QUORATE_RETURN_IF_ERROR(options.newest_first ? cursor.Prev() : cursor.Next());
  }
  return absl::OkStatus();
}

}  // namespace quorate::offline
