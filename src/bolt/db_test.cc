#include "bolt/db.h"

#include <gtest/gtest.h>

#include <atomic>
#include <set>
#include <thread>

#include "base/env_sim.h"
#include "bolt/db_model.h"

namespace quorate::bolt {
namespace {

constexpr char kPath[] = "db";

Options SmallMap() {
  Options options;
  options.map_bytes = 64 << 10;
  return options;
}

class DbTest : public testing::Test {
 protected:
  void Open(const Options& options = SmallMap()) {
    db_.reset();
    auto db = Db::Open(files_, kPath, options);
    ASSERT_EQ(db.status(), absl::OkStatus());
    db_ = *std::move(db);
  }
  std::unique_ptr<WriteTx> BeginWrite() {
    auto tx = db_->BeginWrite();
    EXPECT_EQ(tx.status(), absl::OkStatus());
    return *std::move(tx);
  }
  WriteBucket* Create(WriteTx& tx, std::string_view name) {
    const auto bucket = tx.CreateBucketIfMissing(name);
    EXPECT_EQ(bucket.status(), absl::OkStatus());
    return *bucket;
  }
  // Puts keys [from, to) as big-endian numbers into `name` in one transaction.
  void PutNumbers(std::string_view name, uint64_t from, uint64_t to, size_t value_bytes = 100) {
    const auto tx = BeginWrite();
    WriteBucket* bucket = Create(*tx, name);
    bucket->set_fill_percent(0.9);
    for (uint64_t n = from; n < to; ++n) {
      ASSERT_EQ(bucket->Put(NumberedKey(n), std::string(value_bytes, 'v')), absl::OkStatus());
    }
    ASSERT_EQ(tx->Commit(), absl::OkStatus());
  }
  void DeleteNumbers(std::string_view name, uint64_t from, uint64_t to, uint64_t step) {
    const auto tx = BeginWrite();
    WriteBucket* bucket = Create(*tx, name);
    for (uint64_t n = from; n < to; n += step) {
      ASSERT_EQ(bucket->Delete(NumberedKey(n)), absl::OkStatus());
    }
    ASSERT_EQ(tx->Commit(), absl::OkStatus());
  }

