#include "client/turn.h"

#include <charconv>

#include "client/later.h"
#include "quorate/client/txn.h"

namespace quorate::client {
namespace {

// Finds the key. A read would overtake the transaction that creates it; one that may write takes its turn
// behind it. The condition is never true.
Txn LookAt(const std::string& key) {
  Txn txn;
  txn.If({CreateRevisionOf(key).Equals(-1)}).Then({Op::Delete(key)}).Else({Op::Get(key)});
  return txn;
}

// Zero: there is none.
StatusOr<int64_t> CreateRevisionIn(const TxnResponse& found) {
  if (found.responses_size() != 1) return Internal("the server answered the look for a key incompletely");
  const RangeResponse& key = found.responses(0).response_range();
  return key.kvs().empty() ? 0 : key.kvs(0).create_revision();
}

Txn DeletionOf(const std::string& key, int64_t create_revision) {
  Txn txn;
  txn.If({CreateRevisionOf(key).Equals(create_revision)}).Then({Op::Delete(key)});
  return txn;
}

// Deletes only what it has found before it was called off, and so nothing that is entered after that. A
// session that is lost may be lost to us only: its key is worth one more look, but no more.
void CleanUp(Client* client, const std::string& key, const CallOptions& call, const std::stop_token& lost,
             const std::shared_ptr<KeyCleaning>& cleaning) {
  client->kv().CommitAsync(LookAt(key), call, [=](const StatusOr<TxnResponse>& found) {
    // The client is closed, or even gone.
    if (absl::IsCancelled(found.status())) return;
    const std::lock_guard lock(cleaning->mutex);
    if (cleaning->called_off) return;
    if (absl::IsUnavailable(found.status()) && !lost.stop_requested()) {
      return CleanUp(client, key, call, lost, cleaning);
    }
    const StatusOr<int64_t> created = found.ok() ? CreateRevisionIn(*found) : found.status();
    if (!created.ok() || *created == 0) return;
    client->kv().CommitAsync(DeletionOf(key, *created), call, [](const auto&) {});
  });
}

}  // namespace

std::string SessionKey(std::string_view prefix, int64_t lease) {
  char digits[20];
  const auto end = std::to_chars(digits, digits + sizeof(digits), lease, 16).ptr;
  return std::string(prefix) + std::string(digits, end);
}

TimeLeft::TimeLeft(const CallOptions& call) : call_(call) {
  if (call.timeout && call.timeout->count() != 0) until_ = Later(*call.timeout);
}

std::optional<std::chrono::milliseconds> TimeLeft::Left() const {
  if (until_ == std::chrono::steady_clock::time_point::max()) return std::nullopt;
  const auto left =
      std::chrono::duration_cast<std::chrono::milliseconds>(until_ - std::chrono::steady_clock::now());
  // Zero would be no bound at all.
  return left.count() > 0 ? left : std::chrono::milliseconds(-1);
}

CallOptions TimeLeft::ForCall() const {
  CallOptions call = call_;
  // Without a bound of the whole, each request waits for the cluster as long as it takes.
  call.timeout = Left().value_or(std::chrono::milliseconds(0));
  call.repeatable = true;
  return call;
}

Status Place::Expired() const {
  return MakeStatus(absl::StatusCode::kAborted, std::string(kind_) + ": session is expired");
}

void Place::Entered(int64_t create_revision) {
  key_ = OwnKey();
  revision_ = create_revision;
}

void Place::Lost() {
  key_.clear();
  revision_ = 0;
}

Status Place::NotEntered(Status why) {
  if (!key_.empty() || OutcomeOf(why) == Outcome::kNotDone) return why;
  // It would keep others out. A member that holds the request back may even create it later, whatever is
  // deleted now; so it counts as left in any case.
  left_ = true;
  // With the default bound, and not stopped with the call that is given up.
  (void)Clear({});
  left_ = true;
  return why;
}

Status Place::Clear(const CallOptions& call) {
  if (!left_) return absl::OkStatus();
  CallOff();
  Status cleared = ClearNow(call);
  if (!cleared.ok()) ClearLater();
  return cleared;
}

Status Place::ClearNow(const CallOptions& call) {
  CallOptions repeatable = call;
  repeatable.repeatable = true;
  Kv& kv = session_.client().kv();
  QUORATE_ASSIGN_OR_RETURN(const TxnResponse found, kv.Commit(LookAt(OwnKey()), repeatable));
  QUORATE_ASSIGN_OR_RETURN(const int64_t created, CreateRevisionIn(found));
  if (created != 0) QUORATE_RETURN_IF_ERROR(kv.Commit(DeletionOf(OwnKey(), created), repeatable).status());
  Lost();
  left_ = false;
  return absl::OkStatus();
}

void Place::ClearLater() {
  left_ = true;
  cleaning_ = std::make_shared<KeyCleaning>();
  CallOptions call;
  call.timeout = std::chrono::milliseconds(0);
  call.repeatable = true;
  CleanUp(&session_.client(), OwnKey(), call, session_.lost(), cleaning_);
}

void Place::CallOff() {
  if (!cleaning_) return;
  const std::lock_guard lock(cleaning_->mutex);
  cleaning_->called_off = true;
}

Status Place::Leave(const CallOptions& call) {
  if (left_) return Clear(call);
  CallOptions repeatable = call;
  repeatable.repeatable = true;
  Status deleted = session_.client().kv().Commit(DeletionOf(OwnKey(), revision_), repeatable).status();
  if (!deleted.ok()) ClearLater();
  Lost();
  return deleted;
}

Status Place::WaitForTurn(const TimeLeft& time, const std::stop_token& stop) {
  Status status = Wait(time, stop);
  // With the default bound, and not stopped with the call that is given up.
  if (!status.ok()) (void)Leave({});
  return status;
}

Status Place::Wait(const TimeLeft& time, const std::stop_token& stop) const {
  const GetOptions last_before{.limit = 1,
                               .sort_order = etcdserverpb::RangeRequest::DESCEND,
                               .sort_target = etcdserverpb::RangeRequest::CREATE,
                               .max_create_revision = revision_ - 1};
  while (true) {
    QUORATE_ASSIGN_OR_RETURN(const RangeResponse before,
                             session_.client().kv().Get(Prefix(prefix_), last_before, time.ForCall()));
    if (before.kvs().empty()) return StillThere(time);
    const Status gone = WaitForDelete(before.kvs(0).key(), before.header().revision(), time, stop);
    // Compacted while the watch was being opened again: the next look finds out what it missed.
    if (!gone.ok() && !IsCompacted(gone)) return gone;
  }
}

// Cancels the watch when the caller wants no more, or the session is lost: waiting on would be for nothing.
Status Place::WaitForDelete(const std::string& key, int64_t revision, const TimeLeft& time,
                            const std::stop_token& stop) const {
  const auto watch = session_.client().watches().Start(key, {.start_revision = revision, .no_put = true});
  const std::stop_callback on_stop(stop, [&watch] { watch->Cancel(); });
  const std::stop_callback on_lost(session_.lost(), [&watch] { watch->Cancel(); });
  while (true) {
    std::optional<StatusOr<WatchResponse>> response;
    if (const auto left = time.Left()) {
      response = watch->Next(*left);
    } else {
      response = watch->Next();
    }
    if (stop.stop_requested()) return MakeStatus(absl::StatusCode::kCancelled, "context canceled");
    if (session_.lost().stop_requested()) return Expired();
    if (!response) return MakeStatus(absl::StatusCode::kDeadlineExceeded, "context deadline exceeded");
    QUORATE_RETURN_IF_ERROR(response->status());
    for (const mvccpb::Event& event : (*response)->events()) {
      if (event.type() == mvccpb::Event::DELETE) return absl::OkStatus();
    }
  }
}

// Our own key may have gone with the session while we waited, and the session does not know yet.
Status Place::StillThere(const TimeLeft& time) const {
  QUORATE_ASSIGN_OR_RETURN(const RangeResponse ours, session_.client().kv().Get(key_, {}, time.ForCall()));
  if (ours.kvs().empty() || ours.kvs(0).create_revision() != revision_) return Expired();
  return absl::OkStatus();
}

}  // namespace quorate::client
