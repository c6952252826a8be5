// A lock that one session in the cluster holds at a time. Uses the keys of etcd's own clients (PREFIX/LEASE
// in hex), so both exclude each other.
//
// A lock is only as good as its session: watch Session::lost(), and where it matters put IsOwner() into the
// transactions that the lock protects.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "quorate/client/session.h"
#include "quorate/client/txn.h"

namespace quorate::client {

class Place;

// For one thread at a time. The session must outlive it. Destroying it does not unlock.
//
// A call that ended without an answer may have left the session's key in the store, where it keeps others
// out. Lock and TryLock try to remove it before they return an error; what can't be removed then is removed
// in the background. What a member that was held up creates still later, the next call of this object
// removes, and at the latest the end of the session.
class Mutex {
 public:
  Mutex(Session* session, std::string_view prefix);
  ~Mutex();

  // Waits until the lock is ours. `call.timeout` bounds the whole wait (unset: for ever), `call.stop` ends
  // it; the place in the queue is given up then. A session that is lost meanwhile, or whose key is gone, ends
  // it with kAborted.
  Status Lock(const CallOptions& call = {});
  // kAlreadyExists ("mutex: Locked by another session") when it is not free.
  Status TryLock(const CallOptions& call = {});
  // kFailedPrecondition when it is not locked; OK when there was nothing but what an earlier call may have
  // left. On an error it does not count as locked any more, but may keep others out for a while: it is
  // removed in the background, or by the next call.
  Status Unlock(const CallOptions& call = {});

  // Holds as long as the lock is ours.
  Compare IsOwner() const;
  const std::string& key() const;  // Empty: not locked.
  // The revision of the store when it was locked: grows with each owner, so it can serve as a fencing token.
  int64_t revision() const;

 private:
  // Enters the queue; true: at its head.
  StatusOr<bool> Enter(const CallOptions& call);

  std::unique_ptr<Place> place_;
};

}  // namespace quorate::client
