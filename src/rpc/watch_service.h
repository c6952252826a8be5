// etcdserverpb.Watch: one bidirectional stream with any number of watchers. Core thread only.
#pragma once

#include <span>

#include "net/server.h"
#include "rpc/context.h"

namespace quorate::rpc {

class WatchService {
 public:
  explicit WatchService(Context* context) : context_(*context) {}
  void Register(std::span<net::Server* const> servers);

 private:
  Context& context_;
};

}  // namespace quorate::rpc
