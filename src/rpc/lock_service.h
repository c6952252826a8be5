// v3lockpb.Lock: locks taken by the server in the name of a client. Core thread only.
#pragma once

#include <span>
#include <string_view>

#include "net/loop.h"
#include "net/server.h"
#include "rpc/context.h"
#include "rpc/turn.h"

namespace quorate::rpc {

class LockService {
 public:
  LockService(Context* context, net::Loop* loop)
      : context_(*context), member_(context->member()), loop_(*loop) {}
  void Register(std::span<net::Server* const> servers);

 private:
  void Lock(Call call, std::string_view bytes);
  void Unlock(Call call, std::string_view bytes);

  Context& context_;
  server::Member& member_;
  net::Loop& loop_;
};

}  // namespace quorate::rpc
