#include "cmd/session/srv_endpoints.h"

#include <cstdio>

#include "cmd/cli/go_syntax.h"
#include "cmd/cli/srv_lookup.h"

namespace quorate::cmd {
namespace {

// Appends them; their error is for the case that the other name has none either.
Status AppendEndpoints(const std::string& service, const std::string& domain, const std::string& scheme,
                       std::vector<std::string>* endpoints) {
  QUORATE_ASSIGN_OR_RETURN(const auto records, LookupSrv("_" + service + "._tcp." + domain));
  for (const SrvRecord& record : records) {
    std::string host = record.target;
    if (host.ends_with('.')) host.pop_back();
    endpoints->push_back(scheme + "://" + host + ":" + std::to_string(record.port));
  }
  return absl::OkStatus();
}

}  // namespace

StatusOr<std::vector<std::string>> EndpointsFromSrv(const std::string& domain, const std::string& service,
                                                    bool secure_only) {
  const std::string suffix = service.empty() ? "" : "-" + service;
  std::vector<std::string> endpoints;
  std::vector<std::string> insecure;
  const Status first = AppendEndpoints("etcd-client-ssl" + suffix, domain, "https", &endpoints);
  const Status second = AppendEndpoints("etcd-client" + suffix, domain, "http", &insecure);
  if (!first.ok() && !second.ok()) {
    return NotFound("dns lookup errors: " + std::string(Message(first)) + " and " +
                    std::string(Message(second)));
  }
  for (std::string& endpoint : insecure) {
    if (secure_only) {
      std::fprintf(stderr, "ignoring discovered insecure endpoint %s\n", GoQuote(endpoint).c_str());
    } else {
      endpoints.push_back(std::move(endpoint));
    }
  }
  return endpoints;
}

}  // namespace quorate::cmd
