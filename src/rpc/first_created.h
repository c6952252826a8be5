// The oldest or the newest key below a prefix: who holds a lock, leads an election, or stands right before
// somebody. Owner: the core's thread.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "base/status.h"
#include "mvcc/range.h"
#include "rpc/paced_work.h"
#include "server/member.h"

namespace quorate::rpc {

struct FirstCreatedQuery {
  std::string prefix;
  mvcc::SortOrder order =
      mvcc::SortOrder::kAscend;     // By creation: kAscend for the oldest, kDescend the newest.
  int64_t max_create_revision = 0;  // 0: any.
};

struct FirstCreated {
  std::optional<std::string> kv;  // An encoded mvccpb.KeyValue; none: there is no such key.
  int64_t revision = 0;           // The store's, when it was looked at.
};

// `done` runs once, now or in a later round: many keys are looked at when there is time, and a value that is
// not in memory is read by another thread. Whoever asks checks that he may read the prefix, before and in
// `done`.
void FindFirstCreated(server::Member* member, PacedWork* paced, FirstCreatedQuery query,
                      std::function<void(const StatusOr<FirstCreated>&)> done);

// The end of the range of all keys that begin with `prefix`.
std::string PrefixEnd(std::string prefix);

}  // namespace quorate::rpc
