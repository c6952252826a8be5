// v3electionpb.Election: leader election among clients, run by the server in their name. Core thread only.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "net/loop.h"
#include "net/server.h"
#include "rpc/context.h"
#include "rpc/first_created.h"

namespace quorate::rpc {

class ElectionService {
 public:
  ElectionService(Context* context, net::Loop* loop)
      : context_(*context), member_(context->member()), loop_(*loop) {}
  void Register(std::span<net::Server* const> servers);

 private:
  void Campaign(Call call, std::string_view bytes);
  void Proclaim(Call call, std::string_view bytes);
  void Leader(Call call, std::string_view bytes);
  void RespondLeader(Call call, const std::string& name, const auth::AuthInfo& who,
                     const StatusOr<FirstCreated>& leader);
  Status MayObserve(const auth::AuthInfo& who, const std::string& name) const;
  void Resign(Call call, std::string_view bytes);

  Context& context_;
  server::Member& member_;
  net::Loop& loop_;
};

}  // namespace quorate::rpc
