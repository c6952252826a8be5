// A dumb model of users, roles and permissions: who may do what, from the entries of the log. Shares no code
// with src/auth. Whether a change of users or roles took effect, and whether authentication is on, it is told
// (the members are compared with each other for that); what follows from it for requests it decides by
// itself.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "sim/history.h"

namespace quorate::server {
struct EntryView;
}

namespace quorate::sim {

// Of a member after an entry.
struct AuthState {
  bool enabled = false;
  uint64_t revision = 1;  // Counts changes.

  friend bool operator==(const AuthState&, const AuthState&) = default;
};

class AuthModel {
 public:
  using Leases = std::map<int64_t, std::set<std::string>>;

  // Whether the entry is about users and roles; then it is to be learnt, and changes no key.
  static bool Concerns(const server::EntryView& entry);
  // False when it can't be read.
  bool Learn(const server::EntryView& entry, const AuthState& after);
  // The state after an entry of another kind, which must not have changed it.
  const AuthState& state() const { return state_; }

  // Whether the request of a log entry takes effect: its user was known, its permissions were those of now
  // when it was taken in, and they cover all that it touches.
  bool Permits(const std::string& user, uint64_t revision, const Request& request,
               const Leases& leases) const;

 private:
  struct Permission {
    bool read = false;
    bool write = false;
    std::string key, end;  // As in requests.
  };

  bool Covered(const std::string& user, bool write, const std::string& key, const std::string& end) const;
  bool CoversLease(const std::string& user, int64_t lease, const Leases& leases) const;
  bool Covers(const std::string& user, const SimpleOp& op) const;

  AuthState state_;
  std::map<std::string, std::set<std::string>> users_;              // Roles.
  std::map<std::string, std::map<std::string, Permission>> roles_;  // By key and end.
};

}  // namespace quorate::sim
