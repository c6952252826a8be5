#include "rpc/lease_service.h"

#include <cstdint>
#include <deque>
#include <memory>
#include <string>

#include "base/wire.h"
#include "rpc.pb.h"
#include "rpc/parse.h"
#include "server/errors.h"

namespace quorate::rpc {
namespace {

constexpr std::string_view kService = "etcdserverpb.Lease";

// Renewals of one stream that wait for the one before them, or for the client to read its answers.
constexpr size_t kWaitingMax = 10'000;

// A stream of renewals, answered in turn; an unknown lease answers with TTL 0.
class KeepAliveCall : public net::StreamHandler {
 public:
  KeepAliveCall(Context* context, Stream stream)
      : context_(*context), member_(context->member()), stream_(stream) {}

  void OnMessage(std::string_view bytes) override {
    stream_.Received();
    int64_t id = 0;
    wire::Reader in(bytes);
    while (in.Next()) {
      if (in.Is(1, wire::Type::kVarint)) id = in.int64();
    }
    if (!in.ok()) return Finish(MalformedRequest("LeaseKeepAliveRequest"));
    if (waiting_.size() >= kWaitingMax) {
      return Finish(
          ResourceExhausted("etcdserver: " + std::to_string(kWaitingMax) + " renewals of this stream wait"));
    }
    waiting_.push_back(id);
    Serve();
  }
  void OnHalfClose() override {
    half_closed_ = true;
    if (waiting_.empty()) Finish(absl::OkStatus());
  }
  void OnClosed(net::Code reason) override {
    over_ = true;
    stream_.Closed(reason);
  }
  void OnWritable() override {
    unread_ = false;
    Serve();
  }

 private:
  Status Permitted(int64_t id) {
    if (!member_.auth().enabled()) return absl::OkStatus();
    QUORATE_ASSIGN_OR_RETURN(const auth::AuthInfo who, context_.RequireIdentity(stream_));
    return member_.lease_permissions().Check(who, id, server::LeasePermissions::Access::kPut);
  }

  // Answers those waiting, until one has to be waited for, or the client for its answers.
  void Serve() {
    if (serving_) return;  // A renewal has been answered at once: the loop below goes on with the next.
    serving_ = true;
    while (!over_ && !under_way_ && !unread_ && !waiting_.empty()) {
      // When its turn comes: those before it have been renewed and answered.
      if (const Status denied = Permitted(waiting_.front()); !denied.ok()) return Finish(denied);
      under_way_ = true;
      // The header is taken before the renewal, as in the original.
      context_.life().leases().Renew(
          waiting_.front(),
          [this, alive = std::weak_ptr(alive_), header = member_.header()](const StatusOr<int64_t>& ttl) {
            if (alive.expired() || over_) return;
            under_way_ = false;
            if (!ttl.ok() && !absl::IsNotFound(ttl.status())) return Finish(ttl.status());
            Answer(header, waiting_.front(), ttl.ok() ? *ttl : 0);
            Serve();
          });
    }
    serving_ = false;
    if (half_closed_ && !over_ && waiting_.empty()) Finish(absl::OkStatus());
  }

  void Answer(const server::ResponseHeader& header, int64_t id, int64_t ttl_seconds) {
    waiting_.pop_front();
    message_.clear();
    server::AppendHeader(message_, header);
    wire::AppendVarintFieldNonZero(message_, 2, static_cast<uint64_t>(id));
    wire::AppendVarintFieldNonZero(message_, 3, static_cast<uint64_t>(ttl_seconds));
    stream_.Send(message_);
    unread_ = stream_.full();
  }

  void Finish(const Status& status) {
    over_ = true;
    stream_.Finish(status);
  }

