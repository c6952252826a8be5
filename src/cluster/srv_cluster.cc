#include "cluster/srv_cluster.h"

#include <map>

#include "base/logging.h"

namespace quorate::cluster {
namespace {

std::string HostPort(std::string_view url) {
  const size_t scheme = url.find("://");
  return std::string(scheme == std::string_view::npos ? url : url.substr(scheme + 3));
}

// The members of one service; "name=url" each.
StatusOr<std::vector<std::string>> MembersOf(const std::string& service, const std::string& scheme,
                                             const SrvOptions& options, const SrvLookup& lookup,
                                             const Resolver& resolve) {
  std::map<std::string, std::string> own;  // Resolved address to URL.
  for (const std::string& url : options.advertised_peer_urls) {
    QUORATE_ASSIGN_OR_RETURN(const std::string address, resolve(HostPort(url)));
    own[address] = url;
  }
  QUORATE_ASSIGN_OR_RETURN(const auto records, lookup("_" + service + "._tcp." + options.domain));
  std::vector<std::string> members;
  Status skipped;
  int unnamed = 0;
  for (const SrvRecord& record : records) {
    std::string host = record.target;
    while (host.ends_with('.')) host.pop_back();
    if (host.find(':') != std::string::npos) host = "[" + host + "]";
    host += ":" + std::to_string(record.port);
    const auto address = resolve(host);
    if (!address.ok()) {
      skipped = address.status();
      continue;
    }
    const auto ours = own.find(*address);
    if (ours != own.end() && !ours->second.starts_with(scheme + "://")) {
      skipped = FailedPrecondition("bootstrap at " + scheme + "://" + host + " from DNS for " + service +
                                   " has scheme mismatch with expected peer " + ours->second);
      continue;
    }
    const std::string name = ours == own.end() ? std::to_string(unnamed++) : options.name;
    members.push_back(name + "=" + scheme + "://" + host);
  }
  if (members.empty() && !skipped.ok()) return skipped;
  return members;
}

}  // namespace

StatusOr<std::string> InitialClusterFromSrv(const SrvOptions& options, const SrvLookup& lookup,
                                            const Resolver& resolve) {
  const std::string suffix = options.service_suffix.empty() ? "" : "-" + options.service_suffix;
  std::string cluster;
  std::string errors;
  bool found_us = false;
  for (const auto& [scheme, base] :
       {std::pair("https", "etcd-server-ssl"), std::pair("http", "etcd-server")}) {
    const std::string service = base + suffix;
    const auto members = MembersOf(service, scheme, options, lookup, resolve);
    if (!members.ok()) {
      errors += (errors.empty() ? "" : "; ") + ("error querying DNS SRV records for _" + service + " ") +
                std::string(Message(members.status()));
      continue;
    }
    for (const std::string& member : *members) {
      LOG_INFO("got bootstrap from DNS for etcd-server", {"node", member});
      cluster += (cluster.empty() ? "" : ",") + member;
      found_us = found_us || member.starts_with(options.name + "=");
    }
  }
  if (!errors.empty()) LOG_WARN("failed to resolve during SRV discovery", {"error", errors});
  if (cluster.empty()) {
    return NotFound("--discovery-srv " + options.domain + ": no members were found in DNS" +
                    (errors.empty() ? "" : " (" + errors + ")"));
  }
  if (!found_us) {
    return NotFound("cannot find local etcd member \"" + options.name + "\" in SRV records of " +
                    options.domain +
                    ": one of them has to resolve to an address of "
                    "--initial-advertise-peer-urls");
  }
  return cluster;
}

}  // namespace quorate::cluster
