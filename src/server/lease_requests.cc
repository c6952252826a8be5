#include "server/lease_requests.h"

#include <utility>

#include "base/wire.h"
#include "rpc.pb.h"
#include "server/errors.h"
#include "server/member.h"

namespace quorate::server {
namespace {

constexpr int64_t kHereTimeoutNanos = 1'000'000'000;
constexpr size_t kWaitingMax = 50'000;
constexpr size_t kCallsMax = 64;  // To the leader at a time.
constexpr std::string_view kProtobuf = "application/protobuf";

Status TimeIsOver() {
  return MakeStatus(absl::StatusCode::kDeadlineExceeded,
                    "waiting for node to catch up its applied index has timed out");
}

// LeaseInternalRequest{1: LeaseTimeToLiveRequest}, from leasepb.
std::string EncodeTimeToLive(int64_t id, bool keys) {
  etcdserverpb::LeaseTimeToLiveRequest request;
  request.set_id(id);
  request.set_keys(keys);
  std::string out;
  wire::AppendBytesField(out, 1, request.SerializeAsString());
  return out;
}

// LeaseInternalResponse{1: LeaseTimeToLiveResponse}.
StatusOr<lease::TimeToLive> DecodeTimeToLive(const std::string& body, int64_t id) {
  std::string_view inner;
  wire::Reader in(body);
  while (in.Next()) {
    if (in.Is(1, wire::Type::kBytes)) inner = in.bytes();
  }
  etcdserverpb::LeaseTimeToLiveResponse response;
  if (!in.ok() || !response.ParseFromArray(inner.data(), static_cast<int>(inner.size())) ||
      response.id() != id) {
    return InvalidArgument("the leader's answer about a lease can't be read");
  }
  return lease::TimeToLive{
      response.grantedttl(), response.ttl(), {response.keys().begin(), response.keys().end()}};
}

StatusOr<int64_t> DecodeRenewal(const std::string& body, int64_t id) {
  etcdserverpb::LeaseKeepAliveResponse response;
  if (!response.ParseFromString(body) || response.id() != id) {
    return InvalidArgument("the leader's answer to a renewal can't be read");
  }
  return response.ttl();
}

}  // namespace

// One of `renewed` and `looked_up` is set.
struct LeaseRequests::Request {
  int64_t id = 0;
  bool keys = false;
  bool here_only = false;
  int64_t deadline_nanos = 0;
  bool under_way = false;  // A call to the leader, or a checkpoint in the log.
  bool ended = false;
  RenewDone renewed;
  TimeToLiveDone looked_up;
};

LeaseRequests::LeaseRequests(Member* member) : member_(*member) {}
LeaseRequests::~LeaseRequests() = default;

void LeaseRequests::Renew(int64_t id, RenewDone done) {
  Request request;
  request.id = id;
  request.renewed = std::move(done);
  Start(std::move(request));
}

void LeaseRequests::TimeToLive(int64_t id, bool keys, TimeToLiveDone done) {
  Request request;
  request.id = id;
  request.keys = keys;
  request.looked_up = std::move(done);
  Start(std::move(request));
}

void LeaseRequests::RenewHere(int64_t id, RenewDone done) {
  Request request;
  request.id = id;
  request.here_only = true;
  request.renewed = std::move(done);
  Start(std::move(request));
}

void LeaseRequests::TimeToLiveHere(int64_t id, bool keys, TimeToLiveDone done) {
  Request request;
  request.id = id;
  request.keys = keys;
  request.here_only = true;
  request.looked_up = std::move(done);
  Start(std::move(request));
}

void LeaseRequests::Start(Request request) {
  const auto shared = std::make_shared<Request>(std::move(request));
  shared->deadline_nanos =
      member_.now() + (shared->here_only ? kHereTimeoutNanos : member_.config().request_timeout_nanos());
  if (waiting_.size() >= kWaitingMax) return Fail(shared, ErrTooManyRequests());
  Attempt(shared);
  if (!shared->ended) waiting_.push_back(shared);
}

void LeaseRequests::Fail(const std::shared_ptr<Request>& request, const Status& error) {
  request->ended = true;
  if (request->renewed) {
    request->renewed(error);
  } else {
    request->looked_up(error);
  }
}

void LeaseRequests::Attempt(const std::shared_ptr<Request>& request) {
  if (request->ended) return;
  if (member_.now() >= request->deadline_nanos) {
    if (request->here_only) return Fail(request, TimeIsOver());
    return Fail(request, member_.leader() == raft::kNone ? ErrNoLeader() : ErrTimeout());
  }
  if (request->under_way) return;
  if (member_.is_leader()) return AttemptHere(request);
  if (request->here_only) return Fail(request, ErrNotPrimary());
  if (member_.leader() == raft::kNone || member_.transport() == nullptr || calls_under_way_ >= kCallsMax) {
    return;
  }
  Ask(request);
}

void LeaseRequests::AttemptHere(const std::shared_ptr<Request>& request) {
  // The lease may have been granted by what is not applied yet.
  if (!member_.lessor().primary() || member_.applied_index() < member_.committed_index()) return;
  if (!LeadershipConfirmed()) return;
  if (request->looked_up) {
    auto found = member_.lessor().Lookup(request->id, request->keys);
    if (!found.ok()) return Fail(request, ErrLeaseNotFound());
    request->ended = true;
    return request->looked_up(*std::move(found));
  }
  const lease::RenewOutcome outcome = member_.lessor().Renew(request->id);
  switch (outcome.result) {
    case lease::RenewResult::kRenewed:
      request->ended = true;
      return request->renewed(outcome.ttl_seconds);
    case lease::RenewResult::kNotFound:
      return Fail(request, ErrLeaseNotFound());
    case lease::RenewResult::kNeedsCheckpoint:
      return Checkpoint(request);
    case lease::RenewResult::kNotPrimary:
    case lease::RenewResult::kExpired:
      return;
  }
}

// At most one round at a time; it serves all that wait when it ends.
bool LeaseRequests::LeadershipConfirmed() {
  if (member_.membership().members().size() <= 1) return true;
  const int64_t time = member_.now();
  if (confirmed_term_ == member_.term() && time - confirmed_nanos_ < member_.config().tick_nanos * 3 / 2) {
    return true;
  }
  if (confirming_) return false;
  confirming_ = true;
  member_.WhenLinearizable(
      [this, time, term = member_.term(), alive = std::weak_ptr(alive_)](const Status& status) {
        if (alive.expired()) return;
        confirming_ = false;
        if (!status.ok()) return;
        confirmed_nanos_ = time;
        confirmed_term_ = term;
        AttemptAll();
      });
  return false;
}

void LeaseRequests::Checkpoint(const std::shared_ptr<Request>& request) {
  request->under_way = true;
  etcdserverpb::LeaseCheckpointRequest entry;
  entry.add_checkpoints()->set_id(request->id);
  member_.Propose(EntryKind::kLeaseCheckpoint, entry.SerializeAsString(), {},
                  [this, request, alive = std::weak_ptr(alive_)](const Status& status, std::string_view) {
                    if (alive.expired() || request->ended) return;
                    request->under_way = false;
                    if (!status.ok()) return Fail(request, status);
                    Attempt(request);
                  });
}

void LeaseRequests::Ask(const std::shared_ptr<Request>& request) {
  PeerCall call;
  call.method = "POST";
  call.content_type = kProtobuf;
  if (request->renewed) {
    call.path = "/leases";
    etcdserverpb::LeaseKeepAliveRequest message;
    message.set_id(request->id);
    call.body = message.SerializeAsString();
  } else {
    call.path = "/leases/internal";
    call.body = EncodeTimeToLive(request->id, request->keys);
  }
  request->under_way = true;
  ++calls_under_way_;
  member_.transport()->Call(
      member_.leader(), std::move(call), request->deadline_nanos - member_.now(),
      [this, request, alive = std::weak_ptr(alive_)](const StatusOr<PeerAnswer>& answer) {
        if (alive.expired()) return;
        --calls_under_way_;
        request->under_way = false;
        if (!request->ended) OnAnswer(request, answer);
        if (calls_under_way_ == kCallsMax - 1) AttemptAll();
      });
}

// What is no answer is asked again with the next tick, of whoever leads then.
void LeaseRequests::OnAnswer(const std::shared_ptr<Request>& request, const StatusOr<PeerAnswer>& answer) {
  if (!answer.ok()) return;
  if (answer->status == 404) return Fail(request, ErrLeaseNotFound());
  if (answer->status != 200) return;
  if (request->renewed) {
    const auto ttl = DecodeRenewal(answer->body, request->id);
    if (!ttl.ok()) return;
    request->ended = true;
    request->renewed(*ttl);
  } else {
    auto found = DecodeTimeToLive(answer->body, request->id);
    if (!found.ok()) return;
    request->ended = true;
    request->looked_up(*std::move(found));
  }
}

void LeaseRequests::AttemptAll() {
  // A copy: whoever is answered may ask again at once.
  for (const auto& request : std::list(waiting_)) Attempt(request);
  waiting_.remove_if([](const auto& request) { return request->ended; });
}

void LeaseRequests::Tick() { AttemptAll(); }

}  // namespace quorate::server
