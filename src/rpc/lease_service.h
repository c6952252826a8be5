// etcdserverpb.Lease. Core thread only.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "net/loop.h"
#include "net/server.h"
#include "rpc/context.h"

namespace quorate::rpc {

class LeaseService {
 public:
  LeaseService(Context* context, net::Loop* loop)
      : context_(*context), member_(context->member()), loop_(*loop) {}
  void Register(std::span<net::Server* const> servers);

 private:
  void Grant(Call call, std::string_view bytes);
  void Revoke(Call call, std::string_view bytes);
  // Whether the caller may learn which keys these are.
  Status MayRead(const auth::AuthInfo& who, const std::vector<std::string>& keys);
  void TimeToLive(Call call, std::string_view bytes);
  void Leases(Call call, std::string_view bytes);

  Context& context_;
  server::Member& member_;
  net::Loop& loop_;
};

}  // namespace quorate::rpc
