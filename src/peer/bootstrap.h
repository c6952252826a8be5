// What a member without a log asks the others before it starts. Source: etcdserver/server.go (NewServer),
// cluster_util.go. Both functions return at once; `done` runs once, in a later round of the loop. The loop,
// and nothing else, must run meanwhile.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "base/status.h"
#include "cluster/remote_cluster.h"
#include "cluster/urls.h"
#include "cluster/version.h"
#include "net/loop.h"
#include "net/tls_context.h"

namespace quorate::peer {

struct BootstrapOptions {
  cluster::InitialCluster initial_cluster;
  std::string name;           // Our own in it.
  std::string cluster_token;  // For the IDs of a new cluster.
  // The newest cluster version that we can be a member of.
  cluster::Version newest = cluster::kNewestClusterVersion;
  // For each URL asked (etcd: 10 s when joining, 1 s before a new cluster).
  int64_t join_timeout_nanos = 10'000'000'000;
  int64_t new_cluster_timeout_nanos = 1'000'000'000;
  std::shared_ptr<net::TlsContext> tls = nullptr;  // For https URLs.
};

// --initial-cluster-state=existing: the members from the first other member that answers, matched with the
// configured ones by their URLs (names resolved), with the cluster's IDs and the configured names. Refused
// when they don't match, or when no other member runs at a cluster version that we can join.
void JoinExisting(net::Loop* loop, BootstrapOptions options,
                  std::function<void(StatusOr<cluster::RemoteCluster>)> done);

// --initial-cluster-state=new: FailedPrecondition when another member already knows us as started. OK when
// nobody answers.
void CheckNotBootstrapped(net::Loop* loop, BootstrapOptions options, std::function<void(Status)> done);

}  // namespace quorate::peer
