// etcdserverpb.Lease. Core thread only.
#pragma once

#include <span>
#include <string_view>

#include "net/server.h"
#include "rpc/context.h"

namespace quorate::rpc {

class LeaseService {
 public:
  explicit LeaseService(Context* context) : context_(*context), member_(context->member()) {}
  void Register(std::span<net::Server* const> servers);

 private:
  void Grant(Call call, std::string_view bytes);
  void Revoke(Call call, std::string_view bytes);
  void TimeToLive(Call call, std::string_view bytes);
  void Leases(Call call, std::string_view bytes);

  Context& context_;
  server::Member& member_;
};

}  // namespace quorate::rpc
