// What the store needs to know of leases. Implemented by lease::Lessor; mvcc stands below it.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/status.h"

namespace quorate::mvcc {

// Core thread only. IDs are never 0 here, except as the answer "none".
class LeaseBinding {
 public:
  virtual ~LeaseBinding() = default;
  // Binds the key to the lease; a key has at most one. NotFound when there is no such lease: while a store is
  // opened that is only logged, in a transaction it is a broken invariant, since the caller of Put has looked
  // the lease up.
  virtual Status Attach(int64_t lease_id, std::string_view key) = 0;
  // Nothing happens when the lease or the binding is gone already.
  virtual void Detach(int64_t lease_id, std::string_view key) = 0;
  // The lease of the key, or 0.
  virtual int64_t LeaseOf(std::string_view key) const = 0;
};

}  // namespace quorate::mvcc
