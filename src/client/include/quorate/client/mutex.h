// A lock that one session in the cluster holds at a time. Uses the keys of etcd's own clients (PREFIX/LEASE
// in hex), so both exclude each other.
//
// A lock is only as good as its session: watch Session::lost(), and where it matters put IsOwner() into the
// transactions that the lock protects.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "quorate/client/session.h"
#include "quorate/client/txn.h"

namespace quorate::client {

// For one thread at a time. The session must outlive it. Destroying it does not unlock.
class Mutex {
 public:
  Mutex(Session* session, std::string_view prefix);

  // Waits until the lock is ours. `call.timeout` bounds the whole wait (unset: for ever), `call.stop` ends
  // it; the place in the queue is given up then. A session that is lost meanwhile ends it with kAborted.
  Status Lock(const CallOptions& call = {});
  // kAlreadyExists ("mutex: Locked by another session") when it is not free.
  Status TryLock(const CallOptions& call = {});
  // kFailedPrecondition when it is not locked.
  Status Unlock(const CallOptions& call = {});

  // Holds as long as the lock is ours.
  Compare IsOwner() const;
  const std::string& key() const { return key_; }  // Empty: not locked.
  // The revision of the store when it was locked: grows with each owner, so it can serve as a fencing token.
  int64_t revision() const { return revision_; }

 private:
  // Enters the queue; true: at its head.
  StatusOr<bool> Enter(const CallOptions& call);
  Status GiveUp(Status why);
  Status Delete(const CallOptions& call);

  Session& session_;
  const std::string prefix_;
  std::string key_;
  int64_t revision_ = 0;  // At which the key was created.
};

}  // namespace quorate::client
