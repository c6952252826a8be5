// What all services share: the member, the listeners' registration, identity of callers, and how a call ends.
// Core thread only.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "auth/auth_errors.h"
#include "auth/auth_store.h"
#include "base/limits.h"
#include "base/status.h"
#include "net/grpc.h"
#include "net/server.h"
#include "rpc/call_metrics.h"
#include "rpc/early_calls.h"
#include "rpc/paced_work.h"
#include "rpc/permission_sweep.h"
#include "rpc/snapshot_copiers.h"
#include "server/cluster_life.h"
#include "server/member.h"

namespace quorate::rpc {

// Who has said nothing of himself. A certificate without a common name says something, and has a revision.
inline bool IsNobody(const auth::AuthInfo& who) { return who.username.empty() && who.revision == 0; }

// A unary call that knows its place in the metrics. Copyable.
class Call {
 public:
  Call(net::UnaryCall call, MethodStats* stats) : call_(call), stats_(stats) {}

  // Ends the call: OK with the encoded response, or the error.
  void Finish(const Status& status, std::string_view response);
  void Respond(std::string_view response) { Finish(absl::OkStatus(), response); }
  // Ends the call with a response of exactly `size` bytes, which `fill(char* out)` writes into the
  // connection's output.
  template <typename Fill>
  void RespondInPlace(size_t size, Fill&& fill) {
    char* const out = call_.RespondInPlace(size);
    CountOk(out != nullptr);
    if (out != nullptr) fill(out);
  }
  void Fail(const Status& status) { Finish(status, {}); }

  bool closed() const { return call_.closed(); }
  std::optional<std::string_view> metadata(std::string_view name) const { return call_.metadata(name); }
  std::optional<std::string_view> common_name() const { return call_.tls_common_name(); }
  std::string_view peer() const { return call_.peer(); }
  // As net::CallHandle::HoldRequest(); refuse with TooMuchKept().
  bool HoldRequest(size_t bytes) { return call_.HoldRequest(bytes); }
  net::UnaryCall& raw() { return call_; }

 private:
  // `sent`: the answer went out; else the call was over already.
  void CountOk(bool sent) {
    if (sent) ++stats_->sent;
    ++stats_->handled[static_cast<size_t>(sent ? net::Code::kOk : net::Code::kCancelled)];
  }

  net::UnaryCall call_;
  MethodStats* stats_;
};

// The stream counterpart: counts messages and the end.
class Stream {
 public:
  Stream(net::StreamCall call, MethodStats* stats) : call_(call), stats_(stats) {}

  void Send(std::string_view message);
  void Send(std::span<const std::string_view> pieces);
  void Finish(const Status& status);
  // From StreamHandler::OnClosed.
  void Closed(net::Code reason);
  void Received() { ++stats_->received; }

  size_t pending_bytes() const { return call_.pending_bytes(); }
  // Too much is waiting for this client; OnWritable will come.
  bool full() const { return call_.full(); }
  bool closed() const { return call_.closed(); }
  std::optional<std::string_view> metadata(std::string_view name) const { return call_.metadata(name); }
  std::optional<std::string_view> common_name() const { return call_.tls_common_name(); }
  std::string_view peer() const { return call_.peer(); }
  // As net::CallHandle::HoldRequest(); refuse with TooMuchKept().
  bool HoldRequest(size_t bytes) { return call_.HoldRequest(bytes); }

 private:
  void CountEnd(net::Code code);

  net::StreamCall call_;
  MethodStats* stats_;
  bool ended_ = false;
};

class Context {
 public:
  using Unary = std::function<void(Call call, std::string_view request)>;
  using Streaming = std::function<std::unique_ptr<net::StreamHandler>(Stream stream)>;

  Context(server::Member* member, server::ClusterLife* life, CallMetrics* metrics, net::Loop* loop)
      : member_(*member),
        life_(*life),
        metrics_(*metrics),
        permission_sweep_(&member->auth(), loop),
        early_calls_(member, loop),
        paced_work_(loop) {}

