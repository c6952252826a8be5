#include "rpc/election_service.h"

#include <memory>
#include <string>
#include <utility>

#include "election.pb.h"
#include "rpc/first_created.h"
#include "rpc/parse.h"
#include "rpc/turn.h"
#include "server/kv_applier.h"
#include "server/txn_check.h"

namespace quorate::rpc {
namespace {

constexpr std::string_view kService = "v3electionpb.Election";

Status ErrNoElectionLeader() { return Unknown("election: no leader"); }
Status ErrNotElectionLeader() { return Unknown("election: not leader"); }
Status ErrMissingLeaderKey() { return Unknown("\"leader\" field must be provided"); }

// The leader's key is the oldest of the election.
FirstCreatedQuery LeaderOf(const std::string& name) { return {name + "/", mvcc::SortOrder::kAscend, 0}; }

// "The key is still the one that won": the guard of Proclaim and Resign.
etcdserverpb::TxnRequest IfStillLeader(const v3electionpb::LeaderKey& leader) {
  etcdserverpb::TxnRequest txn;
  auto* compare = txn.add_compare();
  compare->set_target(etcdserverpb::Compare::CREATE);
  compare->set_key(leader.key());
  compare->set_create_revision(leader.rev());
  return txn;
}

// Server stream of the election's leaders, from the present one on.
class ObserveCall : public net::StreamHandler, private mvcc::WatchSink, private PermissionObserver {
 public:
  ObserveCall(Context* context, net::Loop* loop, Stream stream)
      : context_(*context), member_(context->member()), loop_(*loop), stream_(stream) {}

  void OnMessage(std::string_view bytes) override {
    stream_.Received();
    if (started_) return;
    started_ = true;
    v3electionpb::LeaderRequest request;
    if (!Parse(bytes, &request)) return Finish(MalformedRequest("LeaderRequest"));
    auto who = context_.Identify(stream_);
    if (!who.ok()) return Finish(ThroughClient(who.status()));
    who_ = *std::move(who);
    // Itself, the range that is watched, and the leader's key.
    if (!stream_.HoldRequest(4 * request.name().size())) return Finish(TooMuchKept());
    name_ = request.name();
    member_.WhenLinearizable(
        [this, alive = std::weak_ptr(alive_)](const Status& status) {
          if (alive.expired()) return;
          if (!status.ok()) return Finish(status);
          Begin();
        },
        bytes.size());
  }
  void OnHalfClose() override {}
  void OnClosed(net::Code reason) override {
    over_ = true;
    watch_.reset();
    stream_.Closed(reason);
  }
  void OnWritable() override {
    if (watch_) watch_->Resume();
  }

 private:
  bool full() const override { return stream_.full(); }
  void OnEvents(mvcc::WatchId, int64_t, std::shared_ptr<const mvcc::WatchEvents>, bool) override {
    LookSoon();
  }
  void OnCompacted(mvcc::WatchId, int64_t) override { LookSoon(); }
  void OnProgress(mvcc::WatchId, int64_t) override {}

  void Begin() {
    if (over_) return;
    const std::string prefix = name_ + "/";
    if (const Status denied = Permitted(who_); !denied.ok()) return Finish(ThroughClient(denied));
    registration_.Set(&context_.permission_sweep(), this);
    watch_ = member_.watch_hub().OpenStream(this);
    mvcc::WatchOptions options;
    options.key = prefix;
    options.range_end = PrefixEnd(prefix);
    if (const auto id = watch_->Create(options); !id.ok()) return Finish(id.status());
    Look();
  }

  Status Permitted(const auth::AuthInfo& who) const {
    const std::string prefix = name_ + "/";
    return member_.auth().IsRangePermitted(who, prefix, PrefixEnd(prefix));
  }
  // The same user, whatever has been changed about users meanwhile.
  void OnPermissionsChanged() override {
    auth::AuthInfo who = who_;
    if (!IsNobody(who)) who.revision = member_.auth().revision();
    if (const Status denied = Permitted(who); !over_ && !denied.ok()) Finish(ThroughClient(denied));
  }

  // The hub must not be called back from within a delivery, and one look serves all events of a round.
  void LookSoon() {
    if (look_scheduled_) return;
    look_scheduled_ = true;
    loop_.Post([this, alive = std::weak_ptr(alive_)] {
      if (alive.expired()) return;
      look_scheduled_ = false;
      Look();
    });
  }

