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
    : place_(std::make_unique<Place>(session, "mutex", prefix)) {}

Mutex::~Mutex() = default;

StatusOr<bool> Mutex::Enter(const CallOptions& call) {
  const std::string key = place_->OwnKey();
  Session& session = place_->session();
  Txn txn;
  txn.If({CreateRevisionOf(key).Equals(0)})
      .Then({Op::Put(key, "", {.lease = session.lease()}), Op::Get(Prefix(place_->prefix()), kFirstCreated)})
      .Else({Op::Get(key), Op::Get(Prefix(place_->prefix()), kFirstCreated)});
  const StatusOr<TxnResponse> response = session.client().kv().Commit(txn, call);
  if (!response.ok()) return place_->NotEntered(response.status());
  if (response->responses_size() != 2) {
    return place_->NotEntered(Internal("the server answered the lock's transaction incompletely"));
  }
  int64_t revision = response->header().revision();
  if (!response->succeeded()) {
    const RangeResponse& ours = response->responses(0).response_range();
    if (ours.kvs().empty()) {
      return place_->NotEntered(
          Internal("the server found no key of the lock, and did not create it either"));
    }
    revision = ours.kvs(0).create_revision();
  }
  place_->Entered(revision);
  const RangeResponse& first = response->responses(1).response_range();
  return first.kvs().empty() || first.kvs(0).create_revision() == revision;
}

Status Mutex::Lock(const CallOptions& call) {
  const TimeLeft time(call);
  QUORATE_RETURN_IF_ERROR(place_->Clear(time.ForCall()));
  QUORATE_ASSIGN_OR_RETURN(const bool first, Enter(time.ForCall()));
  return first ? absl::OkStatus() : place_->WaitForTurn(time, call.stop);
}

Status Mutex::TryLock(const CallOptions& call) {
  CallOptions request = call;
  request.repeatable = true;
  QUORATE_RETURN_IF_ERROR(place_->Clear(request));
  QUORATE_ASSIGN_OR_RETURN(const bool first, Enter(request));
  if (first) return absl::OkStatus();
  QUORATE_RETURN_IF_ERROR(place_->Leave(request));
  return AlreadyExists("mutex: Locked by another session");
}

Status Mutex::Unlock(const CallOptions& call) {
  if (key().empty() && !place_->left()) {
    return FailedPrecondition("mutex: lock has already been released");
  }
  return place_->Leave(call);
}

Compare Mutex::IsOwner() const { return CreateRevisionOf(key()).Equals(revision()); }

const std::string& Mutex::key() const { return place_->key(); }

int64_t Mutex::revision() const { return place_->revision(); }

}  // namespace quorate::client
