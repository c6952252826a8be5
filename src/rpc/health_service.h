// grpc.health.v1.Health: only the empty service name is known. Core thread only.
#pragma once

#include <set>
#include <span>

#include "net/server.h"
#include "rpc/context.h"

namespace quorate::rpc {

class HealthService {
 public:
  explicit HealthService(Context* context) : context_(*context) {}
  void Register(std::span<net::Server* const> servers);

  // SERVING from readiness on; clients that watch are told.
  void SetServing(bool serving);

 private:
  class WatchCall;
  void Check(Call call, std::string_view bytes);
  // Of the server, or of a service that it does not know: it has no other.
  int StatusOf(bool whole_server) const;

  Context& context_;
  bool serving_ = false;
  std::set<WatchCall*> watchers_;
};

}  // namespace quorate::rpc
