// The commands of the second-generation client. Each prints, and returns the exit code.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/status.h"
#include "cmd/v2ctl/cluster_client.h"
#include "cmd/v2ctl/members.h"
#include "cmd/v2ctl/settings.h"

namespace quorate::cmd::v2 {

// Frozen: scripts test them. Source: etcdctl/ctlv2/command/error.go.
enum class V2ExitCode : int {
  kOk = 0,
  kBadArguments = 1,
  kBadConnection = 2,
  kNoSuchCommand = 3,
  kServerError = 4,
  kClusterNotHealthy = 5,
};

// A line on stderr.
int Complain(V2ExitCode code, const std::string& line);
// "Error:  TEXT" and the details.
int FailWith(V2ExitCode code, const CallError& error);

// What every command works with. One thread.
class Connection {
 public:
  explicit Connection(const Settings& settings) : settings_(settings) {}

  // Checks the certificate files.
  Status OpenTransport();
  // Takes the endpoints and the user. After OpenTransport.
  Status OpenClient();
  // Both, and takes the endpoints that the members publish, unless --no-sync. Nothing, or the exit code.
  std::optional<int> Open();

  HttpClient* http() { return http_.get(); }
  ClusterClient* client() { return client_.get(); }
  Deadline CommandDeadline() const;
  // As long as etcd's client waits for a connection.
  std::chrono::milliseconds ConnectLimit() const;
  void PrintEndpoints() const;

 private:
  std::optional<int> Sync();

  const Settings& settings_;
  std::unique_ptr<HttpClient> http_;
  std::unique_ptr<ClusterClient> client_;
};

int ClusterHealth(const Settings& settings, bool forever);
int MemberList(const Settings& settings, const std::vector<std::string>& arguments);
int MemberAdd(const Settings& settings, const std::vector<std::string>& arguments);
int MemberRemove(const Settings& settings, const std::vector<std::string>& arguments);
int MemberUpdate(const Settings& settings, const std::vector<std::string>& arguments);

}  // namespace quorate::cmd::v2