  // One at a time: what comes meanwhile is seen by the next one.
  void Look() {
    if (over_) return;
    look_again_ = looking_;
    if (looking_) return;
    looking_ = true;
    FindFirstCreated(&member_, &context_.paced_work(), LeaderOf(name_),
                     [this, alive = std::weak_ptr(alive_)](const StatusOr<FirstCreated>& leader) {
                       if (!alive.expired()) OnLook(leader);
                     });
  }

  void OnLook(const StatusOr<FirstCreated>& leader) {
    looking_ = false;
    OnPermissionsChanged();
    if (over_) return;
    if (!leader.ok()) return Finish(leader.status());
    if (leader->kv) Tell(*leader->kv);
    if (std::exchange(look_again_, false)) LookSoon();
  }

  void Tell(const std::string& leader) {
    const auto kv = server::ParseKeyValue(leader);
    if (kv.mod_revision == sent_revision_ && kv.key == sent_key_) return;
    sent_revision_ = kv.mod_revision;
    sent_key_ = std::string(kv.key);
    v3electionpb::LeaderResponse response;
    response.mutable_kv()->ParseFromString(leader);
    std::string message;
    server::AppendHeader(message, member_.header());
    response.AppendToString(&message);
    stream_.Send(message);
  }

  void Finish(const Status& status) {
    over_ = true;
    watch_.reset();
    stream_.Finish(status);
  }

