// What stands behind Db and its transactions. Only db.cc, open.cc and write_tx.cc include it.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "base/env.h"
#include "bolt/arena.h"
#include "bolt/db.h"
#include "bolt/free_pages.h"
#include "bolt/meta.h"
#include "bolt/pending_pages.h"
#include "bolt/tree_writer.h"
#include "bolt/write_bucket.h"

namespace quorate::bolt {

// Shared by the writer, the readers and open read transactions.
struct Db::Shared {
  explicit Shared(std::string p) : path(std::move(p)) {}

  const std::string path;

  Meta NewestMeta() const {
    std::lock_guard lock(mutex);
    return meta;
  }
  std::shared_ptr<const Mapping> NewestMapping() const {
    std::lock_guard lock(mutex);
    return mapping;
  }

  mutable std::mutex mutex;
  // The rest is under `mutex`.
  Meta meta;                               // The newest that is durable.
  std::shared_ptr<const Mapping> mapping;  // Covers meta.high_water.
  struct Readers {
    int count = 0;
    uint64_t high_water = 0;  // Of their state.
  };
  std::map<uint64_t, Readers> readers;  // Open read transactions by txid.
  Stats figures;                        // Free, pending and file bytes; the rest is filled in when asked.
  Status failed;                        // Of the first commit that failed.
};

// The writer thread's own.
struct Db::Writer {
  std::unique_ptr<File> file;
  Options options;
  uint64_t file_bytes = 0;
  bool open = false;               // A write transaction is.
  uint64_t high_water_before = 0;  // Of the other meta in the file; 0 when that is invalid.
  FreePages free;
  PendingPages pending;
  Arena data;
  Arena pages;
  std::string staging;  // Gathers adjacent pages for one write.
};

struct ReadTx::State {
  std::shared_ptr<Db::Shared> shared;
  std::shared_ptr<const Mapping> mapping;
  Meta meta;
  PageSource source;
};

struct WriteTx::State {
  State(std::shared_ptr<Db::Shared> shared, Db::Writer* writer);

  // The commit, in this order. Each step needs the ones before it.
  Status SpillTrees();
  Status CheckFreed() const;
  void ReturnReserved();
  void TakeTail();
  Status Extend();
  Status WriteDirty();
  Status WriteMeta();
  void Publish();

  PageId Allocate(uint64_t count, const PageSpan& wanted);
  Status Sync();

  const std::shared_ptr<Db::Shared> shared;
  Db::Writer* const writer;
  // As of the beginning; the writer alone replaces them, so they are the newest until the commit.
  const std::shared_ptr<const Mapping> mapping;
  const Meta before;
  const PageSource source;

  Meta meta;  // Of this transaction.
  std::shared_ptr<const Mapping> mapping_after;
  bool readers_open = false;  // At the commit.
  bool lower_high_water = false;
  absl::flat_hash_map<PageId, uint64_t> reserved;  // Runs taken by moves and not written to yet.
  TreeWriter tree_writer;
  WriteBucket root;
};

inline PageSource SourceOf(const Mapping& mapping, const Meta& meta, const std::string& path) {
  return {mapping.data(), meta.high_water, meta.page_size, &path};
}

}  // namespace quorate::bolt
