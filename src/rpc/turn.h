// Locks and elections by the recipe of etcd's client library (client/v3/concurrency): each contender puts a
// key NAME/LEASE-IN-HEX under its lease; whose key is oldest holds the lock. Core thread only.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "auth/auth_store.h"
#include "mvcc/watch_hub.h"
#include "net/loop.h"
#include "rpc.pb.h"
#include "rpc/first_created.h"
#include "rpc/paced_work.h"
#include "server/member.h"

namespace quorate::rpc {

// One contender, from its key to its turn. Held by the call that waits; destroying it ends the wait without a
// word (the key stays: the caller deletes it when it gives up).
class Turn : public std::enable_shared_from_this<Turn>, private mvcc::WatchSink {
 public:
  struct Place {
    std::string key;
    int64_t lease = 0;
    int64_t create_revision = 0;  // The contender's place in the queue.
    bool existed = false;         // The key was there already, under the same lease.
    std::string value;            // Then: its value.
  };
  using Done = std::function<void(const Status& status, const Place& place)>;

  Turn(server::Member* member, net::Loop* loop, PacedWork* paced, auth::AuthInfo who)
      : member_(*member), loop_(*loop), paced_(*paced), who_(std::move(who)) {}

  // Puts the key (a lease of 60 s is made when `lease` is 0), then waits until no older key with the prefix
  // is left. `done` runs once, in a later round or at once.
  void Take(std::string name, int64_t lease, std::string value, Done done);
  // Gives up: deletes the key if it was put.
  void Abandon();

 private:
  // mvcc::WatchSink
  bool full() const override { return false; }
  void OnEvents(mvcc::WatchId id, int64_t header_revision, std::shared_ptr<const mvcc::WatchEvents> events,
                bool fragment) override;
  void OnCompacted(mvcc::WatchId id, int64_t compact_revision) override;
  void OnProgress(mvcc::WatchId, int64_t) override {}

  auth::AuthInfo Who() const;
  void GrantLease();
  void PutKey();
  void OnKeyPut(const Status& status, std::string_view response);
  // Looks for the newest key older than ours; none: our turn.
  void Look();
  void OnLook(const StatusOr<FirstCreated>& older);
  Status Permitted() const;
  void WatchForDelete(std::string key, int64_t revision);
  void LookAgainSoon();
  void Finish(const Status& status);

  server::Member& member_;
  net::Loop& loop_;
  PacedWork& paced_;
  const auth::AuthInfo who_;
  std::string prefix_;
  std::string value_;
  Place place_;
  Done done_;
  bool key_put_ = false;
  bool look_scheduled_ = false;
  std::unique_ptr<mvcc::WatchStream> watch_;
};

// Who waits for his turn keeps so many times the bytes of his request: it and its key here, and the key of
// the one before him that is watched.
constexpr size_t kCopiesWhileWaiting = 3;

// NAME/LEASE.
std::string ContenderKey(std::string_view name, int64_t lease);

}  // namespace quorate::rpc
