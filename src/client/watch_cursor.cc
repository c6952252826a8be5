#include "client/watch_cursor.h"

#include <algorithm>
#include <utility>

namespace quorate::client {

void WatchCursor::Created(int64_t store_revision) {
  // From now on a watch of "what comes" is one from this revision on: after a broken stream it must not skip
  // what came meanwhile.
  if (next_ == 0) next_ = store_revision + 1;
}

std::optional<etcdserverpb::WatchResponse> WatchCursor::Take(etcdserverpb::WatchResponse response) {
  if (fragments_) {
    fragments_->mutable_events()->MergeFrom(response.events());
    fragments_->set_fragment(response.fragment());
  } else {
    fragments_ = std::move(response);
  }
  if (fragments_->fragment()) return std::nullopt;
  etcdserverpb::WatchResponse whole = *std::exchange(fragments_, std::nullopt);
  if (whole.events().empty()) {
    next_ = std::max(next_, whole.header().revision() + 1);
    return whole;
  }
  auto& events = *whole.mutable_events();
  const auto fresh = std::find_if(events.begin(), events.end(), [this](const mvccpb::Event& event) {
    return event.kv().mod_revision() >= next_;
  });
  events.erase(events.begin(), fresh);
  if (events.empty()) return std::nullopt;
  next_ = events[events.size() - 1].kv().mod_revision() + 1;
  return whole;
}

}  // namespace quorate::client
