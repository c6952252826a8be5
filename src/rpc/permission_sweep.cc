#include "rpc/permission_sweep.h"

namespace quorate::rpc {

PermissionSweep::PermissionSweep(const auth::AuthStore* auth, net::Loop* loop)
    : auth_(*auth), loop_(*loop), generation_(auth->generation()) {
  // After the round's entries were applied.
  hook_ = loop_.AddEndOfRound(net::Loop::Stage::kNet, [this] { EndOfRound(); });
}

PermissionSweep::~PermissionSweep() { loop_.RemoveEndOfRound(hook_); }

void PermissionSweep::Registration::Set(PermissionSweep* sweep, PermissionObserver* observer) {
  Reset();
  sweep_ = sweep;
  serial_ = ++sweep->last_serial_;
  sweep->observers_.emplace(serial_, observer);
}

void PermissionSweep::Registration::Reset() {
  if (sweep_ != nullptr) sweep_->observers_.erase(serial_);
  sweep_ = nullptr;
}

void PermissionSweep::EndOfRound() {
  if (sweeping_ || generation_ == auth_.generation()) return;
  generation_ = auth_.generation();
  sweeping_ = true;
  swept_to_ = 0;
  Post();
}

void PermissionSweep::Post() {
  loop_.Post([this, alive = std::weak_ptr(alive_)] {
    if (!alive.expired()) Sweep();
  });
}

void PermissionSweep::Sweep() {
  for (int i = 0; i < kObserversARound; ++i) {
    const auto next = observers_.upper_bound(swept_to_);
    if (next == observers_.end()) {
      sweeping_ = false;  // A change meanwhile begins another.
      return;
    }
    swept_to_ = next->first;
    next->second->OnPermissionsChanged();
  }
  Post();
}

}  // namespace quorate::rpc
