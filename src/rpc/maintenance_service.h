// etcdserverpb.Maintenance: alarms, status, defragmentation, hashes, snapshots, leadership. Core thread only.
#pragma once

#include <span>
#include <string_view>

#include "net/loop.h"
#include "net/server.h"
#include "rpc/context.h"

namespace quorate::rpc {

class MaintenanceService {
 public:
  MaintenanceService(Context* context, net::Loop* loop)
      : context_(*context), member_(context->member()), loop_(*loop) {}
  void Register(std::span<net::Server* const> servers);

 private:
  void Alarm(Call call, std::string_view bytes);
  void Status(Call call, std::string_view bytes);
  void Defragment(Call call, std::string_view bytes);
  void Hash(Call call, std::string_view bytes);
  void HashKv(Call call, std::string_view bytes);
  void MoveLeader(Call call, std::string_view bytes);
  void Downgrade(Call call, std::string_view bytes);
  // OK when the caller has the role root, or authentication is off.
  absl::Status AdminPermitted(const Call& call);

  Context& context_;
  server::Member& member_;
  net::Loop& loop_;
};

}  // namespace quorate::rpc
