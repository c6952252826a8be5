#include "cmd/v2ctl/members.h"

#include <algorithm>
#include <cctype>
#include <initializer_list>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/go_json.h"
#include "cluster/urls.h"

namespace quorate::cmd::v2 {
namespace {

using Json = nlohmann::json;

constexpr char kPath[] = "/v2/members";

CallError Plain(std::string text) { return {std::move(text), "", false, false}; }

Json ParseJson(std::string_view text) { return Json::parse(text.begin(), text.end(), nullptr, false); }

std::string TextOf(const Json& object, const char* name) {
  const auto at = object.find(name);
  return at != object.end() && at->is_string() ? at->get<std::string>() : std::string();
}

std::vector<std::string> TextsOf(const Json& object, const char* name) {
  std::vector<std::string> texts;
  const auto at = object.find(name);
  if (at == object.end() || !at->is_array()) return texts;
  for (const Json& one : *at) {
    if (one.is_string()) texts.push_back(one.get<std::string>());
  }
  return texts;
}

std::optional<Member> ToMember(const Json& json) {
  if (!json.is_object()) return std::nullopt;
  return Member{TextOf(json, "id"), TextOf(json, "name"), TextsOf(json, "peerURLs"),
                TextsOf(json, "clientURLs")};
}

// The beginning of an answer, for an error: one line of it.
std::string Beginning(std::string_view body) {
  constexpr size_t kBytesMax = 120;
  const std::string_view line = body.substr(0, body.find('\n'));
  return std::string(line.substr(0, kBytesMax));
}

CallError NoAnswerOfV2(const HttpReply& reply) {
  return Plain("the server gave no answer of the v2 API (status code " + std::to_string(reply.status) +
               "): " + Beginning(reply.body));
}

CallError UnexpectedStatus(int status) { return Plain("unexpected status code " + std::to_string(status)); }

// 404 and 409 say why in their body.
CallError Refusal(const HttpReply& reply) {
  const Json json = ParseJson(reply.body);
  if (!json.is_object()) return NoAnswerOfV2(reply);
  return Plain(TextOf(json, "message"));
}

bool OneOf(int status, std::initializer_list<int> wanted) {
  return std::find(wanted.begin(), wanted.end(), status) != wanted.end();
}

StatusOr<std::string> BodyOf(const std::vector<std::string>& peer_urls) {
  QUORATE_ASSIGN_OR_RETURN(const std::vector<std::string> urls, cluster::ParseUrls(peer_urls));
  std::string body = "{\"peerURLs\":";
  AppendGoStrings(body, urls);
  return body + "}";
}

std::variant<Member, CallError> OneMember(const HttpReply& reply) {
  auto member = ToMember(ParseJson(reply.body));
  if (!member) return NoAnswerOfV2(reply);
  return *std::move(member);
}

}  // namespace

Members ListMembers(ClusterClient* client, std::optional<Deadline> deadline) {
  auto outcome = client->Do("GET", kPath, std::nullopt, deadline);
  if (auto* const error = std::get_if<CallError>(&outcome)) return std::move(*error);
  const auto& reply = std::get<HttpReply>(outcome);
  if (reply.status != 200) return UnexpectedStatus(reply.status);
  const Json json = ParseJson(reply.body);
  if (!json.is_object()) return NoAnswerOfV2(reply);
  std::vector<Member> members;
  const auto list = json.find("members");
  if (list == json.end() || !list->is_array()) return members;
  for (const Json& one : *list) {
    auto member = ToMember(one);
    if (!member) return NoAnswerOfV2(reply);
    members.push_back(*std::move(member));
  }
  return members;
}

std::variant<Member, CallError> Leader(ClusterClient* client, Deadline deadline) {
  auto outcome = client->Do("GET", std::string(kPath) + "/leader", std::nullopt, deadline);
  if (auto* const error = std::get_if<CallError>(&outcome)) return std::move(*error);
  const auto& reply = std::get<HttpReply>(outcome);
  if (reply.status != 200) return UnexpectedStatus(reply.status);
  return OneMember(reply);
}

std::variant<Member, CallError> AddMember(ClusterClient* client, const std::string& peer_url,
                                          Deadline deadline) {
  const auto body = BodyOf({peer_url});
  if (!body.ok()) return Plain(std::string(Message(body.status())));
  auto outcome = client->Do("POST", kPath, *body, deadline);
  if (auto* const error = std::get_if<CallError>(&outcome)) return std::move(*error);
  const auto& reply = std::get<HttpReply>(outcome);
  if (!OneOf(reply.status, {201, 409})) return UnexpectedStatus(reply.status);
  if (reply.status == 409) return Refusal(reply);
  return OneMember(reply);
}

std::optional<CallError> RemoveMember(ClusterClient* client, const std::string& id, Deadline deadline) {
  auto outcome = client->Do("DELETE", std::string(kPath) + "/" + id, std::nullopt, deadline);
  if (auto* const error = std::get_if<CallError>(&outcome)) return std::move(*error);
  const auto& reply = std::get<HttpReply>(outcome);
  if (!OneOf(reply.status, {204, 410})) return UnexpectedStatus(reply.status);
  return std::nullopt;
}

std::optional<CallError> UpdateMember(ClusterClient* client, const std::string& id,
                                      const std::vector<std::string>& peer_urls, Deadline deadline) {
  const auto body = BodyOf(peer_urls);
  if (!body.ok()) return Plain(std::string(Message(body.status())));
  auto outcome = client->Do("PUT", std::string(kPath) + "/" + id, *body, deadline);
  if (auto* const error = std::get_if<CallError>(&outcome)) return std::move(*error);
  const auto& reply = std::get<HttpReply>(outcome);
  if (!OneOf(reply.status, {204, 404, 409})) return UnexpectedStatus(reply.status);
  if (reply.status != 204) return Refusal(reply);
  return std::nullopt;
}

std::optional<CallError> SyncEndpoints(ClusterClient* client, Deadline deadline) {
  auto listed = ListMembers(client, deadline);
  if (auto* const error = std::get_if<CallError>(&listed)) return std::move(*error);
  std::vector<std::string> endpoints;
  for (const Member& member : std::get<std::vector<Member>>(listed)) {
    endpoints.insert(endpoints.end(), member.client_urls.begin(), member.client_urls.end());
  }
  if (endpoints.empty()) return CallError{"client: no endpoints available", "", false, true};
  client->SetEndpoints(endpoints);
  return std::nullopt;
}

std::optional<bool> ParseHealth(std::string_view body) {
  const Json json = ParseJson(body);
  if (!json.is_object()) return std::nullopt;
  for (const auto& [name, value] : json.items()) {
    std::string lower = name;
    for (char& c : lower) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    if (lower != "health") continue;
    if (value.is_boolean()) return value.get<bool>();
    if (value.is_string()) return value.get<std::string>() == "true";
    return std::nullopt;
  }
  return false;
}

}  // namespace quorate::cmd::v2
