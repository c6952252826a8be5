// Waiting one's turn in a queue of keys, as locks and elections do: whoever created the oldest key below a
// prefix is at the head. The keys and their rules are those of etcd's clientv3/concurrency.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "base/status.h"
#include "quorate/client/session.h"

namespace quorate::client {

// PREFIX followed by the lease in hex.
std::string SessionKey(std::string_view prefix, int64_t lease);

// What is left of the time that a call may take as a whole. The time runs from the construction.
class TimeLeft {
 public:
  explicit TimeLeft(const CallOptions& call);
  // For one request of it, which may be repeated: locking twice under one key is locking once.
  CallOptions ForCall() const;
  // How long a watch may wait at most: nothing for no bound, negative when the time is over.
  std::optional<std::chrono::milliseconds> Left() const;

 private:
  const CallOptions call_;
  std::chrono::steady_clock::time_point until_ = std::chrono::steady_clock::time_point::max();
};

// A key that is being deleted after the call that should have done it; shared with those requests.
struct KeyCleaning {
  std::mutex mutex;
  bool called_off = false;  // Under mutex: nothing is deleted any more.
};

// A session's place in such a queue: its key, and what an earlier call may have left of it. For one thread at
// a time; the session must outlive it.
//
// Q1: a key that is no longer wanted is deleted by the revision at which it was created, so that a deletion
// that a member holds back never takes what was entered later. Q2: a key that an earlier call may have left
// is never taken up: a deletion of it may be on its way.
class Place {
 public:
  // `kind` ("mutex", "election") begins the texts of errors.
  Place(Session* session, std::string_view kind, std::string_view name)
      : session_(*session), kind_(kind), prefix_(std::string(name) + "/") {}

  Session& session() const { return session_; }
  const std::string& prefix() const { return prefix_; }
  std::string OwnKey() const { return SessionKey(prefix_, session_.lease()); }
  const std::string& key() const { return key_; }  // Empty: not in the queue.
  int64_t revision() const { return revision_; }   // At which the key was created.
  // A key that nobody asked to keep may be there, or may come yet.
  bool left() const { return left_; }

  // Deletes what was left. To be done before entering. On an error it goes on in the background, until the
  // next call or the end of the session.
  Status Clear(const CallOptions& call);
  void Entered(int64_t create_revision);
  // Entering ended with this error, which is returned: deletes the key where it may be there all the same.
  Status NotEntered(Status why);
  // Waits until no key below the prefix is older, and ours is still there. kAborted when the session is lost
  // or the key is gone. On any error the place is given up.
  Status WaitForTurn(const TimeLeft& time, const std::stop_token& stop);
  // Deletes the key, and what was left. It has no place any more, but on an error perhaps left one, of which
  // the deletion goes on as in Clear.
  Status Leave(const CallOptions& call);
  // The key is gone.
  void Lost();

 private:
  Status Wait(const TimeLeft& time, const std::stop_token& stop) const;
  Status WaitForDelete(const std::string& key, int64_t revision, const TimeLeft& time,
                       const std::stop_token& stop) const;
  Status StillThere(const TimeLeft& time) const;
  Status ClearNow(const CallOptions& call);
  void ClearLater();
  void CallOff();
  Status Expired() const;

  Session& session_;
  const std::string_view kind_;
  const std::string prefix_;
  std::string key_;
  int64_t revision_ = 0;
  bool left_ = false;
  std::shared_ptr<KeyCleaning> cleaning_;  // Null: nothing is being deleted in the background.
};

}  // namespace quorate::client
