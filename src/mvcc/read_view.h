// A frozen sight of bucket `key`: the committed file, the batch being committed, and a prefix of the open
// batch.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>

#include "base/status.h"
#include "mvcc/revision.h"

namespace quorate::mvcc {

class Batch;
class CommittedFile;

// Immutable, shared by counting; every method may run on any thread, also while the core goes on writing. The
// views that it gives live as long as it or a copy of it. Holding one keeps pages of the file from being used
// again: drop it soon.
class ReadView {
 public:
  struct Parts {
    std::shared_ptr<const CommittedFile> file;
    std::shared_ptr<const Batch> in_flight;  // Null when no commit is under way.
    std::shared_ptr<const Batch> open;
  };

  ReadView() = default;
  ReadView(std::shared_ptr<const Parts> parts, size_t open_records)
      : parts_(std::move(parts)), open_records_(open_records) {}

  bool valid() const { return parts_ != nullptr; }

  // The stored value of the put at `revision`: mvccpb.KeyValue, encoded. Nothing when there is no such put.
  // DataLoss on a damaged page.
  StatusOr<std::optional<std::string_view>> GetKeyValue(Revision revision) const;

  // Whether GetKeyValue will touch only memory that is there.
  bool Resident(Revision revision) const;

  // All records of bucket `key` with from <= revision < to, ascending, as fn(revision, tombstone, stored
  // value) -> bool; false ends the scan.
  template <typename Fn>
  Status Scan(Revision from, Revision to, Fn&& fn) const;

  // Many GetKeyValue in a row; cheaper where the revisions follow each other in the file. One thread; the
  // view outlives it.
  class Fetcher;

  const CommittedFile& file() const { return *parts_->file; }

 private:
  // The value, if a batch has it.
  std::optional<std::string_view> FindInBatches(Revision revision) const;

  using Visitor = bool (*)(void* context, Revision revision, bool tombstone, std::string_view value);
  Status ScanRecords(Revision from, Revision to, Visitor visitor, void* context) const;

  std::shared_ptr<const Parts> parts_;
  size_t open_records_ = 0;  // How many records of the open batch belong to this view.
};

template <typename Fn>
Status ReadView::Scan(Revision from, Revision to, Fn&& fn) const {
  return ScanRecords(
      from, to,
      [](void* context, Revision revision, bool tombstone, std::string_view value) {
        return static_cast<bool>(
            (*static_cast<std::remove_reference_t<Fn>*>(context))(revision, tombstone, value));
      },
      const_cast<void*>(static_cast<const void*>(std::addressof(fn))));
}

}  // namespace quorate::mvcc
