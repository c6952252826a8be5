// A db file of any bytes: opening, checking, walking and looking up give a Status or an answer. What opens
// takes writes; what Check finds sound is sound after them and holds them.
//
// Byte 0: bit 0: the checksums of the metas are put right, since a fuzzer guesses none; bit 1: open for
// reading only. The rest is the file.
#include <algorithm>
#include <bit>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/check.h"
#include "base/endian.h"
#include "base/env_sim.h"
#include "bolt/check.h"
#include "bolt/db.h"
#include "bolt/meta.h"
#include "fuzz/input.h"

namespace quorate::bolt {
namespace {

const std::string kPath = "/m/db";
// Room for what is written here; address space alone.
constexpr uint64_t kMapBytes = uint64_t{1} << 20;
// Walks over damaged trees may be long: branches may point anywhere.
constexpr int kStepsMax = 5000;
constexpr int kDepthMax = 3;
constexpr size_t kChecksumOffset = 56;

void MendMeta(std::string& file, size_t at) {
  if (at > file.size() || file.size() - at < kPageHeaderBytes + Meta::kBytes) return;
  char* const body = file.data() + at + kPageHeaderBytes;
  // FNV-64a.
  uint64_t hash = 0xcbf29ce484222325;
  for (size_t i = 0; i < kChecksumOffset; ++i) hash = (hash ^ static_cast<uint8_t>(body[i])) * 0x100000001b3;
  StoreLittle(body + kChecksumOffset, hash);
}

void MendMetas(std::string& file) {
  MendMeta(file, 0);
  size_t second = kPageBytesMin;
  if (file.size() >= kPageHeaderBytes + Meta::kBytes) {
    const auto page_size = LoadLittle<uint32_t>(file.data() + kPageHeaderBytes + 8);
    if (std::has_single_bit(page_size)) second = page_size;
  }
  MendMeta(file, second);
}

class Walker {
 public:
  void Walk(const Bucket& bucket, int depth) {
    Cursor cursor = bucket.NewCursor();
    std::string last;
    for (Status s = cursor.SeekFirst(); s.ok() && cursor.Valid() && Step(); s = cursor.Next()) {
      last = cursor.key();
      Look(bucket, cursor, depth);
    }
    for (Status s = cursor.SeekLast(); s.ok() && cursor.Valid() && Step(); s = cursor.Prev()) {
      Touch(cursor.key());
    }
    Cursor middle = bucket.NewCursor();
    if (middle.Seek(last).ok() && middle.Valid() && middle.Prev().ok() && middle.Valid())
      Touch(middle.value());
  }

 private:
  bool Step() { return ++steps_ < kStepsMax; }

  void Look(const Bucket& bucket, const Cursor& cursor, int depth) {
    Touch(cursor.key());
    Touch(cursor.value());
    const auto value = bucket.Get(cursor.key());
    if (value.ok() && value->has_value()) Touch(**value);
    const auto nested = bucket.FindBucket(cursor.key());
    if (nested.ok() && nested->has_value() && depth < kDepthMax) Walk(**nested, depth + 1);
  }

  // Reads every byte, for the sanitizer.
  void Touch(std::string_view bytes) {
    for (const char c : bytes) sum_ = sum_ + static_cast<uint8_t>(c);
  }