  Context& context_;
  server::Member& member_;
  Stream stream_;
  std::deque<int64_t> waiting_;
  std::string message_;  // Reused.
  std::shared_ptr<char> alive_ = std::make_shared<char>();
  bool under_way_ = false;  // The renewal in front.
  bool serving_ = false;
  bool unread_ = false;  // Until OnWritable.
  bool half_closed_ = false;
  bool over_ = false;
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
  const auto who = context_.RequireIdentity(call);
  if (!who.ok()) return call.Fail(who.status());
  while (request.id() == 0) request.set_id(static_cast<int64_t>(member_.NextRequestId() & INT64_MAX));
  request.DiscardUnknownFields();
  member_.Propose(server::EntryKind::kLeaseGrant, request.SerializeAsString(), *who, ReplyTo(call));
}

void LeaseService::Revoke(Call call, std::string_view bytes) {
  etcdserverpb::LeaseRevokeRequest request;
  if (!Parse(bytes, &request)) return call.Fail(MalformedRequest("LeaseRevokeRequest"));
  const auto who = context_.RequireIdentity(call);
  if (!who.ok()) return call.Fail(who.status());
  request.DiscardUnknownFields();
  member_.Propose(server::EntryKind::kLeaseRevoke, request.SerializeAsString(), *who, ReplyTo(call));
}

Status LeaseService::MayRead(const auth::AuthInfo& who, const std::vector<std::string>& keys) {
  if (member_.auth().IsAdminPermitted(who).ok()) return absl::OkStatus();
  for (const std::string& key : keys) QUORATE_RETURN_IF_ERROR(member_.auth().IsRangePermitted(who, key, {}));
  return absl::OkStatus();
}

void LeaseService::TimeToLive(Call call, std::string_view bytes) {
  etcdserverpb::LeaseTimeToLiveRequest request;
  if (!Parse(bytes, &request)) return call.Fail(MalformedRequest("LeaseTimeToLiveRequest"));
  if (const auto who = context_.RequireIdentity(call); !who.ok()) return call.Fail(who.status());
  const auto answer = [this, call, request](const StatusOr<lease::TimeToLive>& lease) mutable {
    etcdserverpb::LeaseTimeToLiveResponse response;
    response.set_id(request.id());
    if (absl::IsNotFound(lease.status())) {
      response.set_ttl(-1);
      return RespondWith(call, member_.header(), response);
    }
    if (!lease.ok()) return call.Fail(lease.status());
    // Users and roles may have changed meanwhile.
    const auto who = context_.RequireIdentity(call);
    if (!who.ok()) return call.Fail(who.status());
    response.set_ttl(lease->remaining_seconds);
    response.set_grantedttl(lease->granted_seconds);
    if (request.keys()) {
      if (const Status denied = MayRead(*who, lease->keys); !denied.ok()) return call.Fail(denied);
      for (const std::string& key : lease->keys) response.add_keys(key);
    }
    RespondWith(call, member_.header(), response);
  };
  const auto look = [this, call, request, answer]() mutable {
    if (call.closed()) return call.Fail(absl::CancelledError());
    context_.life().leases().TimeToLive(request.id(), request.keys(), answer);
  };
  const size_t keys = request.keys() ? member_.lessor().keys(request.id()).size : 0;
  context_.paced_work().AddForKeys(keys, look);
}

void LeaseService::Leases(Call call, std::string_view) {
  const auto list = [this, call]() mutable {
    if (call.closed()) return call.Fail(absl::CancelledError());
    const auto who = context_.RequireIdentity(call);
    if (!who.ok()) return call.Fail(who.status());
    etcdserverpb::LeaseLeasesResponse response;
    for (const int64_t id : member_.lessor().Leases()) {
      const Status denied =
          member_.lease_permissions().Check(*who, id, server::LeasePermissions::Access::kRange);
      if (!denied.ok()) return call.Fail(denied);
      response.add_leases()->set_id(id);
    }
    RespondWith(call, member_.header(), response);
  };
  context_.paced_work().AddForKeys(member_.lessor().size(), list);
}

}  // namespace quorate::rpc
