// The db file: a copy-on-write B+tree of buckets in bbolt's format. Many read transactions, one write
// transaction.
//
// Threads. BeginRead, ReadTx and stats() may be used on any thread. BeginWrite, WriteTx, WriteBucket and
// VerifyFreePages belong to one thread at a time, the writer. What the two sides share (the newest committed
// meta, the mapping, the count of readers by txid, the figures) stands under one mutex; nothing else is
// shared, because pages of a committed meta never change while a reader may see them.
//
// Invariants
//  1. Each page in [2, high water) is exactly one of: reachable from the newest committed root, free,
//  pending.
//  2. A pending page was freed by a commit and may be seen by an open reader: one whose txid is at least the
//     txid that allocated the page and below the one that freed it. It becomes free when there is none, and
//     no earlier than at the start of the next write transaction.
//  3. Only free pages and pages at or beyond the high-water mark are written, but for the two metas.
//  4. Meta T lies in page T % 2 and is written after the pages of T are synced; T is published after it is
//  synced.
//  5. The file is at least high water * page size long, by either meta and for every open reader.
//  6. After a failed commit no further write transaction begins.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/env.h"
#include "base/status.h"
#include "bolt/bucket.h"
#include "bolt/page.h"
#include "bolt/write_bucket.h"

namespace quorate::bolt {

class Db;
class ReadTx;
class WriteTx;
struct Meta;

// What etcd reserves (its InitialMmapSize).
constexpr uint64_t kMapBytesDefault = uint64_t{10} << 30;

struct Options {
  bool read_only = false;
  uint32_t page_size = 4096;  // Bytes, of a new file; a power of two from kPageBytesMin to kPageBytesMax.
  // Address space reserved for the mapping; 0 is the default. It grows beyond by mapping anew; open readers
  // keep the old one.
  uint64_t map_bytes = kMapBytesDefault;
  LockKind lock = LockKind::kFlock;  // read_only takes kFlockShared in place of kFlock.
  bool sync = true;                  // Without it a crash may lose the file: for scratch files only.
  std::string shown_path;            // For messages, when the file is going to be renamed; empty: its path.
};

// A page as FindTailPages (tail_pages.h) found it.
struct TailPage {
  PageId page = 0;
  std::string bucket;  // Top-level; empty: the bucket that holds these.
  std::string key;     // Leads to the page.
};

struct CutResult {
  uint64_t cut_bytes = 0;
  // More can be cut once readers have left, or once further commits have lowered the high-water mark in both
  // metas.
  bool owed = false;
};

struct Stats {
  uint64_t file_bytes = 0;
  uint64_t page_size = 0;
  uint64_t pages_total = 0;  // The high-water mark.
  uint64_t pages_free = 0;
  uint64_t pages_pending = 0;
  uint64_t txid = 0;  // Of the newest committed transaction.
  int open_reads = 0;
};

class Db {
 public:
  // Makes a new file of four pages when it is missing or empty (and not read_only). Both metas invalid, a
  // file shorter than its meta says or a damaged tree give DataLoss and leave the file as it is.
  static StatusOr<std::unique_ptr<Db>> Open(FileSystem& files, const std::string& path,
                                            const Options& options);
  ~Db();  // No write transaction is open. Read transactions may live on.
  Db(const Db&) = delete;
  Db& operator=(const Db&) = delete;

  // Pins the newest committed state.
  StatusOr<ReadTx> BeginRead();
  // FailedPrecondition while another is open or when read_only; the first error for ever after a failed
  // commit.
  StatusOr<std::unique_ptr<WriteTx>> BeginWrite();

  // Shortens the file, by at most `bytes_max`, to what both metas and all open readers reach, so that nobody
  // looks at mapped pages that are gone. The writer, no write transaction open. An error leaves the Db
  // usable.
  StatusOr<CutResult> CutFile(uint64_t bytes_max);

  Stats stats() const;
  const std::string& path() const;
  // Checks invariant 1 by walking the file. No write transaction is open.
  Status VerifyFreePages();

 private:
  friend class WriteTx;
  struct Shared;  // What readers and the writer share.
  struct Writer;  // The writer's own: file, free and pending pages, memory.
  friend class ReadTx;

  Db(std::shared_ptr<Shared> shared, std::unique_ptr<Writer> writer);

  const std::shared_ptr<Shared> shared_;
  const std::unique_ptr<Writer> writer_;
};

// One committed state, unchanging. Any thread, several at once. May outlive the Db.
class ReadTx {
 public:
  ReadTx(ReadTx&&) noexcept;
  ReadTx& operator=(ReadTx&&) noexcept;
  ~ReadTx();

  uint64_t txid() const;
  // High-water mark * page size: what CopyTo sends.
  uint64_t size_bytes() const;
  StatusOr<Bucket> Root() const;  // Holds the top-level buckets.
  StatusOr<std::optional<Bucket>> FindBucket(std::string_view name) const;
  // In order of names; stops at the first error.
  Status ForEachBucket(const std::function<Status(std::string_view name, const Bucket&)>& fn) const;

  // The state as a db file of its own, in chunks (1 MiB at most, or a page) that stand still: meta 0 with
  // this txid, meta 1 with the one before (as bbolt's Tx.WriteTo does), then the pages. Exactly size_bytes()
  // bytes, less the first `begin`, which are not read.
  Status CopyTo(const std::function<Status(std::string_view chunk)>& fn, uint64_t begin = 0) const;

  // Whether a look-up of the key would touch resident pages only. True where the look-up would find damage.
  bool ResidentOnPath(const Bucket& bucket, std::string_view key) const;

  const PageSource& pages() const;
  const Meta& meta() const;

 private:
  friend class Db;
  struct State;
  explicit ReadTx(std::unique_ptr<State> state);

  std::unique_ptr<State> state_;
};

// All changes happen at Commit or not at all; destruction without Commit rolls back. Reads see the
// transaction's own writes. Keys and values are copied. After DataLoss the transaction can only be dropped.
class WriteTx {
 public:
  ~WriteTx();
  WriteTx(const WriteTx&) = delete;
  WriteTx& operator=(const WriteTx&) = delete;

  // The id of the state that Commit makes.
  uint64_t txid() const { return txid_; }
  // Pointers to buckets live until the transaction ends or the bucket is deleted.
  StatusOr<WriteBucket*> CreateBucketIfMissing(std::string_view name);
  StatusOr<WriteBucket*> FindBucket(std::string_view name);  // nullptr when missing.
  Status DeleteBucket(std::string_view name);                // NotFound when missing.
  WriteBucket& root();                                       // Holds the top-level buckets.

  // Commit writes this page anew, nearer to the start of the file, and the path to it; an overflow page needs
  // a run of free pages below it. kGone: the plan is out of date. kNoRoom: it stays.
  using MoveResult = WriteTree::MoveResult;
  StatusOr<MoveResult> Move(const TailPage& tail);
  // Commit takes free pages at the end of the file off the high-water mark; it writes a meta in any case.
  void LowerHighWater();

  // Writes the pages, syncs, writes the meta, syncs; and ends the transaction: its buckets, cursors and views
  // are void, and the next may begin. A transaction that changed nothing writes nothing, and its txid is used
  // again. After an error it is unknown whether the changes are in the file, and the Db takes no more write
  // transactions.
  Status Commit();

 private:
  friend class Db;
  struct State;
  explicit WriteTx(std::unique_ptr<State> state);
  void End();

  const uint64_t txid_;
  std::unique_ptr<State> state_;  // Null once ended.
};

}  // namespace quorate::bolt
