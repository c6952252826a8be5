#include "quorate/client/lease.h"

#include <future>
#include <utility>

#include "client/keep_alive_once.h"
#include "client/rpc.h"

namespace quorate::client {
namespace {

class KeepAliveHandle final : public KeepAlive {
 public:
  KeepAliveHandle(Core* core, std::shared_ptr<KeepAliveState> state)
      : core_(*core), loop_(core->shared_loop()), state_(std::move(state)), heard_(state_->has_listener()) {
    loop_->Post([core = &core_, state = state_] { core->leases().Add(state); });
  }
  ~KeepAliveHandle() override { Cancel(); }

  // With a listener it returns only when that runs no more, or, within one, is not called any more.
  void Cancel() override {
    // Before the task: an answer may be on its way to it.
    if (loop_->InLoop()) state_->Forget();
    state_->End(MakeStatus(absl::StatusCode::kCancelled, "renewing the lease was cancelled"));
    auto ended = std::make_shared<std::promise<void>>();
    const bool posted = loop_->Post([core = &core_, state = state_, ended] {
      core->leases().Remove(state);
      state->Forget();
      ended->set_value();
    });
    if (heard_ && posted && !loop_->InLoop()) ended->get_future().wait();
  }

  int64_t id() const override { return state_->id; }
  std::stop_token ended() const override { return state_->ended(); }
  Status status() const override { return state_->status(); }
  Status Wait() override { return loop_->InLoop() ? WouldWaitForItself() : state_->Wait(); }

 private:
  Core& core_;  // Touched in tasks of the loop only, which end before it does.
  const std::shared_ptr<Loop> loop_;
  const std::shared_ptr<KeepAliveState> state_;
  const bool heard_;
};

}  // namespace

StatusOr<LeaseGrantResponse> Leases::Grant(std::chrono::seconds ttl, int64_t id, const CallOptions& call) {
  etcdserverpb::LeaseGrantRequest request;
  request.set_ttl(ttl.count());
  request.set_id(id);
  return Call<LeaseGrantResponse>(&core_, kLeaseGrant, request, call);
}

StatusOr<LeaseRevokeResponse> Leases::Revoke(int64_t id, const CallOptions& call) {
  etcdserverpb::LeaseRevokeRequest request;
  request.set_id(id);
  return Call<LeaseRevokeResponse>(&core_, kLeaseRevoke, request, call);
}

StatusOr<LeaseTimeToLiveResponse> Leases::TimeToLive(int64_t id, bool keys, const CallOptions& call) {
  etcdserverpb::LeaseTimeToLiveRequest request;
  request.set_id(id);
  request.set_keys(keys);
  return Call<LeaseTimeToLiveResponse>(&core_, kLeaseTimeToLive, request, call);
}

StatusOr<LeaseLeasesResponse> Leases::List(const CallOptions& call) {
  return Call<LeaseLeasesResponse>(&core_, kLeaseLeases, etcdserverpb::LeaseLeasesRequest(), call);
}

StatusOr<LeaseKeepAliveResponse> Leases::KeepAliveOnce(int64_t id, const CallOptions& call) {
  return RenewOnce(&core_, id, call);
}

std::unique_ptr<KeepAlive> Leases::KeepAlive(int64_t id,
                                             std::function<void(const LeaseKeepAliveResponse&)> renewed) {
  return std::make_unique<KeepAliveHandle>(&core_, std::make_shared<KeepAliveState>(id, std::move(renewed)));
}

}  // namespace quorate::client
