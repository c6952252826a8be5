#include "cmd/quorate/serve_discovery.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>

#include <memory>
#include <utility>
#include <vector>

#include "cluster/srv_cluster.h"
#include "cmd/cli/srv_lookup.h"

namespace quorate::cmd {
namespace {

StatusOr<std::vector<cluster::SrvRecord>> LookupRecords(const std::string& name) {
  QUORATE_ASSIGN_OR_RETURN(auto found, LookupSrv(name));
  std::vector<cluster::SrvRecord> records;
  records.reserve(found.size());
  for (SrvRecord& record : found) records.push_back({std::move(record.target), record.port});
  return records;
}

// "host:port" or "[v6]:port" to the same with the host's first address.
StatusOr<std::string> Resolve(std::string_view host_port) {
  const size_t colon = host_port.rfind(':');
  if (colon == std::string_view::npos) return InvalidArgument(std::string(host_port) + " has no port");
  std::string host(host_port.substr(0, colon));
  if (host.size() > 2 && host.front() == '[') host = host.substr(1, host.size() - 2);
  const std::string port(host_port.substr(colon + 1));
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* list = nullptr;
  if (const int error = getaddrinfo(host.c_str(), port.c_str(), &hints, &list); error != 0) {
    return NotFound("lookup " + host + ": " + gai_strerror(error));
  }
  const std::unique_ptr<addrinfo, void (*)(addrinfo*)> owned(list, freeaddrinfo);
  char text[INET6_ADDRSTRLEN + 1];
  if (getnameinfo(list->ai_addr, list->ai_addrlen, text, sizeof text, nullptr, 0, NI_NUMERICHOST) != 0) {
    return NotFound("lookup " + host + ": no address");
  }
  return std::string(text) + ":" + port;
}

}  // namespace

StatusOr<std::string> FindInitialCluster(const Options& options) {
  if (options.discovery.srv.empty()) return options.initial_cluster;
  cluster::SrvOptions srv;
  srv.domain = options.discovery.srv;
  srv.service_suffix = options.discovery.srv_name;
  srv.name = options.name;
  for (const Url& url : options.initial_advertise_peer_urls) srv.advertised_peer_urls.push_back(url.String());
  return cluster::InitialClusterFromSrv(srv, LookupRecords, Resolve);
}

}  // namespace quorate::cmd
