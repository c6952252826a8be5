// The URLs of a member, tried in turn: one is used until it fails.
#pragma once

#include <string>
#include <vector>

#include "base/logging.h"
#include "base/status.h"
#include "peer/endpoint.h"

namespace quorate::peer {

class UrlPicker {
 public:
  explicit UrlPicker(const std::vector<std::string>& urls) { Update(urls); }

  // URLs that lead nowhere are left out, with a log line.
  void Update(const std::vector<std::string>& urls) {
    endpoints_.clear();
    picked_ = 0;
    for (const std::string& url : urls) {
      StatusOr<Endpoint> endpoint = ParseEndpoint(url);
      if (endpoint.ok()) {
        endpoints_.push_back(*std::move(endpoint));
      } else {
        LOG_WARN("ignored a peer URL", {"url", url}, {"error", Message(endpoint.status())});
      }
    }
  }

  bool empty() const { return endpoints_.empty(); }
  size_t size() const { return endpoints_.size(); }
  // Not when empty.
  const Endpoint& picked() const { return endpoints_[picked_]; }
  // The next one, if `failed` is the one in use.
  void Unreachable(const std::string& failed_authority) {
    if (!empty() && picked().authority == failed_authority) picked_ = (picked_ + 1) % endpoints_.size();
  }

 private:
  std::vector<Endpoint> endpoints_;
  size_t picked_ = 0;
};

}  // namespace quorate::peer
