#include "rpc/lease_service.h"

#include <cstdint>
#include <memory>
#include <string>

#include "base/wire.h"
#include "rpc.pb.h"
#include "rpc/parse.h"
#include "server/errors.h"

namespace quorate::rpc {
namespace {

constexpr std::string_view kService = "etcdserverpb.Lease";

// A stream of renewals. Each is answered in turn; an unknown lease answers with TTL 0.
class KeepAliveCall : public net::StreamHandler {
 public:
  KeepAliveCall(Context* context, Stream stream) : context_(*context), member_(context->member()), stream_(stream) {}

  void OnMessage(std::string_view bytes) override {
    stream_.Received();
    int64_t id = 0;
    wire::Reader in(bytes);
    while (in.Next()) {
      if (in.Is(1, wire::Type::kVarint)) id = in.int64();
    }
    if (!in.ok()) return stream_.Finish(MalformedRequest("LeaseKeepAliveRequest"));
    if (const Status denied = Permitted(id); !denied.ok()) return stream_.Finish(denied);

    // The header is taken before the renewal, as in the original.
    message_.clear();
    server::AppendHeader(message_, member_.header());
    wire::AppendVarintFieldNonZero(message_, 2, static_cast<uint64_t>(id));
    const auto ttl = member_.lessor().Renew(id, member_.now());
    if (!ttl.ok() && ttl.status().code() != absl::StatusCode::kNotFound) return stream_.Finish(ttl.status());
    wire::AppendVarintFieldNonZero(message_, 3, ttl.ok() ? static_cast<uint64_t>(*ttl) : 0);
    stream_.Send(message_);
  }
  void OnHalfClose() override { stream_.Finish(absl::OkStatus()); }
  void OnClosed(net::Code reason) override { stream_.Closed(reason); }

 private:
  Status Permitted(int64_t id) {
    if (!member_.auth().enabled()) return absl::OkStatus();
    QUORATE_ASSIGN_OR_RETURN(const auth::AuthInfo who, context_.Identify(stream_));
    return member_.CheckLeasePermitted(who, id);
  }

  Context& context_;
  server::Member& member_;
  Stream stream_;
  std::string message_;  // Reused.
};

}  // namespace

void LeaseService::Register(std::span<net::Server* const> servers) {
  const auto unary = [&](std::string_view method, void (LeaseService::*fn)(Call, std::string_view)) {
    context_.AddUnary(servers, kService, method,
                      [this, fn](Call call, std::string_view bytes) { (this->*fn)(call, bytes); });
  };
  unary("LeaseGrant", &LeaseService::Grant);
  unary("LeaseRevoke", &LeaseService::Revoke);
  unary("LeaseTimeToLive", &LeaseService::TimeToLive);
  unary("LeaseLeases", &LeaseService::Leases);
  context_.AddStreaming(servers, kService, "LeaseKeepAlive", CallType::kBidiStream,
                        [this](Stream stream) { return std::make_unique<KeepAliveCall>(&context_, stream); });
}

void LeaseService::Grant(Call call, std::string_view bytes) {
  etcdserverpb::LeaseGrantRequest request;
  if (!Parse(bytes, &request)) return call.Fail(MalformedRequest("LeaseGrantRequest"));
  if (!member_.QuotaAvailable(server::kLeaseQuotaCost)) return call.Fail(server::ErrNoSpace());
  const auto who = context_.Identify(call);
  if (!who.ok()) return call.Fail(who.status());
  while (request.id() == 0) request.set_id(static_cast<int64_t>(member_.NextRequestId() & INT64_MAX));
  request.DiscardUnknownFields();
  member_.Propose(server::EntryKind::kLeaseGrant, request.SerializeAsString(), *who, ReplyTo(call));
}

void LeaseService::Revoke(Call call, std::string_view bytes) {
  etcdserverpb::LeaseRevokeRequest request;
  if (!Parse(bytes, &request)) return call.Fail(MalformedRequest("LeaseRevokeRequest"));
  const auto who = context_.Identify(call);
  if (!who.ok()) return call.Fail(who.status());
  request.DiscardUnknownFields();
  member_.Propose(server::EntryKind::kLeaseRevoke, request.SerializeAsString(), *who, ReplyTo(call));
}

void LeaseService::TimeToLive(Call call, std::string_view bytes) {
  etcdserverpb::LeaseTimeToLiveRequest request;
  if (!Parse(bytes, &request)) return call.Fail(MalformedRequest("LeaseTimeToLiveRequest"));
  auto who = context_.Identify(call);
  if (!who.ok()) return call.Fail(who.status());
  member_.WhenApplied([this, call, request, who = *std::move(who)](const Status& status) mutable {
    if (!status.ok()) return call.Fail(status);
    etcdserverpb::LeaseTimeToLiveResponse response;
    response.set_id(request.id());
    const auto lease = member_.lessor().TimeToLive(request.id(), member_.now());
    if (!lease) {
      response.set_ttl(-1);
      return RespondWith(call, member_.header(), response);
    }
    response.set_ttl(lease->remaining_seconds);
    response.set_grantedttl(lease->granted_seconds);
    if (request.keys()) {
      for (const std::string& key : member_.lessor().Keys(request.id())) {
        if (const Status denied = member_.auth().IsRangePermitted(who, key, {}); !denied.ok()) return call.Fail(denied);
        response.add_keys(key);
      }
    }
    RespondWith(call, member_.header(), response);
  });
}

void LeaseService::Leases(Call call, std::string_view) {
  const auto who = context_.Identify(call);
  if (!who.ok()) return call.Fail(who.status());
  etcdserverpb::LeaseLeasesResponse response;
  for (const int64_t id : member_.lessor().Leases()) {
    if (member_.auth().enabled()) {
      for (const std::string& key : member_.lessor().Keys(id)) {
        if (const Status denied = member_.auth().IsRangePermitted(*who, key, {}); !denied.ok()) return call.Fail(denied);
      }
    }
    response.add_leases()->set_id(id);
  }
  RespondWith(call, member_.header(), response);
}

}  // namespace quorate::rpc
