#include "cluster/member.h"

#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <nlohmann/json.hpp>

#include "base/check.h"
#include "base/endian.h"
#include "base/go_json.h"
#include "raft/confchange_codec.h"

namespace quorate::cluster {
namespace {

using Json = nlohmann::json;

uint64_t Sha1Prefix(std::string_view bytes) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest;
  unsigned int length = 0;
  const int ok = EVP_Digest(bytes.data(), bytes.size(), digest.data(), &length, EVP_sha1(), nullptr);
  QUORATE_CHECK_MSG(ok == 1 && length == 20,
                    "OpenSSL cannot compute SHA-1, which the member IDs of etcd are made with");
  return LoadBig64(digest.data());
}

// Null, as Go writes it for a list that was never set, is an empty list.
void AppendUrls(std::string& out, const std::vector<std::string>& urls) {
  if (urls.empty()) {
    out += "null";
  } else {
    AppendGoStrings(out, urls);
  }
}

// `"peerURLs":[..],"isLearner":true`.
void AppendRaftAttributes(std::string& out, const Member& member) {
  out += "\"peerURLs\":";
  AppendUrls(out, member.peer_urls);
  if (member.is_learner) out += ",\"isLearner\":true";
}

// `"name":"..","clientURLs":[..]`, what is empty left out.
void AppendAttributes(std::string& out, const Attributes& attributes) {
  if (!attributes.name.empty()) {
    out += "\"name\":";
    AppendGoString(out, attributes.name);
  }
  if (!attributes.client_urls.empty()) {
    if (!attributes.name.empty()) out += ',';
    out += "\"clientURLs\":";
    AppendGoStrings(out, attributes.client_urls);
  }
}

StatusOr<Json> ParseObject(std::string_view text) {
  Json json = Json::parse(text.begin(), text.end(), nullptr, /*allow_exceptions=*/false);
  if (!json.is_object())
    return InvalidArgument("not the JSON of a member: " + std::string(text.substr(0, 200)));
  return json;
}

Status WrongType(const char* key) {
  return InvalidArgument(std::string("the JSON of a member has a wrong type of value for ") + key);
}

Status ReadStrings(const Json& json, const char* key, std::vector<std::string>* out) {
  const auto found = json.find(key);
  if (found == json.end() || found->is_null()) return absl::OkStatus();
  if (!found->is_array()) return WrongType(key);
  out->clear();
  for (const Json& item : *found) {
    if (!item.is_string()) return WrongType(key);
    out->push_back(item.get<std::string>());
  }
  return absl::OkStatus();
}

Status ReadBool(const Json& json, const char* key, bool* out) {
  const auto found = json.find(key);
  if (found == json.end() || found->is_null()) return absl::OkStatus();
  if (!found->is_boolean()) return WrongType(key);
  *out = found->get<bool>();
  return absl::OkStatus();
}

Status ReadRaftAttributes(const Json& json, Member* member) {
  QUORATE_RETURN_IF_ERROR(ReadStrings(json, "peerURLs", &member->peer_urls));
  return ReadBool(json, "isLearner", &member->is_learner);
}

Status ReadAttributes(const Json& json, Attributes* attributes) {
  QUORATE_RETURN_IF_ERROR(ReadStrings(json, "clientURLs", &attributes->client_urls));
  const auto name = json.find("name");
  if (name == json.end() || name->is_null()) return absl::OkStatus();
  if (!name->is_string()) return WrongType("name");
  attributes->name = name->get<std::string>();
  return absl::OkStatus();
}

StatusOr<Member> ReadMember(const Json& json) {
  Member member;
  if (const auto id = json.find("id"); id != json.end()) {
    if (!id->is_number_unsigned()) return WrongType("id");
    member.id = id->get<uint64_t>();
  }
  QUORATE_RETURN_IF_ERROR(ReadRaftAttributes(json, &member));
  QUORATE_RETURN_IF_ERROR(ReadAttributes(json, &member.attributes));
  return member;
}

}  // namespace

std::string IdText(uint64_t id) {
  char text[16];
  const auto end = std::to_chars(text, text + sizeof text, id, 16);
  return std::string(text, end.ptr);
}

StatusOr<uint64_t> ParseId(std::string_view text) {
  uint64_t id = 0;
  const auto end = std::from_chars(text.data(), text.data() + text.size(), id, 16);
  if (end.ec != std::errc() || end.ptr != text.data() + text.size()) {
    return InvalidArgument("not a member ID (hexadecimal, 64 bits): \"" + std::string(text) + "\"");
  }
  return id;
}

