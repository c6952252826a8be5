#include "rpc/v2_api.h"

#include <algorithm>
#include <initializer_list>
#include <memory>
#include <string>
#include <utility>

#include "cluster/member.h"
#include "rpc/v2_member_change.h"

namespace quorate::rpc {
namespace {

constexpr std::string_view kMembers = "/v2/members";
constexpr std::string_view kMachines = "/v2/machines";
constexpr std::string_view kStats = "/v2/stats/";
constexpr std::string_view kKeys = "/v2/keys";
constexpr std::string_view kAuth = "/v2/auth";

// The path is `root` itself, or below it.
bool Within(std::string_view path, std::string_view root) {
  return path == root || (path.starts_with(root) && path[root.size()] == '/');
}

// False: answered.
bool AllowMethod(const net::HttpRequest& request, net::HttpReply& reply, net::HttpHeaders headers,
                 std::initializer_list<std::string_view> methods) {
  if (std::find(methods.begin(), methods.end(), request.method) != methods.end()) return true;
  std::string allow;
  for (const std::string_view method : methods) allow.append(allow.empty() ? "" : ",").append(method);
  headers.emplace_back("Allow", allow);
  headers.emplace_back("Content-Type", "text/plain; charset=utf-8");
  headers.emplace_back("X-Content-Type-Options", "nosniff");
  reply.Send(405, headers, "Method Not Allowed\n");
  return false;
}

void SendJson(net::HttpReply& reply, net::HttpHeaders headers, std::string_view body) {
  headers.emplace_back("Content-Type", "application/json");
  reply.Send(200, headers, body);
}

// In the form in which clients of the second generation read errors. The status and the code are none of
// those that mean something about a key: "not found" would be taken for an answer.
void RefuseKeys(net::HttpReply& reply, net::HttpHeaders headers) {
  headers.emplace_back("Content-Type", "application/json");
  reply.Send(410, headers,
             R"({"errorCode":600,"message":"The v2 API's keys are not served",)"
             R"("cause":"use the v3 API (ETCDCTL_API=3, /v3/kv); v2 keys can be moved with etcd 3.4's )"
             R"('etcdctl migrate'","index":0})"
             "\n");
}

}  // namespace

bool V2Api::Owns(std::string_view path) {
  return Within(path, kMembers) || path == kMachines || path.starts_with(kStats) || Within(path, kKeys) ||
         Within(path, kAuth);
}

bool V2Api::ReadsBody(const net::HttpRequest& request) {
  return Within(request.path, kMembers) && (request.method == "POST" || request.method == "PUT");
}

void V2Api::Handle(const net::HttpRequest& request, net::HttpReply reply, net::HttpHeaders headers) {
  const std::string_view path = request.path;
  if (Within(path, kKeys)) return RefuseKeys(reply, std::move(headers));
  if (Within(path, kAuth)) {
    return SendV2Error(
        reply, std::move(headers), 410,
        "the v2 API's users and roles are not served; use the v3 API (ETCDCTL_API=3, /v3/auth)");
  }
  if (path == kMachines) {
    if (!AllowMethod(request, reply, headers, {"GET", "HEAD"})) return;
    std::string text;
    for (const std::string& url : member_.membership().ClientUrls()) {
      text += (text.empty() ? "" : ", ") + url;
    }
    headers.emplace_back("Content-Type", "text/plain; charset=utf-8");
    return reply.Send(200, headers, text);
  }
  if (path.starts_with(kStats)) {
    if (!AllowMethod(request, reply, headers, {"GET"})) return;
    return Stats(path.substr(kStats.size()), std::move(reply), std::move(headers));
  }
  Members(request, std::move(reply), std::move(headers));
}

void V2Api::Stats(std::string_view which, net::HttpReply reply, net::HttpHeaders headers) {
  if (which == "self") return SendJson(reply, std::move(headers), stats_.SelfJson());
  if (which == "store") return SendJson(reply, std::move(headers), V2Stats::StoreJson());
  if (which == "leader") {
    const std::string json = stats_.LeaderJson();
    if (json.empty()) return SendV2Error(reply, std::move(headers), 403, "not current leader");
    return SendJson(reply, std::move(headers), json);
  }
  headers.emplace_back("Content-Type", "text/plain; charset=utf-8");
  headers.emplace_back("X-Content-Type-Options", "nosniff");
  reply.Send(404, headers, "404 page not found\n");
}

void V2Api::Members(const net::HttpRequest& request, net::HttpReply reply, net::HttpHeaders headers) {
  if (!AllowMethod(request, reply, headers, {"GET", "POST", "DELETE", "PUT"})) return;
  headers.emplace_back("X-Etcd-Cluster-Id", cluster::IdText(member_.cluster_id()));
  std::string_view item = std::string_view(request.path).substr(kMembers.size());
  if (!item.empty()) item.remove_prefix(1);
  if (request.method == "GET") return ReadMembers(item, std::move(reply), std::move(headers));
  if (item.empty() && request.method != "POST") {
    headers.emplace_back("Content-Type", "text/plain; charset=utf-8");
    headers.emplace_back("X-Content-Type-Options", "nosniff");
    return reply.Send(405, headers, "Method Not Allowed\n");
  }
  std::make_shared<V2MemberChange>(&member_, calls_, std::move(reply), std::move(headers))
      ->Start(request, item);
}

void V2Api::ReadMembers(std::string_view item, net::HttpReply reply, net::HttpHeaders headers) {
  std::string body;
  if (item.empty()) {
    for (const auto& [id, member] : member_.membership().members()) {
      body += body.empty() ? "{\"members\":[" : ",";
      AppendV2Member(body, member);
    }
    return SendJson(reply, std::move(headers), body + "]}\n");
  }
  if (item != "leader") return SendV2Error(reply, std::move(headers), 404, "Not found");
  const cluster::Member* leader = member_.membership().Find(member_.leader());
  if (leader == nullptr) return SendV2Error(reply, std::move(headers), 503, "During election");
  AppendV2Member(body, *leader);
  SendJson(reply, std::move(headers), body + "\n");
}

}  // namespace quorate::rpc
