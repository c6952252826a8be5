// Elections: one of many sessions leads, the others wait. Uses the keys of etcd's own clients, so they can
// take part.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "quorate/client/session.h"

namespace quorate::client {

// The values of an election's leaders as they come: never an older one after a newer one, and always the
// newest; those in between may be missed. One thread at a time; Cancel from any.
class ElectionObserver {
 public:
  virtual ~ElectionObserver() = default;
  // Waits for the next leader, or the next value of the same one.
  virtual StatusOr<mvccpb::KeyValue> Next() = 0;
  // Of the answer that brought what Next returned last.
  virtual const etcdserverpb::ResponseHeader& header() const = 0;
  virtual void Cancel() = 0;
};

class Place;

// For one thread at a time. The session must outlive it. What a call may leave behind that ended without an
// answer: as for Mutex.
class Election {
 public:
  Election(Session* session, std::string_view prefix);
  ~Election();

  // Waits until this session leads, with this value. `call`, and kAborted when the session is lost or its key
  // is gone, as for Mutex::Lock.
  Status Campaign(std::string_view value, const CallOptions& call = {});
  // Another value without another election. kFailedPrecondition ("election: not leader") when it does not
  // lead.
  Status Proclaim(std::string_view value, const CallOptions& call = {});
  // Lets another one lead. Nothing when it does not lead. On an error it does not count as elected any more,
  // but its key may stand for a while, as for Mutex::Unlock.
  Status Resign(const CallOptions& call = {});

  // kNotFound ("election: no leader") when there is none.
  StatusOr<mvccpb::KeyValue> Leader(const CallOptions& call = {});
  std::unique_ptr<ElectionObserver> Observe();

  const std::string& key() const;  // Empty: not elected.
  int64_t revision() const;        // At which the key was created.

 private:
  // Becomes a candidate, or finds that it is one. The value with which it stands.
  StatusOr<std::string> Enter(std::string_view value, const CallOptions& call);

  std::unique_ptr<Place> place_;
};

}  // namespace quorate::client
