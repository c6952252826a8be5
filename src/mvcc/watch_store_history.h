// The watch hub's view of a Store.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "mvcc/backend.h"
#include "mvcc/store.h"
#include "mvcc/watch_history.h"

namespace quorate::mvcc {

// Core thread, but for the readers it opens. Nothing is owned.
class StoreHistory final : public WatchHistory {
 public:
  StoreHistory(const Store* store, const Backend* backend) : store_(store), backend_(backend) {}

  int64_t current_revision() const override { return store_->current_revision(); }
  int64_t compacted_revision() const override { return store_->compacted_revision(); }
  std::optional<Revision> Find(std::string_view key, int64_t at) const override;
  bool ReadResident(Revision revision, std::string& out) const override;
  std::shared_ptr<HistoryReader> OpenReader() override;

 private:
  const Store* const store_;
  const Backend* const backend_;
};

}  // namespace quorate::mvcc
