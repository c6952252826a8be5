// etcdserverpb.Watch: one bidirectional stream with any number of watchers. Core thread only.
#pragma once

#include <span>

#include "net/loop.h"
#include "net/server.h"
#include "rpc/context.h"

namespace quorate::rpc {

class WatchService {
 public:
  WatchService(Context* context, net::Loop* loop) : context_(*context), loop_(*loop) {}
  void Register(std::span<net::Server* const> servers);

 private:
  Context& context_;
  net::Loop& loop_;
};

}  // namespace quorate::rpc
