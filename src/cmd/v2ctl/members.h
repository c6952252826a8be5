// The calls on /v2/members. Source: client/members.go.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "cmd/v2ctl/cluster_client.h"

namespace quorate::cmd::v2 {

struct Member {
  std::string id;    // Hexadecimal.
  std::string name;  // Empty: not started yet.
  std::vector<std::string> peer_urls;
  std::vector<std::string> client_urls;
};

// Each error is the line that etcd's client prints.
using Members = std::variant<std::vector<Member>, CallError>;
Members ListMembers(ClusterClient* client, std::optional<Deadline> deadline);
std::variant<Member, CallError> Leader(ClusterClient* client, Deadline deadline);
std::variant<Member, CallError> AddMember(ClusterClient* client, const std::string& peer_url,
                                          Deadline deadline);
std::optional<CallError> RemoveMember(ClusterClient* client, const std::string& id, Deadline deadline);
std::optional<CallError> UpdateMember(ClusterClient* client, const std::string& id,
                                      const std::vector<std::string>& peer_urls, Deadline deadline);

// Takes the client URLs of all members for endpoints.
std::optional<CallError> SyncEndpoints(ClusterClient* client, Deadline deadline);

// What a member says at /health: {"health":"true"} or {"health":true}. Nothing: no such answer.
std::optional<bool> ParseHealth(std::string_view body);

}  // namespace quorate::cmd::v2
