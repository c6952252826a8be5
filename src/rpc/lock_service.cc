#include "rpc/lock_service.h"

#include <memory>
#include <string>

#include "lock.pb.h"
#include "rpc/parse.h"
#include "server/errors.h"

namespace quorate::rpc {

void LockService::Register(std::span<net::Server* const> servers) {
  constexpr std::string_view kService = "v3lockpb.Lock";
  context_.AddUnary(servers, kService, "Lock",
                    [this](Call call, std::string_view bytes) { Lock(call, bytes); });
  context_.AddUnary(servers, kService, "Unlock",
                    [this](Call call, std::string_view bytes) { Unlock(call, bytes); });
}

void LockService::Lock(Call call, std::string_view bytes) {
  v3lockpb::LockRequest request;
  if (!Parse(bytes, &request)) return call.Fail(MalformedRequest("LockRequest"));
  // A lease may be made before any key is asked for: that is not for everybody.
  const auto who = context_.RequireIdentity(call);
  if (!who.ok()) return call.Fail(ThroughClient(who.status()));
  if (!call.HoldRequest(kCopiesWhileWaiting * bytes.size())) return call.Fail(TooMuchKept());
  const auto turn = std::make_shared<Turn>(&member_, &loop_, &context_.paced_work(), *who);
  call.raw().OnCancel([turn](net::Code) { turn->Abandon(); });
  turn->Take(request.name(), request.lease(), {},
             [this, call, turn](const Status& status, const Turn::Place& place) mutable {
               if (!status.ok()) {
                 turn->Abandon();
                 return call.Fail(ThroughClient(status));
               }
               v3lockpb::LockResponse response;
               response.set_key(place.key);
               RespondWith(call, member_.header(), response);
             });
}

void LockService::Unlock(Call call, std::string_view bytes) {
  v3lockpb::UnlockRequest request;
  if (!Parse(bytes, &request)) return call.Fail(MalformedRequest("UnlockRequest"));
  const auto who = context_.Identify(call);
  if (!who.ok()) return call.Fail(ThroughClient(who.status()));
  if (request.key().empty()) return call.Fail(ThroughClient(server::ErrEmptyKey()));
  std::string body;
  server::Append(body, server::DeleteRangeRequest{request.key(), {}, false});
  member_.Propose(server::EntryKind::kDeleteRange, body, *who,
                  [this, call](const Status& status, std::string_view) mutable {
                    if (!status.ok()) return call.Fail(ThroughClient(status));
                    RespondWith(call, member_.header(), v3lockpb::UnlockResponse());
                  });
}

}  // namespace quorate::rpc