uint64_t ComputeMemberId(std::vector<std::string> peer_urls, std::string_view token,
                         std::optional<int64_t> unix_seconds) {
  std::sort(peer_urls.begin(), peer_urls.end());
  std::string bytes;
  for (const std::string& url : peer_urls) bytes += url;
  bytes += token;
  if (unix_seconds) bytes += std::to_string(*unix_seconds);
  return Sha1Prefix(bytes);
}

uint64_t ComputeClusterId(std::vector<uint64_t> member_ids) {
  std::sort(member_ids.begin(), member_ids.end());
  std::string bytes;
  for (const uint64_t id : member_ids) AppendBig64(bytes, id);
  return Sha1Prefix(bytes);
}

std::string MemberJson(const Member& member) {
  std::string out = "{\"id\":" + std::to_string(member.id) + ",";
  AppendRaftAttributes(out, member);
  std::string attributes;
  AppendAttributes(attributes, member.attributes);
  if (!attributes.empty()) out += "," + attributes;
  return out + "}";
}

std::string RaftAttributesJson(const Member& member) {
  std::string out = "{";
  AppendRaftAttributes(out, member);
  return out + "}";
}

std::string AttributesJson(const Attributes& attributes) {
  std::string out = "{";
  AppendAttributes(out, attributes);
  return out + "}";
}

StatusOr<Member> ParseMember(std::string_view json) {
  QUORATE_ASSIGN_OR_RETURN(const Json object, ParseObject(json));
  return ReadMember(object);
}

StatusOr<std::vector<Member>> ParseMemberList(std::string_view json) {
  const Json list = Json::parse(json.begin(), json.end(), nullptr, /*allow_exceptions=*/false);
  if (!list.is_array()) {
    return InvalidArgument("not a JSON array of members: " + std::string(json.substr(0, 200)));
  }
  std::vector<Member> members;
  for (const Json& item : list) {
    if (!item.is_object()) return InvalidArgument("a JSON array of members has another item among them");
    QUORATE_ASSIGN_OR_RETURN(Member member, ReadMember(item));
    members.push_back(std::move(member));
  }
  return members;
}

Status ParseRaftAttributes(std::string_view json, Member* member) {
  QUORATE_ASSIGN_OR_RETURN(const Json object, ParseObject(json));
  return ReadRaftAttributes(object, member);
}

StatusOr<Attributes> ParseAttributes(std::string_view json) {
  QUORATE_ASSIGN_OR_RETURN(const Json object, ParseObject(json));
  Attributes attributes;
  QUORATE_RETURN_IF_ERROR(ReadAttributes(object, &attributes));
  return attributes;
}

StatusOr<ConfChangeContext> ParseConfChangeContext(std::string_view json) {
  QUORATE_ASSIGN_OR_RETURN(const Json object, ParseObject(json));
  ConfChangeContext context;
  QUORATE_ASSIGN_OR_RETURN(context.member, ReadMember(object));
  QUORATE_RETURN_IF_ERROR(ReadBool(object, "isPromote", &context.is_promote));
  return context;
}

raft::ConfChange AddMemberChange(uint64_t request_id, const Member& member) {
  const auto type =
      member.is_learner ? raft::ConfChangeType::kAddLearnerNode : raft::ConfChangeType::kAddNode;
  return {request_id, type, member.id, MemberJson(member)};
}

raft::ConfChange PromoteMemberChange(uint64_t request_id, uint64_t member_id) {
  Member member;
  member.id = member_id;
  std::string context = MemberJson(member);
  context.back() = ',';
  context += "\"isPromote\":true}";
  return {request_id, raft::ConfChangeType::kAddNode, member_id, std::move(context)};
}

raft::ConfChange RemoveMemberChange(uint64_t request_id, uint64_t member_id) {
  return {request_id, raft::ConfChangeType::kRemoveNode, member_id, ""};
}

raft::ConfChange UpdateMemberChange(uint64_t request_id, const Member& member) {
  return {request_id, raft::ConfChangeType::kUpdateNode, member.id, MemberJson(member)};
}

Bootstrap MakeBootstrap(const std::vector<Member>& members) {
  std::vector<const Member*> ascending;
  ascending.reserve(members.size());
  for (const Member& member : members) ascending.push_back(&member);
  std::sort(ascending.begin(), ascending.end(),
            [](const Member* a, const Member* b) { return a->id < b->id; });
  Bootstrap bootstrap;
  for (const Member* member : ascending) {
    raft::Entry entry;
    entry.type = raft::EntryType::kConfChange;
    entry.term = 1;
    entry.index = bootstrap.entries.size() + 1;
    entry.data = raft::Payload(raft::EncodeConfChange(AddMemberChange(0, *member)));
    bootstrap.entries.push_back(std::move(entry));
  }
  bootstrap.hard_state.term = 1;
  bootstrap.hard_state.commit = bootstrap.entries.size();
  return bootstrap;
}

}  // namespace quorate::cluster
