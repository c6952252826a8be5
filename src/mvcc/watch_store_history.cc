#include "mvcc/watch_store_history.h"

#include <utility>

namespace quorate::mvcc {
namespace {

class StoreReader final : public HistoryReader {
 public:
  explicit StoreReader(HistoryView view) : view_(std::move(view)) {}

  Status Scan(int64_t from, int64_t to, const std::function<bool(const Event&)>& visit) override {
    return view_.Scan(from, to, visit);
  }

  StatusOr<std::string_view> Read(Revision revision) override {
    QUORATE_ASSIGN_OR_RETURN(const std::optional<std::string_view> value, view_.view().GetKeyValue(revision));
    if (!value.has_value()) return NotFound("revision " + std::to_string(revision.main) + " is gone");
    return *value;
  }

 private:
  const HistoryView view_;
};

}  // namespace

std::optional<Revision> StoreHistory::Find(std::string_view key, int64_t at) const {
  KeyVersion version;
  if (at < store_->compacted_revision() || !store_->index().Get(key, at, &version)) return std::nullopt;
  return version.modified;
}

bool StoreHistory::ReadResident(Revision revision, std::string& out) const {
  const ReadView view = backend_->View();
  if (!view.Resident(revision)) return false;
  const auto value = view.GetKeyValue(revision);
  if (!value.ok() || !value->has_value()) return false;
  out += **value;
  return true;
}

std::shared_ptr<HistoryReader> StoreHistory::OpenReader() {
  return std::make_shared<StoreReader>(store_->History());
}

}  // namespace quorate::mvcc
