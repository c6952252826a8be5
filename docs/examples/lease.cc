// Leases: a key that goes with the program. Usage: lease ENDPOINT...
#include <iostream>

#include "quorate/client/client.h"

namespace qc = quorate::client;

int main(int argc, char** argv) {
  const auto client = qc::Client::Connect({.endpoints = {argv + 1, argv + argc}});
  if (!client.ok()) return 1;
  auto& leases = (*client)->leases();
  auto& kv = (*client)->kv();

  // [lease]
  const auto lease = leases.Grant(std::chrono::seconds(10));
  if (!lease.ok()) return 1;
  if (!kv.Put("alive/host-1", "yes", {.lease = lease->id()}).ok()) return 1;

  // Renewed in the background until `kept` is destroyed.
  const auto kept = leases.KeepAlive(lease->id());
  const auto left = leases.TimeToLive(lease->id(), /*keys=*/true);
  if (!left.ok()) return 1;
  std::cout << left->keys(0) << " has a lease of " << left->grantedttl() << " s\n";

  // Gives up the lease, and its keys with it, at once.
  if (!leases.Revoke(lease->id()).ok()) return 1;
  std::cout << kv.Get("alive/host-1")->count() << " keys left\n";
  // [/lease]
}