  server::Member& member() { return member_; }
  server::ClusterLife& life() { return life_; }
  CallMetrics& metrics() { return metrics_; }
  SnapshotCopiers& snapshot_copiers() { return snapshot_copiers_; }
  PermissionSweep& permission_sweep() { return permission_sweep_; }
  PacedWork& paced_work() { return paced_work_; }

  // Registers one method on all servers. `service` and `method` must be literals. The handler runs only when
  // the call may be served: a client that asked for a leader (metadata hasleader) gets an error when there is
  // none; a learner serves only Status, serializable Ranges and the Snapshot stream; a quarantined member
  // nothing.
  void AddUnary(std::span<net::Server* const> servers, std::string_view service, std::string_view method,
                Unary handler);
  void AddStreaming(std::span<net::Server* const> servers, std::string_view service, std::string_view method,
                    CallType type, Streaming handler);

  // Who makes the call: the user whom its token belongs to; without one, and with --client-cert-auth, the one
  // whom the certificate of the connection names, be it nobody's name. Nobody when authentication is off or
  // the call says nothing.
  template <typename AnyCall>
  StatusOr<auth::AuthInfo> Identify(const AnyCall& call) {
    if (!member_.auth().enabled()) return auth::AuthInfo{};
    if (const auto token = Token(call)) return member_.Identify(*token);
    // A gateway of etcd's kind passes on the calls of many over a connection of its own (CVE-2018-16886).
    if (!member_.config().common_name_auth || call.metadata("grpcgateway-accept")) return auth::AuthInfo{};
    const std::optional<std::string_view> name = call.common_name();
    return name ? auth::AuthInfo{std::string(*name), member_.auth().revision()} : auth::AuthInfo{};
  }
  // As the call carries it. The view holds until control returns to the loop.
  template <typename AnyCall>
  static std::optional<std::string_view> Token(const AnyCall& call) {
    const auto token = call.metadata("token");
    return token ? token : call.metadata("authorization");
  }
  // The same, but nobody is an error while authentication is on.
  template <typename AnyCall>
  StatusOr<auth::AuthInfo> RequireIdentity(const AnyCall& call) {
    auto who = Identify(call);
    if (who.ok() && IsNobody(*who) && member_.auth().enabled()) return auth::ErrUserEmpty();
    return who;
  }

  // Every election timeout: streams that asked for a leader end when there has been none three times in a
  // row.
  void CheckLeader();

 private:
  bool RefusedByLearner(std::string_view method, std::string_view request) const;
  // Where a call waits for the login of its token, and keeps so many bytes meanwhile.
  template <typename AnyCall>
  std::optional<EarlyCalls::Place> EarlierThanLogin(const AnyCall& call, size_t bytes) const {
    if (!member_.auth().enabled()) return std::nullopt;
    const auto token = Token(call);
    return token ? early_calls_.PlaceFor(*token, call.peer(), bytes) : std::nullopt;
  }

  template <typename AnyCall>
  bool RefusedWithoutLeader(const AnyCall& call) const {
    return member_.leader() == 0 && WantsLeader(call);
  }
  template <typename AnyCall>
  static bool WantsLeader(const AnyCall& call) {
    const auto wanted = call.metadata("hasleader");
    return wanted && *wanted == "true";
  }

  server::Member& member_;
  server::ClusterLife& life_;
  CallMetrics& metrics_;
  std::vector<Stream> want_leader_;
  int checks_without_leader_ = 0;
  SnapshotCopiers snapshot_copiers_{limits::kSnapshotStreamsMax};
  PermissionSweep permission_sweep_;
  EarlyCalls early_calls_;
  PacedWork paced_work_;
};

// The error of a request that would have to be kept, for a client for whom too much is kept already.
Status TooMuchKept();
// The error of a request whose bytes are no such message.
Status MalformedRequest(std::string_view method);

}  // namespace quorate::rpc