  SimFileSystem files_{1};
  std::unique_ptr<Db> db_;
};

TEST_F(DbTest, NewFileIsEmptyAndSmall) {
  Open();
  EXPECT_EQ(db_->stats().pages_total, 4u);
  EXPECT_EQ(db_->stats().txid, 1u);
  EXPECT_EQ(files_.Stat(kPath)->size, 4 * 4096u);
  EXPECT_EQ(*ReadModel(*db_), BucketModel{});
  ExpectSound(*db_);
}

TEST_F(DbTest, TransactionsSeeTheirOwnWritesAndOthersNot) {
  Open();
  auto tx = BeginWrite();
  WriteBucket* bucket = Create(*tx, "key");
  ASSERT_EQ(bucket->Put("a", "1"), absl::OkStatus());
  EXPECT_EQ(**bucket->Get("a"), "1");
  EXPECT_FALSE((*db_->BeginRead()->FindBucket("key")).has_value());
  EXPECT_EQ(db_->BeginWrite().status().code(), absl::StatusCode::kFailedPrecondition);
  ASSERT_EQ(tx->Commit(), absl::OkStatus());
  EXPECT_EQ(tx->Commit().code(), absl::StatusCode::kFailedPrecondition);

  const auto read = db_->BeginRead();
  const auto found = read->FindBucket("key");
  ASSERT_TRUE(found->has_value());
  EXPECT_EQ(**(**found).Get("a"), "1");
  EXPECT_FALSE((**found).Get("b")->has_value());

  tx = BeginWrite();
  ASSERT_EQ(Create(*tx, "key")->Put("a", "2"), absl::OkStatus());
  tx.reset();
  EXPECT_EQ(**(**found).Get("a"), "1");
  Open();
  EXPECT_EQ(ReadModel(*db_)->buckets["key"].values["a"], "1");
}

TEST_F(DbTest, AnUnchangedTransactionWritesNothing) {
  Open();
  PutNumbers("key", 0, 10);
  const uint64_t operations = files_.operations();
  ASSERT_EQ(BeginWrite()->Commit(), absl::OkStatus());
  {
    const auto tx = BeginWrite();
    ASSERT_EQ(Create(*tx, "key")->Delete("missing"), absl::OkStatus());
    ASSERT_EQ(tx->Commit(), absl::OkStatus());
  }
  EXPECT_EQ(files_.operations(), operations);
  EXPECT_EQ(db_->stats().txid, 2u);
}

TEST_F(DbTest, RefusesWhatTheFormatCannotHold) {
  Open();
  const auto tx = BeginWrite();
  WriteBucket* bucket = Create(*tx, "key");
  const auto refused = absl::StatusCode::kInvalidArgument;
  EXPECT_EQ(bucket->Put("", "v").code(), refused);
  EXPECT_EQ(bucket->Put(std::string(32769, 'k'), "v").code(), refused);
  EXPECT_EQ(bucket->Put(std::string(32768, 'k'), "v"), absl::OkStatus());
  EXPECT_EQ(tx->CreateBucketIfMissing("").status().code(), refused);
  const auto mismatch = absl::StatusCode::kFailedPrecondition;
  EXPECT_EQ(tx->root().Put("key", "v").code(), mismatch);
  EXPECT_EQ(tx->root().Delete("key").code(), mismatch);
  EXPECT_EQ(bucket->CreateBucketIfMissing(std::string(32768, 'k')).status().code(), mismatch);
  EXPECT_EQ(tx->DeleteBucket("other").code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(*tx->FindBucket("other"), nullptr);
  ASSERT_EQ(tx->Commit(), absl::OkStatus());
  ExpectSound(*db_);
}

// bbolt's rule, and what it writes for etcd's empty buckets: 32 bytes.
TEST_F(DbTest, SmallBucketsAreInline) {
  Open();
  {
    const auto tx = BeginWrite();
    for (const char* name : {"alarm", "auth", "lease"}) Create(*tx, name);
    ASSERT_EQ(Create(*tx, "meta")->Put("consistent_index", "12345678"), absl::OkStatus());
    ASSERT_EQ(Create(*tx, "large")->Put("k", std::string(1024, 'v')), absl::OkStatus());
    ASSERT_EQ(tx->Commit(), absl::OkStatus());
  }
  {
    const auto tx = db_->BeginRead();
    Cursor cursor = tx->Root()->NewCursor();
    std::map<std::string, size_t> sizes;
    for (Status s = cursor.SeekFirst(); s.ok() && cursor.Valid(); s = cursor.Next()) {
      EXPECT_TRUE(cursor.is_bucket());
      sizes[std::string(cursor.key())] = cursor.value().size();
    }
    const std::map<std::string, size_t> expected = {
        {"alarm", 32}, {"auth", 32}, {"large", 16}, {"lease", 32}, {"meta", 16 + 16 + 16 + 16 + 8}};
    EXPECT_EQ(sizes, expected);
  }
  // Growing moves a bucket out, shrinking takes it in again.
  PutNumbers("alarm", 0, 100);
  EXPECT_EQ(Check(*db_->BeginRead()).counts.inline_buckets, 3u);
  DeleteNumbers("alarm", 1, 100, 1);
  EXPECT_EQ(Check(*db_->BeginRead()).counts.inline_buckets, 4u);
  ExpectSound(*db_);
}

TEST_F(DbTest, SequencesAreKept) {
  Open();
  for (const uint64_t sequence : {7u, 8u}) {
    const auto tx = BeginWrite();
    Create(*tx, "small")->set_sequence(sequence);
    Create(*tx, "large")->set_sequence(sequence + 10);
    if (sequence == 7) {
      ASSERT_EQ(Create(*tx, "large")->Put("k", std::string(2000, 'v')), absl::OkStatus());
    }
    ASSERT_EQ(tx->Commit(), absl::OkStatus());
  }
  Open();
  const auto tx = db_->BeginRead();
  EXPECT_EQ((**tx->FindBucket("small")).sequence(), 8u);
  EXPECT_EQ((**tx->FindBucket("large")).sequence(), 18u);
  EXPECT_TRUE((**tx->FindBucket("large")).Get("k")->has_value());
}

// The pages of appended keys are filled as told, and only the rightmost path is written again.
TEST_F(DbTest, AppendsFillPagesAndRewriteOnlyTheRightmostPath) {
  Open();
  for (uint64_t n = 0; n < 5; ++n) PutNumbers("key", n * 2000, (n + 1) * 2000);
  const CheckReport report = Check(*db_->BeginRead());
  // 124 bytes an element; 0.9 of 4096 bytes hold 29.
  EXPECT_LE(report.counts.leaf_pages, 10'000 / 29 + 5 * 3u);
  EXPECT_EQ(report.counts.keys, 10'000u);
  const uint64_t before = db_->stats().pages_total;
  PutNumbers("key", 10'000, 10'001);
  const Stats after = db_->stats();
  EXPECT_LE(after.pages_total - before + after.pages_pending, 10u);
  ExpectSound(*db_);
}

TEST_F(DbTest, DeletedPagesAreUsedAgainAndTheTreeShrinks) {
  Open();
  PutNumbers("key", 0, 5000);
  DeleteNumbers("key", 0, 5000, 2);
  DeleteNumbers("key", 1, 4999, 2);
  ExpectSound(*db_);
  // The root bucket's, and the last key's.
  EXPECT_LE(Check(*db_->BeginRead()).counts.leaf_pages, 2u);
  const uint64_t total = db_->stats().pages_total;
  PutNumbers("key", 0, 5000);
  EXPECT_EQ(db_->stats().pages_total, total);
  ExpectSound(*db_);
  const auto tx = BeginWrite();
  ASSERT_EQ(tx->DeleteBucket("key"), absl::OkStatus());
  ASSERT_EQ(tx->Commit(), absl::OkStatus());
  const Stats stats = db_->stats();
  EXPECT_EQ(stats.pages_free + stats.pages_pending + 3, stats.pages_total);
  ExpectSound(*db_);
}

// Compaction: most keys go, evenly. What stays must not keep a page each.
TEST_F(DbTest, ScatteredDeletesMergePages) {
  Open();
  PutNumbers("key", 0, 10'000);
  {
    const auto tx = BeginWrite();
    WriteBucket* bucket = Create(*tx, "key");
    for (uint64_t n = 0; n < 10'000; ++n) {
      if (n % 20 == 0) continue;
      ASSERT_EQ(bucket->Delete(NumberedKey(n)), absl::OkStatus());
    }
    ASSERT_EQ(tx->Commit(), absl::OkStatus());
  }
  ExpectSound(*db_);
  const CheckReport report = Check(*db_->BeginRead());
  EXPECT_EQ(report.counts.keys, 500u);
  EXPECT_LE(report.counts.leaf_pages, 70u);
}

TEST_F(DbTest, AReaderPinsItsPagesOnly) {
  Open();
  PutNumbers("key", 0, 1000);
  auto reader = db_->BeginRead();
  const auto seen = ReadModel(*reader);
  PutNumbers("key", 500, 600, 50);
  const uint64_t pinned = db_->stats().pages_pending;
  EXPECT_GT(pinned, 0u);
  // What is written and replaced while the reader is open is not its own: the churn is not pinned.
  for (int i = 0; i < 50; ++i) PutNumbers("key", 500, 600, 50 + i % 3);
  EXPECT_LT(db_->stats().pages_pending, 4 * pinned);
  EXPECT_EQ(*ReadModel(*reader), *seen);
  ExpectSound(*db_);
  EXPECT_EQ(db_->stats().open_reads, 1);
  { const ReadTx ended = *std::move(reader); }
  EXPECT_EQ(db_->stats().open_reads, 0);
  PutNumbers("key", 0, 1);
  ASSERT_NE(BeginWrite(), nullptr);
  EXPECT_EQ(db_->stats().pages_pending, 0u);
  ExpectSound(*db_);
}

TEST_F(DbTest, AReaderOutlivesTheDb) {
  Open();
  PutNumbers("key", 0, 100);
  const auto reader = db_->BeginRead();
  db_.reset();
  EXPECT_EQ(ReadModel(*reader)->buckets["key"].values.size(), 100u);
}

TEST_F(DbTest, LargeValuesSpanPages) {
  Open();
  BucketModel model;
  BucketModel& key = model.buckets["key"];
  for (int i = 0; i < 10; ++i) key.values["k" + std::to_string(i)] = std::string(1'000'000 + i, 'a' + i);
  const auto tx = BeginWrite();
  for (const auto& [k, v] : key.values) ASSERT_EQ(Create(*tx, "key")->Put(k, v), absl::OkStatus());
  ASSERT_EQ(tx->Commit(), absl::OkStatus());
  ExpectSound(*db_);
  Open();
  EXPECT_EQ(*ReadModel(*db_), model);
}

TEST_F(DbTest, TheFileGrowsAheadAndTheMappingFollows) {
  Open();
  const auto reader = db_->BeginRead();
  for (uint64_t n = 0; n < 20; ++n) PutNumbers("key", n * 5000, (n + 1) * 5000, 200);
  const Stats stats = db_->stats();
  EXPECT_GT(stats.pages_total * stats.page_size, uint64_t{16} << 20);
  EXPECT_EQ(stats.file_bytes, files_.Stat(kPath)->size);
  EXPECT_GE(stats.file_bytes, stats.pages_total * stats.page_size);
  EXPECT_EQ(*ReadModel(*reader), BucketModel{});
  EXPECT_EQ(ReadModel(*db_)->buckets["key"].values.size(), 100'000u);
}

TEST_F(DbTest, CopyIsADbOfItsOwn) {
  Open();
  PutNumbers("key", 0, 3000);
  DeleteNumbers("key", 0, 2000, 3);
  const auto reader = db_->BeginRead();
  const auto seen = ReadModel(*reader);
  PutNumbers("other", 0, 100);
  std::string copy;
  ASSERT_EQ(reader->CopyTo([&](std::string_view chunk) {
    copy.append(chunk);
    return absl::OkStatus();
  }),
            absl::OkStatus());
  EXPECT_EQ(copy.size(), reader->size_bytes());
  ASSERT_EQ(files_.WriteAtomically("copy", copy, 0600), absl::OkStatus());
  const auto db = Db::Open(files_, "copy", SmallMap());
  ASSERT_EQ(db.status(), absl::OkStatus());
  EXPECT_EQ((*db)->stats().txid, reader->txid());
  EXPECT_EQ(*ReadModel(**db), *seen);
  ExpectSound(**db);
  EXPECT_EQ(reader->CopyTo([](std::string_view) { return Unavailable("gone"); }).code(),
            absl::StatusCode::kUnavailable);
}

// Snapshots under load had a hash that did not fit: free pages changed between hashing and sending.
TEST_F(DbTest, ChunksOfACopyStandStillWhileFreePagesAreWritten) {
  Open();
  PutNumbers("key", 0, 3000);
  DeleteNumbers("key", 0, 3000, 1);
  PutNumbers("other", 0, 1);
  const auto reader = db_->BeginRead();
  const uint64_t total = db_->stats().pages_total;
  std::string copy;
  ASSERT_EQ(reader->CopyTo([&](std::string_view chunk) {
    const std::string before(chunk);
    PutNumbers("other", 0, 500);
    EXPECT_EQ(chunk, before);
    copy.append(chunk);
    return absl::OkStatus();
  }),
            absl::OkStatus());
  EXPECT_EQ(db_->stats().pages_total, total);  // So it was written into free pages.
  EXPECT_EQ(copy.size(), reader->size_bytes());
}

TEST_F(DbTest, ResidencyIsAskedOfThePathOnly) {
  Open();
  PutNumbers("key", 0, 5000);
  Open();
  const auto reader = db_->BeginRead();
  const Bucket bucket = **reader->FindBucket("key");
  std::set<size_t> asked;
  files_.set_residency([&](const std::string&, size_t offset, size_t) {
    asked.insert(offset);
    return true;
  });
  EXPECT_TRUE(reader->ResidentOnPath(bucket, NumberedKey(2500)));
  const auto depth = static_cast<size_t>(Check(*reader).counts.depth_max);
  EXPECT_EQ(asked.size(), depth);
  const size_t leaf = *asked.rbegin();
  files_.set_residency([&](const std::string&, size_t offset, size_t) { return offset != leaf; });
  EXPECT_FALSE(reader->ResidentOnPath(bucket, NumberedKey(2500)) &&
               reader->ResidentOnPath(bucket, NumberedKey(4900)) &&
               reader->ResidentOnPath(bucket, NumberedKey(0)));
  files_.set_residency({});
}

TEST_F(DbTest, CursorGoesBothWays) {
  Open();
  PutNumbers("key", 1, 1000);
  const auto tx = BeginWrite();
  WriteBucket* bucket = Create(*tx, "key");
  for (uint64_t n = 1; n < 1000; n += 2) ASSERT_EQ(bucket->Delete(NumberedKey(n)), absl::OkStatus());
  Cursor cursor = bucket->NewCursor();
  ASSERT_EQ(cursor.Seek(NumberedKey(501)), absl::OkStatus());
  EXPECT_EQ(cursor.key(), NumberedKey(502));
  ASSERT_EQ(cursor.Prev(), absl::OkStatus());
  EXPECT_EQ(cursor.key(), NumberedKey(500));
  ASSERT_EQ(cursor.SeekLast(), absl::OkStatus());
  for (uint64_t n = 998; n >= 2; n -= 2) {
    ASSERT_TRUE(cursor.Valid());
    EXPECT_EQ(cursor.key(), NumberedKey(n));
    ASSERT_EQ(cursor.Prev(), absl::OkStatus());
  }
  EXPECT_FALSE(cursor.Valid());
  ASSERT_EQ(cursor.Seek(NumberedKey(999)), absl::OkStatus());
  EXPECT_FALSE(cursor.Valid());
  ASSERT_EQ(cursor.Seek(""), absl::OkStatus());
  EXPECT_EQ(cursor.key(), NumberedKey(2));
}

TEST_F(DbTest, LocksKeepWritersApart) {
  Open();
  EXPECT_EQ(Db::Open(files_, kPath, SmallMap()).status().code(), absl::StatusCode::kFailedPrecondition);
  db_.reset();
  Options options = SmallMap();
  options.read_only = true;
  const auto one = Db::Open(files_, kPath, options);
  const auto two = Db::Open(files_, kPath, options);
  ASSERT_EQ(two.status(), absl::OkStatus());
  EXPECT_EQ((*one)->BeginWrite().status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(Db::Open(files_, "missing", options).status().code(), absl::StatusCode::kNotFound);
}

TEST_F(DbTest, AFailedCommitEndsWriting) {
  for (const SimOperation operation : {SimOperation::kWrite, SimOperation::kSync, SimOperation::kTruncate}) {
    ASSERT_EQ(files_.RemoveAll(kPath), absl::OkStatus());
    Open();
    PutNumbers("key", 0, 10);
    const auto before = ReadModel(*db_);
    const auto tx = BeginWrite();
    ASSERT_EQ(Create(*tx, "key")->Put("k", std::string(100'000, 'v')), absl::OkStatus());
    files_.InjectError(operation, 1);
    EXPECT_EQ(tx->Commit().code(), absl::StatusCode::kDataLoss);
    const auto again = db_->BeginWrite();
    EXPECT_EQ(again.status().code(), absl::StatusCode::kDataLoss);
    EXPECT_NE(Message(again.status()).find("takes no more writes"), std::string_view::npos);
    EXPECT_EQ(*ReadModel(*db_), *before);
    Open();
    EXPECT_EQ(*ReadModel(*db_), *before);
    db_.reset();
  }
}

TEST_F(DbTest, OtherPageSizes) {
  for (const uint32_t page_size : {1024u, 8192u, 65536u}) {
    ASSERT_EQ(files_.RemoveAll(kPath), absl::OkStatus());
    Options options = SmallMap();
    options.page_size = page_size;
    Open(options);
    PutNumbers("key", 0, 3000);
    Open();
    EXPECT_EQ(db_->stats().page_size, page_size);
    EXPECT_EQ(ReadModel(*db_)->buckets["key"].values.size(), 3000u);
    ExpectSound(*db_);
    // The place of the second meta is found without the first.
    const bool newest_is_first = db_->stats().txid % 2 == 0;
    db_.reset();
    ASSERT_EQ(files_.FlipBit(kPath, 20, 1), absl::OkStatus());
    Open();
    EXPECT_EQ(db_->stats().page_size, page_size);
    EXPECT_EQ(ReadModel(*db_)->buckets["key"].values.size(), newest_is_first ? 0 : 3000u);
    db_.reset();
  }
  Options options = SmallMap();
  options.page_size = 5000;
  EXPECT_EQ(Db::Open(files_, "odd", options).status().code(), absl::StatusCode::kInvalidArgument);
}

// Random changes in nested buckets against maps: after each commit, each rollback and each reopening all is
// equal.
TEST_F(DbTest, PropertyEqualsAMap) {
  const uint64_t seed = TestSeed(20'260'101);
  SCOPED_TRACE("QUORATE_TEST_SEED=" + std::to_string(seed));
  RandomChanges changes(seed, {});
  Open();
  BucketModel committed;
  for (int round = 0; round < 150 && !HasFailure(); ++round) {
    BucketModel model = committed;
    auto tx = BeginWrite();
    for (uint64_t n = changes.Below(120); n > 0; --n) changes.Change(tx->root(), model);
    if (changes.Below(5) != 0) {
      ASSERT_EQ(tx->Commit(), absl::OkStatus());
      committed = std::move(model);
    } else {
      tx.reset();
    }
    const auto seen = ReadModel(*db_);
    ASSERT_EQ(seen.status(), absl::OkStatus());
    ASSERT_TRUE(*seen == committed) << "round " << round;
    ExpectSound(*db_);
    if (changes.Below(10) == 0) Open();
  }
}

// Readers on other threads hold a state each while the writer goes on; a state never changes.
TEST_F(DbTest, ReadersSeeOneState) {
  Open();
  constexpr uint64_t kKeys = 300;
  const auto put_all = [&](uint64_t version) {
    const auto tx = BeginWrite();
    WriteBucket* bucket = Create(*tx, "key");
    for (uint64_t n = 0; n < kKeys; ++n) {
      ASSERT_EQ(bucket->Put(NumberedKey(n), std::to_string(version) + std::string(version * 7 % 90, '.')),
                absl::OkStatus());
    }
    ASSERT_EQ(tx->Commit(), absl::OkStatus());
  };
  put_all(0);
  std::atomic<bool> stop = false;
  std::atomic<uint64_t> torn = 0;
  std::atomic<uint64_t> scans = 0;
  const auto read = [&] {
    while (!stop || scans < 10) {
      const auto tx = db_->BeginRead();
      Cursor cursor = (**tx->FindBucket("key")).NewCursor();
      std::string first;
      uint64_t count = 0;
      for (Status s = cursor.SeekFirst(); s.ok() && cursor.Valid(); s = cursor.Next(), ++count) {
        if (count == 0) first = cursor.value();
        if (cursor.value() != first) ++torn;
      }
      if (count != kKeys) ++torn;
      ++scans;
    }
  };
  std::vector<std::thread> readers(3);
  for (std::thread& reader : readers) reader = std::thread(read);
  for (uint64_t version = 1; version <= 150; ++version) put_all(version);
  stop = true;
  for (std::thread& reader : readers) reader.join();
  EXPECT_EQ(torn, 0u);
  ExpectSound(*db_);
}

}  // namespace
}  // namespace quorate::bolt
