#include "cmd/quorate/serve_discovery.h"

#include <arpa/inet.h>
#include <arpa/nameser.h>
#include <netdb.h>
#include <netinet/in.h>
#include <resolv.h>

#include <algorithm>
#include <memory>
#include <vector>

#include "cluster/srv_cluster.h"

namespace quorate::cmd {
namespace {

constexpr int kAnswerBytesMax = 64 * 1024;

// The records, lowest priority number and highest weight first.
StatusOr<std::vector<cluster::SrvRecord>> LookupSrv(const std::string& name) {
  std::vector<unsigned char> answer(kAnswerBytesMax);
  const int length = res_query(name.c_str(), ns_c_in, ns_t_srv, answer.data(), kAnswerBytesMax);
  if (length < 0) return NotFound("lookup " + name + ": " + hstrerror(h_errno));
  ns_msg message;
  if (ns_initparse(answer.data(), length, &message) != 0)
    return Unavailable("lookup " + name + ": bad answer");
  struct Found {
    uint16_t priority;
    uint16_t weight;
    cluster::SrvRecord record;
  };
  const auto number = [](const unsigned char* at) { return static_cast<uint16_t>(ns_get16(at)); };
  std::vector<Found> found;
  for (int i = 0; i < ns_msg_count(message, ns_s_an); ++i) {
    ns_rr rr;
    constexpr int kFixedBytes = 6;  // Priority, weight, port.
    if (ns_parserr(&message, ns_s_an, i, &rr) != 0 || ns_rr_type(rr) != ns_t_srv ||
        ns_rr_rdlen(rr) <= kFixedBytes) {
      continue;
    }
    char target[NS_MAXDNAME];
    if (dn_expand(ns_msg_base(message), ns_msg_end(message), ns_rr_rdata(rr) + kFixedBytes, target,
                  sizeof target) < 0) {
      continue;
    }
    const unsigned char* const data = ns_rr_rdata(rr);
    found.push_back({number(data), number(data + 2), {target, number(data + 4)}});
  }
  std::stable_sort(found.begin(), found.end(), [](const Found& a, const Found& b) {
    return std::pair(a.priority, -a.weight) < std::pair(b.priority, -b.weight);
  });
  std::vector<cluster::SrvRecord> records;
  records.reserve(found.size());
  for (Found& f : found) records.push_back(std::move(f.record));
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
  return cluster::InitialClusterFromSrv(srv, LookupSrv, Resolve);
}

}  // namespace quorate::cmd
