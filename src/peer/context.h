// What all parts of the transport share: who we are, the way up to the member, HTTP, figures.
//
// Owner: the loop's thread. Held by shared_ptr, so that posted work finds out that it comes too late.
#pragma once

#include <cstdint>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/env.h"
#include "net/http.h"
#include "net/loop.h"
#include "peer/events.h"
#include "peer/http_client.h"
#include "peer/metrics.h"

namespace quorate::peer {

// etcd's ConnReadTimeout: a connection that says nothing for so long is given up.
constexpr int64_t kConnectionTimeoutNanos = 5'000'000'000;
// Link heartbeats, so that the other's read timeout does not strike.
constexpr int64_t kHeartbeatNanos = kConnectionTimeoutNanos / 3;

class Context : public std::enable_shared_from_this<Context> {
 public:
  Context(net::Loop* l, const Env& e) : loop(l), env(e), http(l) {}

  // X-Server-From and the others that go with requests to /raft*.
  net::HttpHeaders RequestHeaders() const;
  // "1 s + election timeout", as etcd dials peers.
  int64_t dial_timeout_nanos() const { return 1'000'000'000 + election_timeout_nanos; }
  int64_t now() const { return env.clock->MonotonicNanos(); }

  // A message from another member, to the member; after Start only.
  Status Step(raft::Message message, server::MessagePath path);

  // These reach PeerEvents in a later round; unreachability of one member once a round.
  void ReportUnreachable(uint64_t id);
  void ReportSnapshot(uint64_t id, bool ok);
  void ReportRemoved();

  net::Loop* const loop;
  const Env env;
  HttpClient http;
  PeerEvents* events = nullptr;  // Null before Start and after Stop.
  uint64_t local_id = 0;
  uint64_t cluster_id = 0;
  std::string advertised_urls;  // Comma-joined.
  int64_t election_timeout_nanos = 0;
  Metrics metrics;

 private:
  std::set<uint64_t> unreachable_;  // To be reported.
  bool removed_reported_ = false;
};

}  // namespace quorate::peer
