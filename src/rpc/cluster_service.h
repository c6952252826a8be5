// etcdserverpb.Cluster: the members. Core thread only.
#pragma once

#include <span>
#include <string_view>

#include "net/server.h"
#include "rpc/context.h"
#include "server/reconfiguration.h"

namespace quorate::rpc {

class ClusterService {
 public:
  explicit ClusterService(Context* context) : context_(*context), member_(context->member()) {}
  void Register(std::span<net::Server* const> servers);

 private:
  void List(Call call, std::string_view bytes);
  void Add(Call call, std::string_view bytes);
  void Remove(Call call, std::string_view bytes);
  void Update(Call call, std::string_view bytes);
  void Promote(Call call, std::string_view bytes);
  Status AdminPermitted(const Call& call);
  // Answers with the members after the change, or with the error.
  template <typename Response>
  server::Reconfiguration::Done Answer(Call call);

  Context& context_;
  server::Member& member_;
};

}  // namespace quorate::rpc
