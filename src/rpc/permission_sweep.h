// Tells streams that live long when users, roles or permissions have changed, so that nobody goes on seeing
// what was taken from him. Core thread only.
#pragma once

#include <cstdint>
#include <memory>

#include "absl/container/btree_map.h"
#include "auth/auth_store.h"
#include "net/loop.h"

namespace quorate::rpc {

// A stream that goes on only while its user may see what it shows.
class PermissionObserver {
 public:
  // Comes a round or a few after the change: until then the stream itself looks at AuthStore::generation()
  // before it sends anything. The observer may be gone when this returns.
  virtual void OnPermissionsChanged() = 0;

 protected:
  ~PermissionObserver() = default;
};

class PermissionSweep {
 public:
  // Not owned.
  PermissionSweep(const auth::AuthStore* auth, net::Loop* loop);
  ~PermissionSweep();
  PermissionSweep(const PermissionSweep&) = delete;
  PermissionSweep& operator=(const PermissionSweep&) = delete;

  // Until its holder goes.
  class Registration {
   public:
    Registration() = default;
    ~Registration() { Reset(); }
    Registration(const Registration&) = delete;
    Registration& operator=(const Registration&) = delete;
    void Set(PermissionSweep* sweep, PermissionObserver* observer);
    void Reset();

   private:
    PermissionSweep* sweep_ = nullptr;
    uint64_t serial_ = 0;
  };

 private:
  // A sweep over all observers is done in parts, so that other clients are served meanwhile.
  static constexpr int kObserversARound = 256;

  void EndOfRound();
  void Post();
  void Sweep();

  const auth::AuthStore& auth_;
  net::Loop& loop_;
  net::Loop::HookId hook_ = 0;
  uint64_t generation_ = 0;  // Of the last sweep that was begun.
  bool sweeping_ = false;
  uint64_t swept_to_ = 0;  // All serials up to this one have been told.
  uint64_t last_serial_ = 0;
  absl::btree_map<uint64_t, PermissionObserver*> observers_;
  std::shared_ptr<char> alive_ = std::make_shared<char>();
};

}  // namespace quorate::rpc
