// The one history that all members must share: what was applied, entry by entry, and what a dumb model makes
// of it. The first member to apply an index decides; every other must apply the same there and end up at the
// same revision (state machine safety). One thread.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "raft/types.h"
#include "sim/auth_model.h"
#include "sim/kv_model.h"
#include "sim/trace.h"

namespace quorate::sim {

// The request in a normal entry; none when it holds none that changes keys, leases or the compacted revision.
// `understood` gets false for what the model does not follow (users are followed by AuthModel).
std::optional<Request> DecodeLogEntry(const raft::Entry& entry, bool* understood);

class Truth {
 public:
  struct Applied {
    uint64_t term = 0;
    uint64_t fingerprint = 0;  // Of type and data.
    int64_t revision = 0;      // After it.
    AuthState auth;            // After it.
    int64_t first_at = 0;
  };
  struct Lease {
    int64_t ttl = 0;
    int64_t granted_at = 0;
    int64_t revoked_at = -1;
  };

  Truth(const Scheduler* scheduler, Trace* trace) : scheduler_(*scheduler), trace_(*trace) {}

  // `store_revision`, `auth`: of the member after the entry; -1 when its database was ahead of the entry, and
  // nothing is known.
  void OnApplied(int member, const raft::Entry& entry, int64_t store_revision, const AuthState& auth = {});

  // False once something was applied that the model does not follow: then only equality is known.
  bool modelled() const { return modelled_; }
  const KvModel& model() const { return model_; }
  uint64_t last_index() const { return applied_.size(); }
  const Applied& at(uint64_t index) const { return applied_[index - 1]; }
  // When the revision first existed anywhere; 0 for the first, INT64_MAX for one to come.
  int64_t FirstSeen(int64_t revision) const;
  const std::map<int64_t, Lease>& leases() const { return leases_; }

 private:
  void Learn(int member, const raft::Entry& entry, const AuthState& auth);
  bool LearnAuth(const raft::Entry& entry, const AuthState& auth);
  bool Permits(const raft::Entry& entry, const Request& request) const;
  void CheckUnique(const Request& request, int64_t revision);

  const Scheduler& scheduler_;
  Trace& trace_;
  KvModel model_;
  AuthModel auth_;
  bool modelled_ = true;
  std::vector<Applied> applied_;     // From index 1 on.
  std::vector<int64_t> first_seen_;  // From revision 2 on.
  std::map<int64_t, Lease> leases_;
  std::map<std::string, int64_t> written_;  // Value -> revision: clients never write a value twice.
};

}  // namespace quorate::sim
