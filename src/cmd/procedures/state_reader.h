// Asks a cluster and all its members how they are.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "base/status.h"
#include "cmd/http_client/http_client.h"
#include "cmd/procedures/cluster_state.h"
#include "quorate/client/client.h"

namespace quorate::cmd {

struct ReaderOptions {
  std::chrono::milliseconds timeout{3000};  // Of each question to each member.
  bool with_metrics = false;                // Also when a member was started, and which program it is.
  HttpOptions http;                         // For /version and /metrics.
};

// One thread. `client` must outlive it; its endpoints are kept to those of members that serve, so that what
// is asked of "the cluster" does not depend on the endpoint that was typed.
class StateReader {
 public:
  StateReader(client::Client* client, ReaderOptions options)
      : client_(*client), options_(std::move(options)), given_(client->endpoints()) {}

  // All members are asked at the same time, at all their client URLs, until one answers with that member's
  // ID; those that do not answer are told as such. An error only when nobody tells who the members are, or
  // the endpoints belong to more than one cluster.
  StatusOr<ClusterState> Read();

  // The client does not use this member's URLs from the next Read on, unless there are no others.
  void Avoid(uint64_t member) { avoided_ = member; }

 private:
  StatusOr<ClusterState> ListMembers();
  StatusOr<ClusterState> ListAnywhere();
  void AskMember(uint64_t cluster_id, MemberState* member);
  bool AskStatus(uint64_t cluster_id, const std::string& endpoint, MemberState* member, std::string* trouble,
                 bool* refused);
  void AskRead(const std::string& endpoint, MemberState* member);
  void AskOverHttp(const std::string& url, MemberState* member);
  void AskCluster(ClusterState* state);
  void UseEndpointsOf(const ClusterState& state);
  void UseAllEndpoints();
  client::CallOptions Call(const std::string& endpoint) const;

  client::Client& client_;
  const ReaderOptions options_;
  const std::vector<std::string> given_;  // By who runs the command.
  std::vector<std::string> advertised_;   // By the members, when they were listed last.
  uint64_t cluster_id_ = 0;               // 0: not known yet.
  uint64_t avoided_ = 0;
};

}  // namespace quorate::cmd
