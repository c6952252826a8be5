// The errors of the server that clients match on: code and text are frozen. Source: etcd
// api/v3rpc/rpctypes/error.go.
#pragma once

#include "base/status.h"

namespace quorate::server {

inline Status ErrEmptyKey() { return InvalidArgument("etcdserver: key is not provided"); }
inline Status ErrKeyNotFound() { return InvalidArgument("etcdserver: key not found"); }
inline Status ErrValueProvided() { return InvalidArgument("etcdserver: value is provided"); }
inline Status ErrLeaseProvided() { return InvalidArgument("etcdserver: lease is provided"); }
inline Status ErrTooManyOps() { return InvalidArgument("etcdserver: too many operations in txn request"); }
inline Status ErrDuplicateKey() { return InvalidArgument("etcdserver: duplicate key given in txn request"); }
inline Status ErrInvalidSortOption() { return InvalidArgument("etcdserver: invalid sort option"); }
inline Status ErrRequestTooLarge() { return InvalidArgument("etcdserver: request is too large"); }
inline Status ErrCompacted() { return OutOfRange("etcdserver: mvcc: required revision has been compacted"); }
inline Status ErrFutureRevision() {
  return OutOfRange("etcdserver: mvcc: required revision is a future revision");
}
inline Status ErrNoSpace() { return ResourceExhausted("etcdserver: mvcc: database space exceeded"); }
inline Status ErrLeaseNotFound() { return NotFound("etcdserver: requested lease not found"); }
inline Status ErrCorrupt() { return DataLoss("etcdserver: corrupt cluster"); }
// Unknown, not ResourceExhausted: the original maps it to the wrong side, and so it arrives.
inline Status ErrTooManyRequests() { return Unknown("etcdserver: too many requests"); }
inline Status ErrTimeout() { return Unavailable("etcdserver: request timed out"); }
inline Status ErrTimeoutDueToLeaderFail() {
  return Unavailable("etcdserver: request timed out, possibly due to previous leader failure");
}
inline Status ErrTimeoutDueToConnectionLost() {
  return Unavailable("etcdserver: request timed out, possibly due to connection lost");
}
// Unknown: the original does not map it.
inline Status ErrTimeoutLeaderTransfer() {
  return Unknown("etcdserver: request timed out, leader transfer took too long");
}
inline Status ErrStopped() { return Unavailable("etcdserver: server stopped"); }
inline Status ErrNoLeader() { return Unavailable("etcdserver: no leader"); }
inline Status ErrNotLeader() { return FailedPrecondition("etcdserver: not leader"); }
inline Status ErrBadLeaderTransferee() { return FailedPrecondition("etcdserver: bad leader transferee"); }
inline Status ErrLeaderChanged() { return Unavailable("etcdserver: leader changed"); }
// Unavailable up to 3.5.
inline Status ErrNotSupportedForLearner() {
  return FailedPrecondition("etcdserver: rpc not supported for learner");
}
inline Status ErrUnknownMethod() { return Unknown("etcdserver: unknown method"); }
inline Status ErrWrongDowngradeVersionFormat() {
  return InvalidArgument("etcdserver: wrong downgrade target version format");
}
inline Status ErrInvalidDowngradeTarget() {
  return InvalidArgument("etcdserver: invalid downgrade target version");
}
// Unavailable up to 3.5.
inline Status ErrClusterVersionUnavailable() {
  return FailedPrecondition("etcdserver: cluster version not found during downgrade");
}
inline Status ErrDowngradeInProcess() {
  return FailedPrecondition("etcdserver: cluster has a downgrade job in progress");
}
inline Status ErrNoInflightDowngrade() { return FailedPrecondition("etcdserver: no inflight downgrade job"); }

}  // namespace quorate::server
