// A cluster as its second-generation client sees it: endpoints in random order, the one that answered last
// asked first. Source: client/client.go.
#pragma once

#include <chrono>
#include <optional>
#include <random>
#include <string>
#include <variant>
#include <vector>

#include "cmd/http_client/http_client.h"

namespace quorate::cmd::v2 {

// Why a call failed.
struct CallError {
  std::string text;
  std::string detail;         // A line for each endpoint, where there were several tries.
  bool connection = false;    // No endpoint could be reached.
  bool no_endpoints = false;  // The members publish no client URLs.
};

using Deadline = std::chrono::steady_clock::time_point;

struct ClusterClientOptions {
  std::vector<std::string> endpoints;  // At least one, as NormalEndpoint has them.
  std::optional<std::string> credentials;
  std::chrono::milliseconds connect{30'000};
  std::chrono::nanoseconds request{0};  // Of one request; 0: none.
  bool debug = false;                   // Prints each request as a curl command on stderr.
};

// One thread. `http` must outlive it.
class ClusterClient {
 public:
  ClusterClient(ClusterClientOptions options, HttpClient* http);

  const std::vector<std::string>& endpoints() const { return endpoints_; }
  void set_debug() { options_.debug = true; }
  // Takes other endpoints; keeps their order where they are the same as before.
  void SetEndpoints(const std::vector<std::string>& endpoints);

  // Asks one endpoint after another until one answers with other than a server's error. `path` begins with
  // '/'.
  std::variant<HttpReply, CallError> Do(const std::string& method, const std::string& path,
                                        const std::optional<std::string>& body,
                                        std::optional<Deadline> deadline);

 private:
  // One endpoint with its redirections. The kind is kTimeout only when the deadline has passed.
  std::variant<HttpReply, HttpFailure> Ask(const std::string& endpoint, HttpRequest request,
                                           std::optional<Deadline> deadline);

  ClusterClientOptions options_;
  HttpClient& http_;
  std::minstd_rand random_;
  std::vector<std::string> endpoints_;
  size_t pinned_ = 0;
};

}  // namespace quorate::cmd::v2
