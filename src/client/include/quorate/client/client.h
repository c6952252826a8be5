// The client of an etcd or Quorate cluster.
//
//   auto client = Client::Connect({.endpoints = {"http://10.0.0.1:2379", "http://10.0.0.2:2379"}});
//   if (!client.ok()) return client.status();
//   auto put = (*client)->kv().Put("greeting", "hello");
//
// One client is enough for a program; all of it may be used from any thread at the same time. It keeps one
// connection to each endpoint and asks the connected ones in turn, leaving out for a while those that failed.
// One thread of its own runs the connections, timers, watches and callbacks. Calls that wait must not be made
// on that thread, so not from a callback: they fail at once with kFailedPrecondition there. A callback must
// not throw: that ends the program. A client is not to be used in a child process after fork().
//
// Everything that the client has handed out ends when it is destroyed, and its callbacks run until then. It
// may be destroyed in a callback: then this does not wait for the end, and the others are still called after
// it. What a callback starts while its client is being destroyed is dropped: calls whose own callback is not
// called (futures have kCancelled), watches whose handler hears nothing.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "quorate/client/auth.h"
#include "quorate/client/cluster.h"
#include "quorate/client/kv.h"
#include "quorate/client/lease.h"
#include "quorate/client/maintenance.h"
#include "quorate/client/options.h"
#include "quorate/client/status.h"
#include "quorate/client/watch.h"

namespace quorate::client {

class Client {
 public:
  // Fails when the options are wrong, a certificate can't be read, the user can't log in, or
  // (wait_for_connection) no endpoint answers in time.
  static StatusOr<std::unique_ptr<Client>> Connect(Options options);
  ~Client();
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  Kv& kv() { return kv_; }
  Leases& leases() { return leases_; }
  Watches& watches() { return watches_; }
  Cluster& cluster() { return cluster_; }
  Maintenance& maintenance() { return maintenance_; }
  Auth& auth() { return auth_; }

  std::vector<std::string> endpoints() const;
  // Calls under way go on where they are; what waits for a connection waits for one of these then.
  Status SetEndpoints(const std::vector<std::string>& endpoints);
  // Takes the endpoints that the voting members advertise.
  Status SyncEndpoints(const CallOptions& call = {});

 private:
  explicit Client(std::unique_ptr<Core> core);

  std::unique_ptr<Core> core_;
  Kv kv_;
  Leases leases_;
  Watches watches_;
  Cluster cluster_;
  Maintenance maintenance_;
  Auth auth_;
};

}  // namespace quorate::client
