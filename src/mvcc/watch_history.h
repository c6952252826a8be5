// What the watch hub reads when a watcher lies behind: the store's past.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/status.h"
#include "mvcc/event.h"
#include "mvcc/revision.h"

namespace quorate::mvcc {

// A fixed view of all revisions up to the store's current one at the time it was opened. Used by one reader
// thread at a time; may wait for the disk. Views handed out live as long as the reader.
class HistoryReader {
 public:
  virtual ~HistoryReader() = default;
  // Calls `visit` for each change with from <= main < to, in order of revision, until it returns false. Which
  // of them a compaction has removed is the caller's check. DataLoss when the bytes are damaged.
  virtual Status Scan(int64_t from, int64_t to, const std::function<bool(const Event&)>& visit) = 0;
  // The mvccpb.KeyValue stored at exactly this revision; NotFound when it is gone.
  virtual StatusOr<std::string_view> Read(Revision revision) = 0;
};

// The store as the hub sees it. Core thread; no call waits for the disk.
class WatchHistory {
 public:
  virtual ~WatchHistory() = default;
  virtual int64_t current_revision() const = 0;
  // Below this revision changes may be gone; -1 or 0 when nothing was ever compacted.
  virtual int64_t compacted_revision() const = 0;
  // Where the version of `key` that was visible at revision `at` is stored; none when the key did not exist
  // then or `at` is compacted.
  virtual std::optional<Revision> Find(std::string_view key, int64_t at) const = 0;
  // Appends the mvccpb.KeyValue stored at `revision` to `out`; false (and nothing appended) when reading it
  // would wait for the disk or it is gone.
  virtual bool ReadResident(Revision revision, std::string& out) const = 0;
  // A view that holds at least everything up to current_revision().
  virtual std::shared_ptr<HistoryReader> OpenReader() = 0;
};

}  // namespace quorate::mvcc