  Context& context_;
  server::Member& member_;
  net::Loop& loop_;
  Stream stream_;
  auth::AuthInfo who_;
  std::string name_;
  std::string sent_key_;
  int64_t sent_revision_ = 0;
  std::shared_ptr<char> alive_ = std::make_shared<char>();
  std::unique_ptr<mvcc::WatchStream> watch_;
  bool started_ = false;
  bool over_ = false;
  bool look_scheduled_ = false;
  bool looking_ = false;
  bool look_again_ = false;  // When the one under way has ended.
  PermissionSweep::Registration registration_;
};

}  // namespace

void ElectionService::Register(std::span<net::Server* const> servers) {
  const auto unary = [&](std::string_view method, void (ElectionService::*fn)(Call, std::string_view)) {
    context_.AddUnary(servers, kService, method,
                      [this, fn](Call call, std::string_view bytes) { (this->*fn)(call, bytes); });
  };
  unary("Campaign", &ElectionService::Campaign);
  unary("Proclaim", &ElectionService::Proclaim);
  unary("Leader", &ElectionService::Leader);
  unary("Resign", &ElectionService::Resign);
  context_.AddStreaming(servers, kService, "Observe", CallType::kServerStream, [this](Stream stream) {
    return std::make_unique<ObserveCall>(&context_, &loop_, stream);
  });
}

void ElectionService::Campaign(Call call, std::string_view bytes) {
  v3electionpb::CampaignRequest request;
  if (!Parse(bytes, &request)) return call.Fail(MalformedRequest("CampaignRequest"));
  // A lease may be made before any key is asked for: that is not for everybody.
  const auto who = context_.RequireIdentity(call);
  if (!who.ok()) return call.Fail(ThroughClient(who.status()));
  if (!call.HoldRequest(kCopiesWhileWaiting * bytes.size())) return call.Fail(TooMuchKept());
  const auto turn = std::make_shared<Turn>(&member_, &loop_, &context_.paced_work(), *who);
  call.raw().OnCancel([turn](net::Code) { turn->Abandon(); });
  turn->Take(request.name(), request.lease(), request.value(),
             [this, call, turn, request, who = *who](const Status& status, const Turn::Place& place) mutable {
               if (!status.ok()) {
                 turn->Abandon();
                 return call.Fail(ThroughClient(status));
               }
               v3electionpb::CampaignResponse response;
               response.mutable_leader()->set_name(request.name());
               response.mutable_leader()->set_key(place.key);
               response.mutable_leader()->set_rev(place.create_revision);
               response.mutable_leader()->set_lease(place.lease);
               if (!place.existed || place.value == request.value()) {
                 return RespondWith(call, member_.header(), response);
               }
               // Campaigning again under the same lease proclaims the new value.
               etcdserverpb::TxnRequest txn = IfStillLeader(response.leader());
               auto* put = txn.add_success()->mutable_request_put();
               put->set_key(place.key);
               put->set_value(request.value());
               put->set_lease(place.lease);
               member_.Propose(server::EntryKind::kTxn, txn.SerializeAsString(), who,
                               [this, call, response](const Status& written, std::string_view) mutable {
                                 if (!written.ok()) return call.Fail(ThroughClient(written));
                                 RespondWith(call, member_.header(), response);
                               });
             });
}

void ElectionService::Proclaim(Call call, std::string_view bytes) {
  v3electionpb::ProclaimRequest request;
  if (!Parse(bytes, &request)) return call.Fail(MalformedRequest("ProclaimRequest"));
  if (!request.has_leader()) return call.Fail(ErrMissingLeaderKey());
  const auto who = context_.Identify(call);
  if (!who.ok()) return call.Fail(ThroughClient(who.status()));
  etcdserverpb::TxnRequest txn = IfStillLeader(request.leader());
  auto* put = txn.add_success()->mutable_request_put();
  put->set_key(request.leader().key());
  put->set_value(request.value());
  put->set_lease(request.leader().lease());
  if (const Status bad = server::CheckTxn(txn, member_.config().txn_ops_max); !bad.ok()) {
    return call.Fail(ThroughClient(bad));
  }
  member_.Propose(server::EntryKind::kTxn, txn.SerializeAsString(), *who,
                  [this, call](const Status& status, std::string_view response) mutable {
                    if (!status.ok()) return call.Fail(ThroughClient(status));
                    etcdserverpb::TxnResponse txn_response;
                    if (!Parse(response, &txn_response) || !txn_response.succeeded()) {
                      return call.Fail(ErrNotElectionLeader());
                    }
                    RespondWith(call, member_.header(), v3electionpb::ProclaimResponse());
                  });
}

void ElectionService::Leader(Call call, std::string_view bytes) {
  v3electionpb::LeaderRequest request;
  if (!Parse(bytes, &request)) return call.Fail(MalformedRequest("LeaderRequest"));
  auto who = context_.Identify(call);
  if (!who.ok()) return call.Fail(ThroughClient(who.status()));
  const auto answer = [this, call, name = request.name(),
                       who = *std::move(who)](const Status& status) mutable {
    if (!status.ok()) return call.Fail(ThroughClient(status));
    if (const Status denied = MayObserve(who, name); !denied.ok()) return call.Fail(ThroughClient(denied));
    FindFirstCreated(&member_, &context_.paced_work(), LeaderOf(name),
                     [this, call, name, who](const StatusOr<FirstCreated>& leader) mutable {
                       RespondLeader(call, name, who, leader);
                     });
  };
  member_.WhenLinearizable(answer, bytes.size());
}

Status ElectionService::MayObserve(const auth::AuthInfo& who, const std::string& name) const {
  const std::string prefix = name + "/";
  return member_.auth().IsRangePermitted(who, prefix, PrefixEnd(prefix));
}

void ElectionService::RespondLeader(Call call, const std::string& name, const auth::AuthInfo& who,
                                    const StatusOr<FirstCreated>& leader) {
  if (const Status denied = MayObserve(who, name); !denied.ok()) return call.Fail(ThroughClient(denied));
  if (!leader.ok()) return call.Fail(leader.status());
  if (!leader->kv) return call.Fail(ErrNoElectionLeader());
  v3electionpb::LeaderResponse response;
  response.mutable_kv()->ParseFromString(*leader->kv);
  RespondWith(call, member_.header(), response);
}

void ElectionService::Resign(Call call, std::string_view bytes) {
  v3electionpb::ResignRequest request;
  if (!Parse(bytes, &request)) return call.Fail(MalformedRequest("ResignRequest"));
  if (!request.has_leader()) return call.Fail(ErrMissingLeaderKey());
  const auto who = context_.Identify(call);
  if (!who.ok()) return call.Fail(ThroughClient(who.status()));
  etcdserverpb::TxnRequest txn = IfStillLeader(request.leader());
  txn.add_success()->mutable_request_delete_range()->set_key(request.leader().key());
  if (const Status bad = server::CheckTxn(txn, member_.config().txn_ops_max); !bad.ok()) {
    return call.Fail(ThroughClient(bad));
  }
  member_.Propose(server::EntryKind::kTxn, txn.SerializeAsString(), *who,
                  [this, call](const Status& status, std::string_view) mutable {
                    if (!status.ok()) return call.Fail(ThroughClient(status));
                    RespondWith(call, member_.header(), v3electionpb::ResignResponse());
                  });
}

}  // namespace quorate::rpc
