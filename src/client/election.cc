#include "quorate/client/election.h"

#include <deque>
#include <mutex>
#include <optional>
#include <utility>

#include "base/status.h"
#include "client/turn.h"

namespace quorate::client {
namespace {

const GetOptions kFirstCreated{.limit = 1,
                               .sort_order = etcdserverpb::RangeRequest::ASCEND,
                               .sort_target = etcdserverpb::RangeRequest::CREATE};

Status NotLeader() { return FailedPrecondition("election: not leader"); }

CallOptions Repeatable(CallOptions call) {
  call.repeatable = true;
  return call;
}

// Looks at the leader, then watches its key until it is gone, then looks again.
class Observer final : public ElectionObserver {
 public:
  Observer(Client* client, std::string prefix) : client_(*client), prefix_(std::move(prefix)) {}

  StatusOr<mvccpb::KeyValue> Next() override {
    while (true) {
      if (!Watching()) {
        QUORATE_ASSIGN_OR_RETURN(std::optional<mvccpb::KeyValue> leader, Look());
        if (leader) return *std::move(leader);
        continue;
      }
      while (!events_.empty()) {
        const mvccpb::Event event = std::move(events_.front());
        events_.pop_front();
        if (event.type() == mvccpb::Event::PUT) return Seen(event.kv());
        // Whoever leads now is not told by this key.
        StopWatching();
      }
      if (!Watching()) continue;
      StatusOr<WatchResponse> response = watch_->Next();
      if (!response.ok() && IsCompacted(response.status())) {
        StopWatching();
        continue;
      }
      QUORATE_RETURN_IF_ERROR(response.status());
      header_ = response->header();
      events_.insert(events_.end(), response->events().begin(), response->events().end());
    }
  }

  const etcdserverpb::ResponseHeader& header() const override { return header_; }

  void Cancel() override {
    stop_.request_stop();
    const std::lock_guard lock(mutex_);
    if (watch_) watch_->Cancel();
  }

 private:
  bool Watching() const { return watch_ != nullptr; }

  mvccpb::KeyValue Seen(const mvccpb::KeyValue& kv) {
    if (waiting_for_first_) {
      // From now on only this key.
      waiting_for_first_ = false;
      StopWatching();
      Watch(KeyRange(kv.key()), kv.mod_revision() + 1);
    }
    return kv;
  }

  StatusOr<std::optional<mvccpb::KeyValue>> Look() {
    CallOptions call;
    call.timeout = std::chrono::milliseconds(0);
    call.stop = stop_.get_token();
    QUORATE_ASSIGN_OR_RETURN(const RangeResponse response,
                             client_.kv().Get(Prefix(prefix_), kFirstCreated, call));
    header_ = response.header();
    waiting_for_first_ = response.kvs().empty();
    if (waiting_for_first_) {
      Watch(Prefix(prefix_), response.header().revision() + 1);
      return std::nullopt;
    }
    Watch(KeyRange(response.kvs(0).key()), response.header().revision() + 1);
    return response.kvs(0);
  }

  void Watch(const KeyRange& keys, int64_t revision) {
    auto watch = client_.watches().Start(keys, {.start_revision = revision});
    const std::lock_guard lock(mutex_);
    watch_ = std::move(watch);
    if (stop_.stop_requested()) watch_->Cancel();
  }
  void StopWatching() {
    events_.clear();
    const std::lock_guard lock(mutex_);
    watch_.reset();
  }

  Client& client_;
  const std::string prefix_;
  std::stop_source stop_;
  bool waiting_for_first_ = false;
  etcdserverpb::ResponseHeader header_;
  std::deque<mvccpb::Event> events_;
  std::mutex mutex_;
  std::unique_ptr<client::Watch> watch_;  // Set under mutex_; only the reading thread does.
};

}  // namespace

Election::Election(Session* session, std::string_view prefix)
    : place_(std::make_unique<Place>(session, "election", prefix)) {}

Election::~Election() = default;

Status Election::Campaign(std::string_view value, const CallOptions& call) {
  const TimeLeft time(call);
  QUORATE_RETURN_IF_ERROR(place_->Clear(time.ForCall()));
  QUORATE_ASSIGN_OR_RETURN(const std::string standing, Enter(value, time.ForCall()));
  if (standing != value) {
    if (Status status = Proclaim(value, time.ForCall()); !status.ok()) {
      (void)Resign();
      return status;
    }
  }
  return place_->WaitForTurn(time, call.stop);
}

StatusOr<std::string> Election::Enter(std::string_view value, const CallOptions& call) {
  const std::string key = place_->OwnKey();
  Session& session = place_->session();
  Txn txn;
  txn.If({CreateRevisionOf(key).Equals(0)})
      .Then({Op::Put(key, value, {.lease = session.lease()})})
      .Else({Op::Get(key)});
  const StatusOr<TxnResponse> response = session.client().kv().Commit(txn, call);
  if (!response.ok()) return place_->NotEntered(response.status());
  if (response->succeeded()) {
    place_->Entered(response->header().revision());
    return std::string(value);
  }
  if (response->responses_size() != 1 || response->responses(0).response_range().kvs().empty()) {
    return place_->NotEntered(
        Internal("the server found no key of the candidate, and did not create it either"));
  }
  const mvccpb::KeyValue& ours = response->responses(0).response_range().kvs(0);
  place_->Entered(ours.create_revision());
  return ours.value();
}

Status Election::Proclaim(std::string_view value, const CallOptions& call) {
  if (key().empty()) return NotLeader();
  Session& session = place_->session();
  Txn txn;
  txn.If({CreateRevisionOf(key()).Equals(revision())})
      .Then({Op::Put(key(), value, {.lease = session.lease()})});
  QUORATE_ASSIGN_OR_RETURN(const TxnResponse response, session.client().kv().Commit(txn, Repeatable(call)));
  if (response.succeeded()) return absl::OkStatus();
  place_->Lost();
  return NotLeader();
}

Status Election::Resign(const CallOptions& call) {
  if (key().empty() && !place_->left()) return absl::OkStatus();
  return place_->Leave(call);
}

const std::string& Election::key() const { return place_->key(); }

int64_t Election::revision() const { return place_->revision(); }

StatusOr<mvccpb::KeyValue> Election::Leader(const CallOptions& call) {
  QUORATE_ASSIGN_OR_RETURN(const RangeResponse response, place_->session().client().kv().Get(
                                                             Prefix(place_->prefix()), kFirstCreated, call));
  if (response.kvs().empty()) return NotFound("election: no leader");
  return response.kvs(0);
}

std::unique_ptr<ElectionObserver> Election::Observe() {
  return std::make_unique<Observer>(&place_->session().client(), place_->prefix());
}

}  // namespace quorate::client
