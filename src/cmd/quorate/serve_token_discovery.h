// --discovery-token: the rules of cluster/discovery.h over libgrpc++. They wait for the network and for other
// members, perhaps for ever, so they run on a thread of their own.
#pragma once

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "base/status.h"
#include "cmd/quorate/options.h"
#include "cmd/quorate/serve_grpc_endpoint.h"
#include "net/loop.h"

namespace quorate::cmd {

class TokenDiscovery {
 public:
  using Done = std::function<void(const StatusOr<std::string>& initial_cluster)>;

  // Both outlive it.
  TokenDiscovery(net::Loop* loop, const Options* options) : loop_(*loop), options_(*options) {}
  // Ends what is under way; `done` does not run any more.
  ~TokenDiscovery();
  TokenDiscovery(const TokenDiscovery&) = delete;
  TokenDiscovery& operator=(const TokenDiscovery&) = delete;

  // Once. `done` runs on the loop, with the value of --initial-cluster.
  void Start(Done done);

 private:
  class Service;

  StatusOr<std::string> Join();
  // False when it was ended meanwhile.
  bool Pause(int64_t nanos);

  net::Loop& loop_;
  const Options& options_;
  std::shared_ptr<char> alive_ = std::make_shared<char>();
  GrpcCanceller canceller_;
  std::mutex mutex_;
  std::condition_variable wake_;
  bool ending_ = false;  // Under mutex_.
  std::thread thread_;
};

}  // namespace quorate::cmd
