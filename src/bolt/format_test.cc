// What others may have written into a db file: stored free lists, an old or a damaged meta, and plain damage.
#include <gtest/gtest.h>

#include "base/env_sim.h"
#include "bolt/db_model.h"
#include "bolt/meta.h"

namespace quorate::bolt {
namespace {

constexpr char kPath[] = "db";
constexpr uint32_t kPageSize = 1024;

Options SmallMap() {
  Options options;
  options.map_bytes = 64 << 10;
  options.page_size = kPageSize;
  return options;
}

class FormatTest : public testing::Test {
 protected:
  // A db with branch pages, overflow, nested and inline buckets, and free pages.
  void Build() {
    auto db = Db::Open(files_, kPath, SmallMap());
    ASSERT_EQ(db.status(), absl::OkStatus());
    for (int round = 0; round < 2; ++round) {
      auto tx = *(*db)->BeginWrite();
      WriteBucket* key = *tx->CreateBucketIfMissing("key");
      for (uint64_t n = 0; n < 40; ++n) {
        ASSERT_EQ(key->Put(NumberedKey(n), std::string(60, 'v')), absl::OkStatus());
      }
      ASSERT_EQ((*tx->CreateBucketIfMissing("large"))->Put("k", std::string(2500, 'l')), absl::OkStatus());
      WriteBucket* nest = *tx->CreateBucketIfMissing("nest");
      ASSERT_EQ((*nest->CreateBucketIfMissing("inner"))->Put("deep", "value"), absl::OkStatus());
      ASSERT_EQ((*tx->CreateBucketIfMissing("meta"))->Put("consistent_index", "12345678"), absl::OkStatus());
      ASSERT_EQ(tx->Commit(), absl::OkStatus());
    }
    model_ = *ReadModel(**db);
    db->reset();
    bytes_ = *files_.ReadAll(kPath);
    newest_ = NewestMetaPage();
  }
  PageId NewestMetaPage() const {
    return Meta::Parse(bytes_.data())->txid > Meta::Parse(bytes_.data() + kPageSize)->txid ? 0 : 1;
  }
  Meta NewestMeta() const { return *Meta::Parse(bytes_.data() + newest_ * kPageSize); }
  void StoreMeta(const Meta& meta) { meta.Store(bytes_.data() + newest_ * kPageSize, newest_); }

  StatusOr<std::unique_ptr<Db>> OpenBytes() {
    auto file = files_.Open("copy", {.write = true, .create = true});
    if (!file.ok()) return file.status();
    QUORATE_RETURN_IF_ERROR((*file)->Truncate(bytes_.size()));
    QUORATE_RETURN_IF_ERROR((*file)->WriteAt(0, bytes_));
    QUORATE_RETURN_IF_ERROR((*file)->Sync());
    return Db::Open(files_, "copy", SmallMap());
  }

  // Appends a free list page that holds the unreachable pages, and makes the newest meta name it.
  void StoreFreelist(bool long_form, const std::vector<PageId>& ids) {
    Meta meta = NewestMeta();
    std::string page(kPageSize, '\0');
    PageHeader{meta.high_water, kFreelistPage, static_cast<uint16_t>(long_form ? 0xFFFF : ids.size()), 0}
        .Store(page.data());
    char* out = page.data() + kPageHeaderBytes;
    if (long_form) StoreLittle(std::exchange(out, out + 8), uint64_t{ids.size()});
    for (const PageId id : ids) StoreLittle(std::exchange(out, out + 8), id);
    bytes_.resize(meta.high_water * kPageSize);
    bytes_ += page;
    meta.freelist = meta.high_water++;
    StoreMeta(meta);
  }
  std::vector<PageId> FreeIds() {
    const PageSource source{bytes_.data(), NewestMeta().high_water, kPageSize, &path_};
    TreeWalk walk(source, TreeWalk::Keys::kVerify);
    walk.Run(NewestMeta());
    std::vector<PageId> ids;
    for (PageId id = 2; id < walk.reached().size(); ++id) {
      if (!walk.reached()[id]) ids.push_back(id);
    }
    return ids;
  }

