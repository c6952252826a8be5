// The v2 store: the tree whose JSON every .snap file carries, and from which etcd 3.4 and 3.5 take members,
// removed members and the cluster version at start. Only what the server itself keeps below /0 is supported.
// Indexes move exactly as in etcd (etcdserver/api/v2store/store.go), so that members write the same tree for
// the same log. Owner: the core's thread.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "cluster/member.h"
#include "cluster/version.h"

namespace quorate::cluster {

class V2Store {
 public:
  // Empty: "/0" and "/1".
  V2Store();

  // From the data of a .snap file. DataLoss for JSON that is no such store; FailedPrecondition when it holds
  // keys of the v2 API (anything below /1, or beside /0 and /1).
  static StatusOr<V2Store> Parse(std::string_view json);
  // Root, CurrentIndex, CurrentVersion: what etcd needs to load it.
  std::string Json() const;

  // What the tree says. DataLoss when a node below /0/members is none of a member.
  StatusOr<std::vector<Member>> Members() const;
  StatusOr<std::vector<uint64_t>> RemovedIds() const;
  StatusOr<std::optional<Version>> ClusterVersion() const;

  // The changes of the server. A member must not exist when created, and must when updated or deleted.
  void CreateMember(const Member& member);
  void UpdateRaftAttributes(const Member& member);
  void SetAttributes(uint64_t member_id, const Attributes& attributes);
  void DeleteMember(uint64_t member_id);
  void SetClusterVersion(Version version);

  uint64_t current_index() const { return current_index_; }

 private:
  struct Node;
  using Children = std::map<std::string, Node, std::less<>>;
  // A directory has children, a leaf none.
  struct Node {
    uint64_t created_index = 0;
    uint64_t modified_index = 0;
    std::string value;
    std::optional<Children> children;
  };
  struct NodeParser;

  const Node* Find(std::string_view path) const;
  // The directory that holds the last name of `path`, made with its parents where missing.
  Children& MakeParents(std::string_view path);
  void Put(std::string_view path, std::string value);
  static void AppendNode(std::string& out, const std::string& path, const Node& node);

  Node root_;
  uint64_t current_index_ = 0;
};

}  // namespace quorate::cluster
