// Asks a cluster and all its members how they are.
#pragma once

#include <chrono>
#include <string>

#include "base/status.h"
#include "cmd/http_client/http_client.h"
#include "cmd/procedures/cluster_state.h"
#include "quorate/client/client.h"

namespace quorate::cmd {

struct ReaderOptions {
  std::chrono::milliseconds timeout{3000};  // Of each question to each member.
  bool with_metrics = false;                // Also when a member was started, and which program it is.
  HttpOptions http;                         // For /health, /version and /metrics.
};

// One thread. `client` must outlive it.
class StateReader {
 public:
  StateReader(client::Client* client, ReaderOptions options)
      : client_(*client), options_(std::move(options)) {}

  // All members are asked at the same time; those that do not answer are told as such. An error only when
  // nobody tells who the members are.
  StatusOr<ClusterState> Read();

 private:
  StatusOr<ClusterState> ListMembers();
  void AskMember(MemberState* member);
  void AskStatus(const std::string& endpoint, MemberState* member);
  void AskOverHttp(const std::string& url, MemberState* member);
  client::CallOptions Call(const std::string& endpoint) const;

  client::Client& client_;
  const ReaderOptions options_;
};

}  // namespace quorate::cmd