  const std::string path_ = kPath;
  SimFileSystem files_{1};
  std::string bytes_;
  PageId newest_ = 0;
  BucketModel model_;
};

TEST_F(FormatTest, StoredFreelistsOfBothForms) {
  for (const bool long_form : {false, true}) {
    ASSERT_EQ(files_.RemoveAll(kPath), absl::OkStatus());
    Build();
    const auto ids = FreeIds();
    ASSERT_GT(ids.size(), 5u);
    StoreFreelist(long_form, ids);
    const auto db = OpenBytes();
    ASSERT_EQ(db.status(), absl::OkStatus());
    EXPECT_EQ((*db)->stats().pages_free, ids.size());
    EXPECT_EQ(Check(*(*db)->BeginRead()).counts.freelist_pages, 1u);
    ExpectSound(**db);
    EXPECT_EQ(*ReadModel(**db), model_);
    // The first commit gives the list up.
    auto tx = *(*db)->BeginWrite();
    ASSERT_EQ((*tx->CreateBucketIfMissing("meta"))->Put("k", "v"), absl::OkStatus());
    ASSERT_EQ(tx->Commit(), absl::OkStatus());
    EXPECT_EQ((*db)->BeginRead()->meta().freelist, kFreelistNone);
    ExpectSound(**db);
  }
}

TEST_F(FormatTest, AWrongFreelistIsFound) {
  const struct {
    const char* name;
    std::function<void(std::vector<PageId>*)> spoil;
    const char* message;
  } cases[] = {
      {"a page in use", [&](auto* ids) { *ids = {NewestMeta().root}; }, "which is in use"},
      {"a meta", [](auto* ids) { ids->insert(ids->begin(), 1); }, "can't be"},
      {"beyond the end", [](auto* ids) { ids->push_back(1'000'000); }, "can't be"},
      {"twice", [](auto* ids) { ids->push_back(ids->back()); }, "can't be"},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.name);
    ASSERT_EQ(files_.RemoveAll(kPath), absl::OkStatus());
    Build();
    auto ids = FreeIds();
    c.spoil(&ids);
    StoreFreelist(false, ids);
    const auto db = OpenBytes();
    EXPECT_EQ(db.status().code(), absl::StatusCode::kDataLoss);
    EXPECT_NE(Message(db.status()).find(c.message), std::string_view::npos) << db.status();
  }
  // A list that leaves pages out costs space only; Check tells.
  ASSERT_EQ(files_.RemoveAll(kPath), absl::OkStatus());
  Build();
  StoreFreelist(false, {FreeIds().front()});
  const auto db = OpenBytes();
  ASSERT_EQ(db.status(), absl::OkStatus());
  EXPECT_EQ(Check(*(*db)->BeginRead()).problems.size(), 1u);
}

TEST_F(FormatTest, TheNewerValidMetaWins) {
  Build();
  const std::string sound = bytes_;
  const auto open_txid = [&]() -> StatusOr<uint64_t> {
    QUORATE_ASSIGN_OR_RETURN(const auto db, OpenBytes());
    ExpectSound(*db);
    return db->stats().txid;
  };
  const uint64_t newest = NewestMeta().txid;
  EXPECT_EQ(*open_txid(), newest);
  for (const uint64_t offset : {0u, 4u, 8u, 16u, 40u, 48u, 56u}) {
    bytes_ = sound;
    bytes_[newest_ * kPageSize + kPageHeaderBytes + offset] ^= 0x10;
    EXPECT_EQ(*open_txid(), newest - 1) << offset;
    bytes_[(1 - newest_) * kPageSize + kPageHeaderBytes + offset] ^= 0x10;
    const auto none = open_txid();
    EXPECT_EQ(none.status().code(), absl::StatusCode::kDataLoss);
    EXPECT_NE(Message(none.status()).find("restore this member"), std::string_view::npos);
  }
}

TEST_F(FormatTest, ATruncatedFileIsRefused) {
  Build();
  bytes_.resize((NewestMeta().high_water - 1) * kPageSize);
  EXPECT_EQ(OpenBytes().status().code(), absl::StatusCode::kDataLoss);
  bytes_.resize(30);
  EXPECT_EQ(OpenBytes().status().code(), absl::StatusCode::kDataLoss);
}

TEST_F(FormatTest, ACircleIsFound) {
  Build();
  Meta meta = NewestMeta();
  // A branch whose only child is itself.
  char* page = bytes_.data() + meta.root * kPageSize;
  PageHeader{meta.root, kBranchPage, 1, 0}.Store(page);
  StoreLittle(page + 16, uint32_t{16});
  StoreLittle(page + 20, uint32_t{1});
  StoreLittle(page + 24, meta.root);
  EXPECT_EQ(OpenBytes().status().code(), absl::StatusCode::kDataLoss);
  ASSERT_EQ(OpenBytes().status().code(), absl::StatusCode::kDataLoss);
  Options options = SmallMap();
  options.read_only = true;
  const auto db = Db::Open(files_, "copy", options);
  ASSERT_EQ(db.status(), absl::OkStatus());
  EXPECT_EQ((*db)->BeginRead()->FindBucket("key").status().code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(ReadModel(**db).status().code(), absl::StatusCode::kDataLoss);
  EXPECT_FALSE(Check(*(*db)->BeginRead()).ok());
}

// Whatever byte is wrong, reading and writing end with a Status, and what Check calls sound can be written
// on.
TEST_F(FormatTest, FlippedBytesNeverCrash) {
  const uint64_t seed = TestSeed(5);
  SCOPED_TRACE("QUORATE_TEST_SEED=" + std::to_string(seed));
  std::mt19937_64 random(seed);
  Build();
  StoreFreelist(false, FreeIds());
  const std::string sound = bytes_;
  uint64_t refused = 0;
  for (size_t at = 0; at < sound.size(); at += 1 + random() % 9) {
    bytes_ = sound;
    bytes_[at] = static_cast<char>(bytes_[at] ^ (random() % 4 == 0 ? 0xFF : 1 << random() % 8));
    const auto db = OpenBytes();
    if (!db.ok()) {
      EXPECT_EQ(db.status().code(), absl::StatusCode::kDataLoss) << db.status();
      ++refused;
      continue;
    }
    const auto seen = ReadModel(**db);
    const bool sound_still = Check(*(*db)->BeginRead()).ok();
    EXPECT_TRUE(seen.ok() || !sound_still) << at << ": " << seen.status();
    auto tx = *(*db)->BeginWrite();
    Status written;
    for (const char* name : {"key", "large", "meta", "nest"}) {
      const auto bucket = tx->CreateBucketIfMissing(name);
      written.Update(bucket.status());
      if (!bucket.ok()) continue;
      for (uint64_t n = 0; n < 40; n += 3) written.Update((*bucket)->Delete(NumberedKey(n)));
      written.Update((*bucket)->Put("k", "v"));
    }
    written.Update(tx->DeleteBucket("large"));
    if (written.ok()) written.Update(tx->Commit());
  }
  EXPECT_GT(refused, 10u);
}

}  // namespace
}  // namespace quorate::bolt
