// quorate.Cluster (proto/quorate.proto): what etcd has no call for. Core thread only.
#pragma once

#include <span>
#include <string_view>

#include "net/server.h"
#include "rpc/context.h"

namespace quorate::rpc {

class OwnService {
 public:
  explicit OwnService(Context* context) : context_(*context), member_(context->member()) {}
  void Register(std::span<net::Server* const> servers);

 private:
  void Version(Call call, std::string_view bytes);
  void RaiseVersion(Call call, std::string_view bytes);

  Context& context_;
  server::Member& member_;
};

}  // namespace quorate::rpc
