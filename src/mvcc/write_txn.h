// A write transaction of the store: the changes of one raft entry.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "base/status.h"
#include "mvcc/range.h"
#include "mvcc/revision.h"

namespace quorate::mvcc {

class Store;

// One at a time, core thread, within one round of the loop; no commit meanwhile. There is no rollback:
// everything that may be refused is checked before the first change. End() must be called (the destructor
// checks it).
class WriteTxn {
 public:
  WriteTxn(WriteTxn&& other) noexcept;
  WriteTxn& operator=(WriteTxn&&) = delete;
  ~WriteTxn();

  // Returns the revision of the change: begin_revision() + 1. The lease, unless 0, must exist. The bytes are
  // copied.
  int64_t Put(std::string_view key, std::string_view value, int64_t lease_id);
  // Deletes what is there, own puts included; range_end as in RangeOptions. Returns the number of keys.
  int64_t DeleteRange(std::string_view key, std::string_view range_end);

  // Sees the transaction's own changes.
  StatusOr<RangeResult> Range(const RangeOptions& options);
  // One that the original makes here, and whose answer nobody wants: for the metrics only.
  void CountRange();
  // The key's present pair, encoded, or nothing; the bytes live until End().
  StatusOr<std::optional<std::string_view>> Get(std::string_view key) const;

  // The store's revision when the transaction began.
  int64_t begin_revision() const { return begin_revision_; }
  // What the store's revision will be if the transaction ends now.
  int64_t revision() const { return begin_revision_ + (changes_ > 0 ? 1 : 0); }
  int64_t changes() const { return changes_; }

  // Makes the changes current, hands the events to the store's observer, and returns revision().
  int64_t End();

 private:
  friend class Store;
  explicit WriteTxn(Store* store);

  void DeleteKey(std::string_view key);
  void Rebind(std::string_view key, int64_t old_lease, int64_t lease);

  Store* store_;  // Null after End or move.
  int64_t begin_revision_;
  int64_t changes_ = 0;
  uint64_t calls_ = 0;  // Put, DeleteRange and Range, for the figures.
};

}  // namespace quorate::mvcc
