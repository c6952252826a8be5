#include "quorate/client/mutex.h"

#include <utility>

#include "base/status.h"
#include "client/turn.h"

namespace quorate::client {
namespace {

const GetOptions kFirstCreated{.limit = 1,
                               .sort_order = etcdserverpb::RangeRequest::ASCEND,
                               .sort_target = etcdserverpb::RangeRequest::CREATE};

}  // namespace

Mutex::Mutex(Session* session, std::string_view prefix)
    : session_(*session), prefix_(std::string(prefix) + "/") {}

StatusOr<bool> Mutex::Enter(const CallOptions& call) {
  const std::string key = SessionKey(prefix_, session_.lease());
  Txn txn;
  txn.If({CreateRevisionOf(key).Equals(0)})
      .Then({Op::Put(key, "", {.lease = session_.lease()}), Op::Get(Prefix(prefix_), kFirstCreated)})
      .Else({Op::Get(key), Op::Get(Prefix(prefix_), kFirstCreated)});
  QUORATE_ASSIGN_OR_RETURN(const TxnResponse response, session_.client().kv().Commit(txn, call));
  if (response.responses_size() != 2)
    return Internal("the server answered the lock's transaction incompletely");
  key_ = key;
  revision_ = response.header().revision();
  if (!response.succeeded()) {
    const RangeResponse& ours = response.responses(0).response_range();
    if (ours.kvs().empty())
      return Internal("the server found no key of the lock, and did not create it either");
    revision_ = ours.kvs(0).create_revision();
  }
  const RangeResponse& first = response.responses(1).response_range();
  return first.kvs().empty() || first.kvs(0).create_revision() == revision_;
}

Status Mutex::Lock(const CallOptions& call) {
  const TimeLeft time(call);
  const bool held = !key_.empty();
  const StatusOr<bool> entered = Enter(time.ForCall());
  if (!entered.ok()) {
    if (held || OutcomeOf(entered.status()) == Outcome::kNotDone) return entered.status();
    // The key may be there all the same, and would keep others out.
    key_ = SessionKey(prefix_, session_.lease());
    return GiveUp(entered.status());
  }
  if (*entered) return absl::OkStatus();
  if (const Status status = WaitForTurn(&session_, prefix_, revision_, time, call.stop); !status.ok()) {
    return GiveUp(status);
  }
  // Our own key may have gone with the session while we waited.
  const StatusOr<RangeResponse> ours = session_.client().kv().Get(key_, {}, time.ForCall());
  if (!ours.ok()) return GiveUp(ours.status());
  if (ours->kvs().empty() || ours->kvs(0).create_revision() != revision_) {
    key_.clear();
    return MakeStatus(absl::StatusCode::kAborted, "mutex: session is expired");
  }
  return absl::OkStatus();
}

Status Mutex::TryLock(const CallOptions& call) {
  CallOptions request = call;
  request.repeatable = true;
  QUORATE_ASSIGN_OR_RETURN(const bool entered, Enter(request));
  if (entered) return absl::OkStatus();
  QUORATE_RETURN_IF_ERROR(Delete(request));
  return AlreadyExists("mutex: Locked by another session");
}

Status Mutex::Unlock(const CallOptions& call) {
  if (key_.empty()) return FailedPrecondition("mutex: lock has already been released");
  CallOptions repeatable = call;
  repeatable.repeatable = true;
  return Delete(repeatable);
}

// With the revision, so that a repeated request does not take away what was locked again meanwhile.
Status Mutex::Delete(const CallOptions& call) {
  Txn txn;
  txn.If({IsOwner()}).Then({Op::Delete(key_)});
  QUORATE_RETURN_IF_ERROR(session_.client().kv().Commit(txn, call).status());
  key_.clear();
  revision_ = 0;
  return absl::OkStatus();
}

Status Mutex::GiveUp(Status why) {
  // With the default bound, and not stopped with the call that is given up. What fails here goes with the
  // session.
  CallOptions call;
  call.repeatable = true;
  (void)session_.client().kv().Delete(key_, {}, call);
  key_.clear();
  revision_ = 0;
  return why;
}

Compare Mutex::IsOwner() const { return CreateRevisionOf(key_).Equals(revision_); }

}  // namespace quorate::client
