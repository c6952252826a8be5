// The initial members of a new cluster from a discovery service (--discovery-token): an etcd or Quorate
// cluster in which the members of the new one leave their names and URLs. Source:
// server/etcdserver/api/v3discovery/discovery.go of etcd 3.6.
//
// Keys:
//   /_etcd/registry/TOKEN/_config/size   how many members there will be; made by the operator
//   /_etcd/registry/TOKEN/members/ID     "name=url[,name=url..]" of a member, ID in hex; made by the member
// The first `size` members by create revision are the cluster.
//
// Pure but for the service that it is given, whose calls wait for the network: not on the core's thread.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "cluster/member.h"

namespace quorate::cluster {

struct DiscoveryRow {
  std::string key;
  std::string value;
  int64_t create_revision = 0;
};
struct DiscoveryRows {
  std::vector<DiscoveryRow> rows;
  int64_t revision = 0;  // At which they were read.
};

class DiscoveryService {
 public:
  virtual ~DiscoveryService() = default;
  // The key alone, or all that begin with it.
  virtual StatusOr<DiscoveryRows> Read(const std::string& key, bool prefix) = 0;
  // OK when the key has been made, AlreadyExists when it was there.
  virtual Status Create(const std::string& key, const std::string& value) = 0;
  // Returns OK once something below the prefix has changed at or after the revision; an error when nothing
  // tells any more whether it has.
  virtual Status AwaitChange(const std::string& prefix, int64_t from_revision) = 0;
  // False: the process is to end.
  virtual bool Pause(int64_t nanos) = 0;
};

struct DiscoveryOptions {
  std::string token;
  uint64_t member_id = 0;  // ComputeMemberId of our URLs with the token.
  std::string own;         // "name=url[,name=url..]"
};

// Registers, waits until there are as many members as there are to be, and gives the value that
// --initial-cluster would have. Errors of the service are logged and tried again for ever, with growing
// pauses, but for a refusal (wrong user, no permission). FailedPrecondition, with etcd's text at its
// beginning: there is no size for this token, or a bad one; the cluster is full; another member has our ID.
StatusOr<std::string> JoinByDiscovery(const DiscoveryOptions& options, DiscoveryService* service);

// The pause before the nth new attempt, n from 1: 2 s, 4 s, up to 256 s.
int64_t DiscoveryPauseNanos(int attempt);

}  // namespace quorate::cluster
