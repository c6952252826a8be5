// Fetching many values of one view.
#pragma once

#include <optional>
#include <string_view>

#include "base/status.h"
#include "bolt/db.h"
#include "mvcc/read_view.h"

namespace quorate::mvcc {

class ReadView::Fetcher {
 public:
  explicit Fetcher(const ReadView* view);
  // As ReadView::GetKeyValue. Looks first at the record behind the one that was found last: keys that were
  // put in order lie in order.
  StatusOr<std::optional<std::string_view>> Get(Revision revision);

 private:
  const ReadView* view_;
  bolt::Cursor cursor_;
};

}  // namespace quorate::mvcc
