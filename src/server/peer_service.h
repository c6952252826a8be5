// Answers what other members ask on the peer port, apart from raft's own messages: who the members are, which
// versions run, hashes, leases, promotions. Source of paths, codes and texts: etcdhttp/peer.go,
// leasehttp/http.go, etcdserver/corrupt.go, etcdserver/server.go (DowngradeEnabledHandler) of etcd 3.4
// to 3.7.
//
// Knows no HTTP: src/peer routes to it, the simulator calls it. What the carrier adds:
//   - X-Etcd-Cluster-ID on every answer;
//   - 412 "cluster ID mismatch\n" for a request that carries another X-Etcd-Cluster-ID (etcd 3.6+ for
//   hashes);
//   - Allow: AllowedMethod(path) on a 405 where that is not empty;
//   - X-Content-Type-Options: nosniff where the status is not 200, as Go's http.Error does.
//
// Core thread only. An answer to a request that has to wait comes within a request's time. On destruction
// what still waits is not answered.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "server/transport.h"

namespace quorate::server {

class LeaseRequests;
class Member;
class Reconfiguration;

class PeerService {
 public:
  using Reply = std::function<void(PeerAnswer)>;
  using Handler = std::function<void(PeerCall call, Reply reply)>;

  // Nothing is owned; all must outlive it.
  PeerService(Member* member, Reconfiguration* reconfiguration, LeaseRequests* leases);
  ~PeerService();
  PeerService(const PeerService&) = delete;
  PeerService& operator=(const PeerService&) = delete;

  // Whether it is a path of this service, with or without a query; all others are 404.
  bool Serves(std::string_view path) const;
  // The method that goes into Allow with a 405; empty: none is named.
  static std::string_view AllowedMethod(std::string_view path);
  // `reply` runs once, now or later.
  void Handle(PeerCall call, Reply reply);

  // A path of our own under /quorate/, exactly matched. Before the first request.
  void Add(std::string path, Handler handler);

 private:
  void Members(const Reply& reply);
  void Version(const Reply& reply);
  void HashKv(const PeerCall& call, const Reply& reply);
  void Renew(const PeerCall& call, const Reply& reply);
  void TimeToLive(const PeerCall& call, const Reply& reply);
  void Promote(const PeerCall& call, std::string_view path, const Reply& reply);
  void DowngradeEnabled(const Reply& reply);

  Member& member_;
  Reconfiguration& reconfiguration_;
  LeaseRequests& leases_;
  std::map<std::string, Handler, std::less<>> own_;
  std::shared_ptr<char> alive_ = std::make_shared<char>();
};

// An answer as Go's http.Error writes it: the text and a line feed.
PeerAnswer ErrorAnswer(int status, std::string_view text);

}  // namespace quorate::server
