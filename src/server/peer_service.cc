#include "server/peer_service.h"

#include <charconv>
#include <utility>

#include "base/logging.h"
#include "base/wire.h"
#include "cluster/membership_errors.h"
#include "raft_internal.pb.h"
#include "server/corruption_monitor.h"
#include "server/errors.h"
#include "server/lease_requests.h"
#include "server/member.h"
#include "server/reconfiguration.h"
#include "server/storage_version.h"
#include "server/version_monitor.h"

namespace quorate::server {
namespace {

constexpr std::string_view kMembers = "/members";
constexpr std::string_view kHashKv = "/members/hashkv";
constexpr std::string_view kPromotePrefix = "/members/promote/";
constexpr std::string_view kLeases = "/leases";
constexpr std::string_view kLeasesInternal = "/leases/internal";
constexpr std::string_view kVersion = "/version";
constexpr std::string_view kDowngradeEnabled = "/downgrade/enabled";
constexpr size_t kLeaseRequestBytesMax = 64 * 1024;  // etcd: maxLeaseHTTPRequestSize

constexpr std::string_view kJson = "application/json";
constexpr std::string_view kProtobuf = "application/protobuf";

std::string_view WithoutQuery(std::string_view path) { return path.substr(0, path.find('?')); }

bool IsLeasePath(std::string_view path) { return path == kLeases || path == kLeasesInternal; }

PeerAnswer Ok(std::string body, std::string_view type) { return {200, std::move(body), std::string(type)}; }

// The original's own texts of these errors, which its callers look for, are not those that clients get.
PeerAnswer PromotionRefused(const Status& error) {
  if (error == cluster::ErrMemberNotFound()) return ErrorAnswer(404, "membership: ID not found");
  if (error == cluster::ErrMemberNotLearner()) {
    return ErrorAnswer(412, "membership: can only promote a learner member");
  }
  if (error == cluster::ErrLearnerNotReady()) return ErrorAnswer(412, Message(error));
  return {500, R"({"message":"Internal Server Error"})", std::string(kJson)};
}

PeerAnswer LeaseRefused(const Status& error) {
  if (absl::IsNotFound(error)) return ErrorAnswer(404, "lease not found");
  if (absl::IsDeadlineExceeded(error)) return ErrorAnswer(408, Message(error));
  return ErrorAnswer(400, Message(error));
}

std::string MembersJson(const std::vector<cluster::Member>& members) {
  std::string json = "[";
  for (const cluster::Member& member : members) {
    if (json.size() > 1) json += ',';
    json += cluster::MemberJson(member);
  }
  return json + "]\n";
}

// The ID in LeaseKeepAliveRequest, or, with the keys flag, in LeaseInternalRequest{1:
// LeaseTimeToLiveRequest}.
bool DecodeRenewal(std::string_view body, int64_t* id) {
  etcdserverpb::LeaseKeepAliveRequest request;
  if (!request.ParseFromArray(body.data(), static_cast<int>(body.size()))) return false;
  *id = request.id();
  return true;
}

bool DecodeTimeToLive(std::string_view body, int64_t* id, bool* keys) {
  etcdserverpb::LeaseTimeToLiveRequest request;
  bool found = false;
  wire::Reader in(body);
  while (in.Next()) {
    if (!in.Is(1, wire::Type::kBytes)) continue;
    found = request.ParseFromArray(in.bytes().data(), static_cast<int>(in.bytes().size()));
    if (!found) return false;
  }
  *id = request.id();
  *keys = request.keys();
  return in.ok() && found;
}

}  // namespace

PeerAnswer ErrorAnswer(int status, std::string_view text) {
  return {status, std::string(text) + "\n", "text/plain; charset=utf-8"};
}

PeerService::PeerService(Member* member, Reconfiguration* reconfiguration, LeaseRequests* leases)
    : member_(*member), reconfiguration_(*reconfiguration), leases_(*leases) {}
PeerService::~PeerService() = default;

void PeerService::Add(std::string path, Handler handler) { own_[std::move(path)] = std::move(handler); }

bool PeerService::Serves(std::string_view path) const {
  path = WithoutQuery(path);
  return path == kMembers || path == kHashKv || path.starts_with(kPromotePrefix) || IsLeasePath(path) ||
         path == kVersion || path == kDowngradeEnabled || own_.contains(path);
}

std::string_view PeerService::AllowedMethod(std::string_view path) {
  path = WithoutQuery(path);
  if (path.starts_with(kPromotePrefix)) return "POST";
  const bool get = path == kMembers || path == kHashKv || path == kVersion || path == kDowngradeEnabled;
  return get ? "GET" : "";
}

void PeerService::Handle(PeerCall call, Reply reply) {
  const std::string_view path = WithoutQuery(call.path);
  if (const auto own = own_.find(path); own != own_.end()) return own->second(std::move(call), reply);
  if (!Serves(path)) return reply(ErrorAnswer(404, "404 page not found"));
  const std::string_view wanted = IsLeasePath(path) ? "POST" : AllowedMethod(path);
  if (call.method != wanted) return reply(ErrorAnswer(405, "Method Not Allowed"));
  if (path == kMembers) return Members(reply);
  if (path == kVersion) return Version(reply);
  if (path == kHashKv) return HashKv(call, reply);
  if (path == kDowngradeEnabled) return DowngradeEnabled(reply);
  if (path.starts_with(kPromotePrefix)) {
    return Promote(call, path.substr(kPromotePrefix.size()), reply);
  }
  if (call.body.size() > kLeaseRequestBytesMax) return reply(ErrorAnswer(413, "request body too large"));
  if (path == kLeases) return Renew(call, reply);
  TimeToLive(call, reply);
}

void PeerService::Members(const Reply& reply) {
  std::vector<cluster::Member> members;
  for (const auto& [id, member] : member_.membership().members()) members.push_back(member);
  reply(Ok(MembersJson(members), kJson));
}

void PeerService::Version(const Reply& reply) {
  const auto storage = ReadStorageVersion(member_.backend());
  reply(Ok(VersionsJson(member_.membership().version(), storage.ok() ? *storage : std::nullopt), kJson));
}

void PeerService::HashKv(const PeerCall& call, const Reply& reply) {
  const auto revision = ParseHashRequest(call.body);
  if (!revision.ok()) return reply(ErrorAnswer(400, "error unmarshalling request"));
  member_.store().HashKv(*revision, [revision = *revision, reply](const StatusOr<mvcc::HashKvResult>& hash) {
    if (!hash.ok()) {
      LOG_WARN("failed to get hashKV", {"requested-revision", revision}, {"error", Message(hash.status())});
      // "mvcc: required revision has been compacted": without the prefix that clients get.
      std::string_view text = Message(hash.status());
      constexpr std::string_view kPrefix = "etcdserver: ";
      if (text.starts_with(kPrefix)) text.remove_prefix(kPrefix.size());
      return reply(ErrorAnswer(400, text));
    }
    reply(Ok(HashJson(*hash, revision == 0 ? hash->current_revision : revision), kJson));
  });
}

void PeerService::Renew(const PeerCall& call, const Reply& reply) {
  int64_t id = 0;
  if (!DecodeRenewal(call.body, &id)) return reply(ErrorAnswer(400, "error unmarshalling request"));
  leases_.RenewHere(id, [id, reply](const StatusOr<int64_t>& ttl) {
    if (!ttl.ok()) return reply(LeaseRefused(ttl.status()));
    etcdserverpb::LeaseKeepAliveResponse response;
    response.set_id(id);
    response.set_ttl(*ttl);
    reply(Ok(response.SerializeAsString(), kProtobuf));
  });
}

void PeerService::TimeToLive(const PeerCall& call, const Reply& reply) {
  int64_t id = 0;
  bool keys = false;
  if (!DecodeTimeToLive(call.body, &id, &keys)) return reply(ErrorAnswer(400, "error unmarshalling request"));
  leases_.TimeToLiveHere(id, keys, [id, reply](const StatusOr<lease::TimeToLive>& found) {
    if (!found.ok()) return reply(LeaseRefused(found.status()));
    etcdserverpb::LeaseTimeToLiveResponse response;
    response.mutable_header();
    response.set_id(id);
    response.set_ttl(found->remaining_seconds);
    response.set_grantedttl(found->granted_seconds);
    for (const std::string& key : found->keys) response.add_keys(key);
    std::string body;
    wire::AppendBytesField(body, 1, response.SerializeAsString());
    reply(Ok(std::move(body), kProtobuf));
  });
}

void PeerService::Promote(const PeerCall& call, std::string_view id_text, const Reply& reply) {
  uint64_t id = 0;
  const auto parsed = std::from_chars(id_text.data(), id_text.data() + id_text.size(), id);
  if (parsed.ec != std::errc() || parsed.ptr != id_text.data() + id_text.size()) {
    return reply(ErrorAnswer(404, "member " + std::string(id_text) + " not found in cluster"));
  }
  const auto finish = [id, reply](const StatusOr<std::vector<cluster::Member>>& members) {
    if (members.ok()) return reply(Ok(MembersJson(*members), kJson));
    LOG_WARN("failed to promote a member", log::HexId("member-id", id), {"error", Message(members.status())});
    reply(PromotionRefused(members.status()));
  };
  if (member_.auth().enabled()) {
    const auto who = call.token.empty() ? auth::AuthInfo{} : member_.Identify(call.token);
    const Status denied = who.ok() ? member_.auth().IsAdminPermitted(*who) : who.status();
    if (!denied.ok()) return finish(denied);
  }
  reconfiguration_.Promote(id, call.token, finish);
}

void PeerService::DowngradeEnabled(const Reply& reply) {
  member_.WhenLinearizable([this, alive = std::weak_ptr(alive_), reply](const Status& status) {
    if (!status.ok() || alive.expired()) {
      const Status why = status.ok() ? ErrStopped() : status;
      return reply(ErrorAnswer(500, "failed linearized read: " + std::string(Message(why))));
    }
    reply(Ok(member_.membership().downgrade().enabled ? "true" : "false", "text/plain"));
  });
}

}  // namespace quorate::server
