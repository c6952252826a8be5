// The errors of membership changes that clients match on: code and text are frozen.
// Source: etcd api/v3rpc/rpctypes/error.go and the mapping in etcdserver/api/v3rpc/util.go.
#pragma once

#include "base/status.h"

namespace quorate::cluster {

// A removed ID, too: it can't be used again.
inline Status ErrMemberNotFound() { return NotFound("etcdserver: member not found"); }
inline Status ErrMemberExists() { return FailedPrecondition("etcdserver: member ID already exist"); }
inline Status ErrPeerUrlExists() { return FailedPrecondition("etcdserver: Peer URLs already exists"); }
inline Status ErrMemberNotLearner() {
  return FailedPrecondition("etcdserver: can only promote a learner member");
}
inline Status ErrTooManyLearners() {
  return FailedPrecondition("etcdserver: too many learner members in cluster");
}
// Of the checks before a proposal (--strict-reconfig-check), which the server makes.
inline Status ErrNotEnoughStarted() {
  return FailedPrecondition("etcdserver: re-configuration failed due to not enough started members");
}
inline Status ErrLearnerNotReady() {
  return FailedPrecondition("etcdserver: can only promote a learner member which is in sync with leader");
}
inline Status ErrMemberBadUrls() { return InvalidArgument("etcdserver: given member URLs are invalid"); }
inline Status ErrUnhealthyCluster() { return Unavailable("etcdserver: unhealthy cluster"); }

}  // namespace quorate::cluster