  int steps_ = 0;
  volatile uint32_t sum_ = 0;
};

void Read(Db& db) {
  const auto tx = db.BeginRead();
  QUORATE_CHECK(tx.ok());
  const auto root = tx->Root();
  if (root.ok()) Walker().Walk(*root, 0);
  for (const char* name : {"key", "meta", "absent"}) {
    const auto bucket = tx->FindBucket(name);
    if (!bucket.ok() || !bucket->has_value()) continue;
    static_cast<void>((*bucket)->Get("a"));
    static_cast<void>(tx->ResidentOnPath(**bucket, "a"));
  }
  static_cast<void>(tx->ForEachBucket([](std::string_view, const Bucket&) { return absl::OkStatus(); }));
  uint64_t copied = 0;
  static_cast<void>(tx->CopyTo([&](std::string_view chunk) {
    copied += chunk.size();
    return absl::OkStatus();
  }));
  QUORATE_CHECK(copied == tx->size_bytes());
}

Status Change(WriteTx& tx) {
  QUORATE_ASSIGN_OR_RETURN(WriteBucket* const bucket, tx.CreateBucketIfMissing("key"));
  QUORATE_RETURN_IF_ERROR(bucket->Put("a", "1"));
  QUORATE_RETURN_IF_ERROR(bucket->Put("m", std::string(2000, 'm')));
  QUORATE_RETURN_IF_ERROR(bucket->Put("z", "26"));
  Cursor cursor = bucket->NewCursor();
  QUORATE_RETURN_IF_ERROR(cursor.SeekFirst());
  if (cursor.Valid() && !cursor.is_bucket() && cursor.key() != "z") {
    QUORATE_RETURN_IF_ERROR(bucket->Delete(std::string(cursor.key())));
  }
  QUORATE_ASSIGN_OR_RETURN(WriteBucket* const meta, tx.FindBucket("meta"));
  if (meta != nullptr) return tx.DeleteBucket("meta");
  return absl::OkStatus();
}

bool IsSound(Db& db) {
  const auto tx = db.BeginRead();
  return tx.ok() && Check(*tx).ok();
}

// Some commits, so that pages freed by one are used by a later one. False when the file's damage was met.
bool Write(Db& db) {
  for (int i = 0; i < 3; ++i) {
    auto tx = db.BeginWrite();
    if (!tx.ok() || !Change(**tx).ok() || !(*tx)->Commit().ok()) return false;
  }
  return true;
}

void CheckWritten(Db& db) {
  QUORATE_CHECK(IsSound(db) && db.VerifyFreePages().ok());
  const auto tx = db.BeginRead();
  const auto bucket = tx->FindBucket("key");
  QUORATE_CHECK(bucket.ok() && bucket->has_value());
  const auto value = (*bucket)->Get("z");
  QUORATE_CHECK(value.ok() && *value == "26");
}

// Whether "key" and "meta", where they exist, are buckets, and "a", "m", "z" in "key" are not: else the
// writes may be refused.
bool NamesFit(Db& db) {
  const auto tx = db.BeginRead();
  const auto root = tx->Root();
  if (!root.ok()) return false;
  for (const char* name : {"key", "meta"}) {
    const auto plain = root->Get(name);
    if (!plain.ok() || plain->has_value()) return false;
  }
  const auto bucket = tx->FindBucket("key");
  if (!bucket.ok()) return false;
  for (const char* name : {"a", "m", "z"}) {
    if (!bucket->has_value()) break;
    const auto nested = (*bucket)->FindBucket(name);
    if (!nested.ok() || nested->has_value()) return false;
  }
  return true;
}

void Run(fuzz::Input input) {
  const uint8_t flags = input.Byte();
  std::string bytes(input.Rest());
  if ((flags & 1) != 0) MendMetas(bytes);
  SimFileSystem files(1);
  QUORATE_CHECK(files.CreateDirectories("/m", 0700).ok() && files.WriteAtomically(kPath, bytes, 0600).ok());
  Options options;
  options.map_bytes = kMapBytes;
  options.read_only = (flags & 2) != 0;
  auto db = Db::Open(files, kPath, options);
  if (!db.ok()) return;
  Read(**db);
  const Stats before = (*db)->stats();
  // The last txid has no successor.
  const bool sound = IsSound(**db) && NamesFit(**db) && before.txid < uint64_t{1} << 63;
  if (options.read_only) return;
  const bool written = Write(**db);
  if (!sound) return;
  QUORATE_CHECK(written);
  CheckWritten(**db);
  db->reset();
  db = Db::Open(files, kPath, options);
  QUORATE_CHECK(db.ok());
  CheckWritten(**db);
}

}  // namespace
}  // namespace quorate::bolt

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  quorate::fuzz::KeepQuiet();
  quorate::bolt::Run({data, size});
  return 0;
}
