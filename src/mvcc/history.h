// The past of the key space in order of revision: what a watch that starts in the past needs.
#pragma once

#include <cstdint>
#include <functional>

#include "base/status.h"
#include "mvcc/event.h"
#include "mvcc/read_view.h"

namespace quorate::mvcc {

// Self-contained and immutable: any thread. Holds pages of the file: drop it soon.
class HistoryView {
 public:
  HistoryView() = default;
  explicit HistoryView(ReadView view) : view_(std::move(view)) {}

  // The events with from <= main revision < to, in order; fn returns false to end the scan. The event's views
  // live during the call of fn. Whether `from` has been compacted is the caller's to check
  // (Store::compacted_revision() at the time when the view was taken): revisions up to it may be missing.
  // DataLoss on damaged pages or records.
  Status Scan(int64_t from, int64_t to, const std::function<bool(const Event&)>& fn) const;

  const ReadView& view() const { return view_; }

 private:
  ReadView view_;
};

}  // namespace quorate::mvcc
