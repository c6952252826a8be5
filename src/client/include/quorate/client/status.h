// Errors are absl::Status: the code and the text are the server's own, so that a text such as "etcdserver:
// mvcc: required revision has been compacted" can be compared. The helpers here answer what callers ask of an
// error.
#pragma once

#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace quorate::client {

using absl::Status;
using absl::StatusOr;

// What is known of a write that ended with an error.
enum class Outcome {
  kDone,     // No error.
  kNotDone,  // It surely did not happen: never sent, or refused by the server.
  kUnknown,  // It may have happened, or may happen yet: look before you write again.
};
Outcome OutcomeOf(const Status& status);

// Valid as long as the status.
inline std::string_view Text(const Status& status) {
  return {status.message().data(), status.message().size()};
}

// The revision asked for is compacted.
bool IsCompacted(const Status& status);
bool IsLeaseNotFound(const Status& status);
// The member that was asked knows no leader.
bool IsNoLeader(const Status& status);

}  // namespace quorate::client
