// A member of the cluster, its ID, and its JSON as etcd writes it: in the rows of bucket `members`, in the
// values of the v2 store, and as context of a ConfChange. Source: etcdserver/api/membership/member.go,
// cluster.go. Pure functions.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "raft/types.h"

namespace quorate::cluster {

// What a member publishes of itself after it has started. The name is empty before.
struct Attributes {
  std::string name;
  std::vector<std::string> client_urls;

  friend bool operator==(const Attributes&, const Attributes&) = default;
};

struct Member {
  uint64_t id = 0;
  std::vector<std::string> peer_urls;
  bool is_learner = false;
  Attributes attributes;

  bool started() const { return !attributes.name.empty(); }
  friend bool operator==(const Member&, const Member&) = default;
};

// Lower-case hex without padding, as IDs stand in keys, paths and logs.
std::string IdText(uint64_t id);
// InvalidArgument when the text is not 1 to 16 hex digits.
StatusOr<uint64_t> ParseId(std::string_view text);

// First 8 bytes of SHA-1(peer URLs ascending | token | decimal unix seconds if given). Initial members: the
// cluster token and no time; members added at runtime: an empty token and the time.
uint64_t ComputeMemberId(std::vector<std::string> peer_urls, std::string_view token,
                         std::optional<int64_t> unix_seconds);
// First 8 bytes of SHA-1(initial member IDs ascending, 8 bytes big-endian each).
uint64_t ComputeClusterId(std::vector<uint64_t> member_ids);

// {"id":N,"peerURLs":[..],"isLearner":true,"name":"..","clientURLs":[..]}; the last three only when not
// empty.
std::string MemberJson(const Member& member);
// {"peerURLs":[..],"isLearner":true}
std::string RaftAttributesJson(const Member& member);
// {"name":"..","clientURLs":[..]}
std::string AttributesJson(const Attributes& attributes);

// InvalidArgument for what is no such JSON. Absent fields are empty, unknown ones ignored.
// ParseRaftAttributes sets peer_urls and is_learner of *member.
// ParseMemberList reads [{..},..], as the peer port answers; what is nested in unknown fields costs no stack.
StatusOr<Member> ParseMember(std::string_view json);
StatusOr<std::vector<Member>> ParseMemberList(std::string_view json);
Status ParseRaftAttributes(std::string_view json, Member* member);
StatusOr<Attributes> ParseAttributes(std::string_view json);

// The context of a ConfChange that adds, promotes or updates a member.
struct ConfChangeContext {
  Member member;
  bool is_promote = false;
};
StatusOr<ConfChangeContext> ParseConfChangeContext(std::string_view json);

// ConfChanges as etcd proposes them. `request_id` becomes ConfChange.id.
raft::ConfChange AddMemberChange(uint64_t request_id, const Member& member);
raft::ConfChange PromoteMemberChange(uint64_t request_id, uint64_t member_id);
raft::ConfChange RemoveMemberChange(uint64_t request_id, uint64_t member_id);
raft::ConfChange UpdateMemberChange(uint64_t request_id, const Member& member);

// What a new cluster's log begins with on each of its members: one ConfChange a member, ascending by ID, term
// 1, and a hard state that commits them.
struct Bootstrap {
  std::vector<raft::Entry> entries;
  raft::HardState hard_state;
};
Bootstrap MakeBootstrap(const std::vector<Member>& members);

}  // namespace quorate::cluster
