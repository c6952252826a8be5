#include "cluster/v2_store.h"

#include <nlohmann/json.hpp>
#include <utility>

#include "base/check.h"
#include "base/go_json.h"

namespace quorate::cluster {
namespace {

using ParsedJson = nlohmann::json;

constexpr std::string_view kMembers = "/0/members";
constexpr std::string_view kRemoved = "/0/removed_members";
constexpr std::string_view kVersion = "/0/version";
constexpr std::string_view kRaftAttributes = "raftAttributes";
constexpr std::string_view kAttributes = "attributes";
// Go's zero time: such a node never expires.
constexpr std::string_view kNever = "0001-01-01T00:00:00Z";
// The deepest node of the server is /0/members/<id>/attributes.
constexpr int kDepthMax = 8;
// etcd: v2store.defaultVersion.
constexpr int kStoreVersion = 2;

// The name of a node that stands for a member. etcd reads other spellings of the same number, too, but never
// writes them; here a name that is not the canonical one would be missed by the next change of its member.
StatusOr<uint64_t> IdOfNode(const std::string& name) {
  QUORATE_ASSIGN_OR_RETURN(const uint64_t id, ParseId(name));
  if (IdText(id) != name) return InvalidArgument("the ID is not written as " + IdText(id));
  return id;
}

std::string Below(std::string_view directory, std::string_view name) {
  return std::string(directory) + "/" + std::string(name);
}

Status BadStore(const std::string& why) {
  return DataLoss("the v2 store in the snapshot is damaged: " + why);
}

Status UserKeys(const std::string& path) {
  return FailedPrecondition(
      "the snapshot holds a key of the v2 API, " + path +
      ": v2 data is not supported, and nothing was changed; move it to v3 with etcd 3.4's `etcdctl "
      "migrate`, or delete it there, and take a new snapshot");
}

StatusOr<uint64_t> ReadIndex(const ParsedJson& json, const char* key, const std::string& path) {
  const auto found = json.find(key);
  if (found == json.end()) return uint64_t{0};
  if (!found->is_number_unsigned()) return BadStore(path + " has no valid " + key);
  return found->get<uint64_t>();
}

}  // namespace

struct V2Store::NodeParser {
  static StatusOr<Node> Parse(const ParsedJson& json, const std::string& path, int depth) {
    if (!json.is_object() || depth > kDepthMax) return BadStore(path + " is no node");
    Node node;
    QUORATE_ASSIGN_OR_RETURN(node.created_index, ReadIndex(json, "CreatedIndex", path));
    QUORATE_ASSIGN_OR_RETURN(node.modified_index, ReadIndex(json, "ModifiedIndex", path));
    if (const auto expire = json.find("ExpireTime"); expire != json.end()) {
      if (!expire->is_string()) return BadStore(path + " has no valid ExpireTime");
      if (expire->get_ref<const std::string&>() != kNever) return UserKeys(path);
    }
    if (const auto value = json.find("Value"); value != json.end()) {
      if (!value->is_string()) return BadStore(path + " has no valid Value");
      node.value = value->get<std::string>();
    }
    const auto children = json.find("Children");
    if (children == json.end() || children->is_null()) return node;
    if (!children->is_object()) return BadStore(path + " has no valid Children");
    node.children.emplace();
    for (const auto& [name, child] : children->items()) {
      const std::string child_path = Below(path == "/" ? "" : path, name);
      if (path == "/1" || (path == "/" && name != "0" && name != "1")) return UserKeys(child_path);
      QUORATE_ASSIGN_OR_RETURN(Node parsed, Parse(child, child_path, depth + 1));
      node.children->emplace(name, std::move(parsed));
    }
    return node;
  }
};

V2Store::V2Store() {
  root_.children.emplace();
  for (const char* name : {"0", "1"}) (*root_.children)[name].children.emplace();
}

StatusOr<V2Store> V2Store::Parse(std::string_view json) {
  const ParsedJson parsed = ParsedJson::parse(json.begin(), json.end(), nullptr, /*allow_exceptions=*/false);
  if (!parsed.is_object()) return BadStore("not JSON");
  const auto root = parsed.find("Root");
  if (root == parsed.end()) return BadStore("there is no Root");
  V2Store store;
  QUORATE_ASSIGN_OR_RETURN(store.root_, NodeParser::Parse(*root, "/", 0));
  if (!store.root_.children) return BadStore("the root is no directory");
  for (const char* name : {"0", "1"}) {
    Node& node = (*store.root_.children)[name];
    if (!node.children) node.children.emplace();
  }
  QUORATE_ASSIGN_OR_RETURN(store.current_index_, ReadIndex(parsed, "CurrentIndex", "the store"));
  QUORATE_RETURN_IF_ERROR(store.Members().status());
  QUORATE_RETURN_IF_ERROR(store.RemovedIds().status());
  QUORATE_RETURN_IF_ERROR(store.ClusterVersion().status());
  return store;
}

void V2Store::AppendNode(std::string& out, const std::string& path, const Node& node) {
  out += "{\"Path\":";
  AppendGoString(out, path.empty() ? "/" : path);
  out += ",\"CreatedIndex\":" + std::to_string(node.created_index);
  out += ",\"ModifiedIndex\":" + std::to_string(node.modified_index);
  out += ",\"ExpireTime\":\"";
  out += kNever;
  out += "\",\"Value\":";
  AppendGoString(out, node.value);
  out += ",\"Children\":";
  if (!node.children) {
    out += "null}";
    return;
  }
  out += '{';
  for (const auto& [name, child] : *node.children) {
    if (out.back() != '{') out += ',';
    AppendGoString(out, name);
    out += ':';
    AppendNode(out, Below(path, name), child);
  }
  out += "}}";
}

std::string V2Store::Json() const {
  std::string out = "{\"Root\":";
  AppendNode(out, "", root_);
  out += ",\"CurrentIndex\":" + std::to_string(current_index_);
  out += ",\"CurrentVersion\":" + std::to_string(kStoreVersion) + "}";
  return out;
}

const V2Store::Node* V2Store::Find(std::string_view path) const {
  const Node* node = &root_;
  while (!path.empty()) {
    path.remove_prefix(1);
    const std::string_view name = path.substr(0, path.find('/'));
    path.remove_prefix(name.size());
    if (!node->children) return nullptr;
    const auto child = node->children->find(name);
    if (child == node->children->end()) return nullptr;
    node = &child->second;
  }
  return node;
}

StatusOr<std::vector<Member>> V2Store::Members() const {
  std::vector<Member> members;
  const Node* const directory = Find(kMembers);
  if (directory == nullptr) return members;
  if (!directory->children) return BadStore(std::string(kMembers) + " is no directory");
  for (const auto& [name, node] : *directory->children) {
    const std::string path = Below(kMembers, name);
    const auto bad = [&](const Status& status) {
      return BadStore(path + ": " + std::string(Message(status)));
    };
    const auto id = IdOfNode(name);
    if (!id.ok()) return bad(id.status());
    if (!node.children) return BadStore(path + " is no directory");
    Member member;
    member.id = *id;
    bool complete = false;
    for (const auto& [key, leaf] : *node.children) {
      if (key == kRaftAttributes) {
        complete = true;
        if (const Status status = ParseRaftAttributes(leaf.value, &member); !status.ok()) return bad(status);
      } else if (key == kAttributes) {
        auto attributes = ParseAttributes(leaf.value);
        if (!attributes.ok()) return bad(attributes.status());
        member.attributes = *std::move(attributes);
      } else {
        return BadStore("unknown key " + Below(path, key));
      }
    }
    if (!complete) return BadStore(path + " has no raftAttributes");
    members.push_back(std::move(member));
  }
  return members;
}

StatusOr<std::vector<uint64_t>> V2Store::RemovedIds() const {
  std::vector<uint64_t> ids;
  const Node* const directory = Find(kRemoved);
  if (directory == nullptr) return ids;
  if (!directory->children) return BadStore(std::string(kRemoved) + " is no directory");
  for (const auto& [name, node] : *directory->children) {
    const auto id = IdOfNode(name);
    if (!id.ok()) return BadStore(Below(kRemoved, name) + ": " + std::string(Message(id.status())));
    ids.push_back(*id);
  }
  return ids;
}

StatusOr<std::optional<Version>> V2Store::ClusterVersion() const {
  const Node* const node = Find(kVersion);
  if (node == nullptr) return std::optional<Version>();
  const auto version = ParseVersion(node->value);
  if (!version.ok()) return BadStore(std::string(kVersion) + ": " + std::string(Message(version.status())));
  return std::optional<Version>(*version);
}

V2Store::Children& V2Store::MakeParents(std::string_view path) {
  Node* node = &root_;
  for (;;) {
    path.remove_prefix(1);
    const size_t slash = path.find('/');
    if (slash == std::string_view::npos) return *node->children;
    const std::string name(path.substr(0, slash));
    path.remove_prefix(slash);
    const auto [child, made] = node->children->try_emplace(name);
    if (made) {
      child->second.children.emplace();
      child->second.created_index = child->second.modified_index = current_index_ + 1;
    }
    node = &child->second;
    QUORATE_CHECK_MSG(node->children.has_value(), "v2 store: a leaf stands where a directory belongs");
  }
}

// etcd's Set and Create: the node is made anew.
void V2Store::Put(std::string_view path, std::string value) {
  Children& children = MakeParents(path);
  Node& node = children[std::string(path.substr(path.rfind('/') + 1))];
  ++current_index_;
  node.created_index = node.modified_index = current_index_;
  node.value = std::move(value);
}

void V2Store::CreateMember(const Member& member) {
  const std::string path = Below(Below(kMembers, IdText(member.id)), kRaftAttributes);
  QUORATE_CHECK_MSG(Find(path) == nullptr, "v2 store: member " + IdText(member.id) + " is there already");
  Put(path, RaftAttributesJson(member));
}

// etcd's Update: the node stays, with its created index.
void V2Store::UpdateRaftAttributes(const Member& member) {
  const std::string path = Below(Below(kMembers, IdText(member.id)), kRaftAttributes);
  QUORATE_CHECK_MSG(Find(path) != nullptr, "v2 store: there is no member " + IdText(member.id));
  Node& node = MakeParents(path).find(kRaftAttributes)->second;
  node.modified_index = ++current_index_;
  node.value = RaftAttributesJson(member);
}

void V2Store::SetAttributes(uint64_t member_id, const Attributes& attributes) {
  const std::string path = Below(kMembers, IdText(member_id));
  QUORATE_CHECK_MSG(Find(path) != nullptr, "v2 store: there is no member " + IdText(member_id));
  Put(Below(path, kAttributes), AttributesJson(attributes));
}

void V2Store::DeleteMember(uint64_t member_id) {
  const std::string path = Below(kMembers, IdText(member_id));
  QUORATE_CHECK_MSG(Find(path) != nullptr, "v2 store: there is no member " + IdText(member_id));
  Children& members = MakeParents(path);
  members.erase(members.find(IdText(member_id)));
  ++current_index_;
  Put(Below(kRemoved, IdText(member_id)), "");
}

void V2Store::SetClusterVersion(Version version) { Put(kVersion, VersionText(version)); }

}  // namespace quorate::cluster
