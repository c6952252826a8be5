// For tests: members' files in a simulated file system, made by hand.
#pragma once

#include <gtest/gtest.h>
#include <openssl/sha.h>

#include <memory>
#include <string>
#include <vector>

#include "base/endian.h"
#include "base/env_sim.h"
#include "bolt/db.h"
#include "mvcc/backend.h"
#include "mvcc/key_value.h"
#include "mvcc/revision.h"
#include "offline/restore.h"

namespace quorate::offline {

struct Record {
  int64_t revision;
  std::string key;
  std::string value;
  bool tombstone = false;
  int64_t create = 0;  // 0: as the revision.
};

class OfflineTest : public testing::Test {
 protected:
  // A database as an etcd of the version leaves it, with these records and an old member.
  void MakeDb(const std::string& path, const std::vector<Record>& records,
              const std::string& version = "3.4.0") {
    files.CreateDirectories(path.substr(0, path.rfind('/')), 0700).IgnoreError();
    auto db = bolt::Db::Open(files, path, {});
    ASSERT_TRUE(db.ok()) << db.status();
    auto tx = (*db)->BeginWrite();
    ASSERT_TRUE(tx.ok());
    for (size_t i = 0; i < mvcc::kBucketCount; ++i) {
      ASSERT_TRUE((*tx)->CreateBucketIfMissing(mvcc::BucketName(static_cast<mvcc::Bucket>(i))).ok());
    }
    for (const Record& record : records) {
      mvcc::KeyValue kv;
      kv.key = record.key;
      if (!record.tombstone) {
        kv.create_revision = record.create == 0 ? record.revision : record.create;
        kv.mod_revision = record.revision;
        kv.version = 1;
        kv.value = record.value;
      }
      std::string bytes(mvcc::EncodedSize(kv), '\0');
      mvcc::Encode(kv, bytes.data());
      Put(**tx, "key", mvcc::EncodeRevision({record.revision, 0}, record.tombstone).view(), bytes);
    }
    Put(**tx, "meta", "consistent_index", Number(77));
    Put(**tx, "members", "abc", R"({"id":2748,"peerURLs":["http://old:2380"],"name":"old"})");
    Put(**tx, "members_removed", "def", "removed");
    Put(**tx, "cluster", "clusterVersion", version);
    if (version >= "3.5") {
      Put(**tx, "meta", "term", Number(9));
      Put(**tx, "meta", "confState", R"({"voters":[2748],"auto_leave":false})");
    }
    if (version >= "3.6") Put(**tx, "meta", "storageVersion", version);
    ASSERT_TRUE((*tx)->Commit().ok());
  }

  // As `snapshot save` writes it: the database and its digest.
  void MakeSnapshot(const std::string& path, const std::vector<Record>& records,
                    const std::string& version = "3.4.0") {
    MakeDb("/make/db", records, version);
    std::string bytes = *files.ReadAll("/make/db");
    std::string digest(SHA256_DIGEST_LENGTH, '\0');
    SHA256(reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size(),
           reinterpret_cast<unsigned char*>(digest.data()));
    WriteFile(path, bytes + digest);
    ASSERT_TRUE(files.RemoveAll("/make").ok());
  }

  void WriteFile(const std::string& path, std::string_view bytes) {
    files.CreateDirectories(path.substr(0, path.rfind('/')), 0700).IgnoreError();
    ASSERT_TRUE(files.WriteAtomically(path, bytes, 0600).ok());
  }

  // One row of a db file; empty when there is none.
  std::string Row(const std::string& path, std::string_view bucket, std::string_view key) {
    bolt::Options options;
    options.read_only = true;
    auto db = bolt::Db::Open(files, path, options);
    if (!db.ok()) return "(" + std::string(Message(db.status())) + ")";
    const auto tx = (*db)->BeginRead();
    const auto found = tx->FindBucket(bucket);
    if (!found.ok() || !*found) return "(no bucket)";
    const auto row = (*found)->Get(key);
    return row.ok() && *row ? std::string(**row) : "";
  }

  static std::string Number(uint64_t value) {
    std::string bytes(8, '\0');
    StoreBig64(bytes.data(), value);
    return bytes;
  }

  static RestoreOptions Options() {
    RestoreOptions options;
    options.snapshot_path = "/snapshot.db";
    options.name = "m1";
    options.data_dir = "/data/m1.etcd";
    options.peer_urls = {"http://10.0.0.1:2380"};
    options.initial_cluster = "m1=http://10.0.0.1:2380,m2=http://10.0.0.2:2380,m3=http://10.0.0.3:2380";
    return options;
  }

  SimFileSystem files{1};

 private:
  static void Put(bolt::WriteTx& tx, std::string_view bucket, std::string_view key, std::string_view value) {
    auto found = tx.FindBucket(bucket);
    ASSERT_TRUE(found.ok() && *found != nullptr) << bucket;
    ASSERT_TRUE((*found)->Put(key, value).ok());
  }
};

inline std::vector<Record> SomeRecords() {
  return {{2, "a", "1"}, {3, "b", "2"}, {4, "a", "3", false, 2}, {5, "b", "", true}, {6, "c", "4"}};
}

}  // namespace quorate::offline
