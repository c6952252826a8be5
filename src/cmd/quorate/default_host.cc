#include "cmd/quorate/default_host.h"

#include <arpa/inet.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <functional>
#include <map>
#include <system_error>

namespace quorate::cmd {
namespace {

constexpr std::string_view kDefaultPeerUrl = "http://localhost:2380";
constexpr std::string_view kDefaultClientUrl = "http://localhost:2379";
constexpr std::string_view kDefaultInitialCluster = "default=http://localhost:2380";
constexpr size_t kAnswerBytes = 64 * 1024;

// Calls `fn` with each message of the type and its bytes after the netlink header. Stops at what is cut
// short.
void ForEachMessage(std::string_view bytes, uint16_t type, const std::function<void(std::string_view)>& fn) {
  while (bytes.size() >= sizeof(nlmsghdr)) {
    nlmsghdr header;
    std::memcpy(&header, bytes.data(), sizeof header);
    if (header.nlmsg_len < sizeof header || header.nlmsg_len > bytes.size()) return;
    if (header.nlmsg_type == type) fn(bytes.substr(NLMSG_HDRLEN, header.nlmsg_len - NLMSG_HDRLEN));
    bytes.remove_prefix(std::min<size_t>(bytes.size(), NLMSG_ALIGN(header.nlmsg_len)));
  }
}

// The attribute's value after a fixed part of `skip` bytes; empty when it is not there.
std::string_view Attribute(std::string_view message, size_t skip, uint16_t type) {
  message.remove_prefix(std::min<size_t>(message.size(), NLMSG_ALIGN(skip)));
  while (message.size() >= sizeof(rtattr)) {
    rtattr attribute;
    std::memcpy(&attribute, message.data(), sizeof attribute);
    if (attribute.rta_len < sizeof attribute || attribute.rta_len > message.size()) break;
    if (attribute.rta_type == type) {
      return message.substr(RTA_LENGTH(0), attribute.rta_len - RTA_LENGTH(0));
    }
    message.remove_prefix(std::min<size_t>(message.size(), RTA_ALIGN(attribute.rta_len)));
  }
  return {};
}

std::string IpText(uint8_t family, std::string_view bytes) {
  if (bytes.size() != (family == AF_INET ? sizeof(in_addr) : sizeof(in6_addr))) return "";
  char text[INET6_ADDRSTRLEN];
  return ::inet_ntop(family, bytes.data(), text, sizeof text) == nullptr ? "" : text;
}

std::string FirstAddressOf(uint32_t interface, uint8_t family, std::string_view addresses) {
  std::string first;
  ForEachMessage(addresses, RTM_NEWADDR, [&](std::string_view message) {
    ifaddrmsg address;
    if (!first.empty() || message.size() < sizeof address) return;
    std::memcpy(&address, message.data(), sizeof address);
    if (address.ifa_index != interface || address.ifa_family != family) return;
    first = IpText(family, Attribute(message, sizeof address, IFA_ADDRESS));
  });
  return first;
}

Status NetlinkError(int error, std::string_view what) {
  return Internal(std::string(what) + ": " + std::generic_category().message(error));
}

// The kernel's whole answer to a dump of all families.
StatusOr<std::string> Dump(int socket, uint16_t type) {
  struct {
    nlmsghdr header;
    rtgenmsg body;
  } request{};
  request.header.nlmsg_len = sizeof request;
  request.header.nlmsg_type = type;
  request.header.nlmsg_flags = NLM_F_DUMP | NLM_F_REQUEST;
  request.body.rtgen_family = AF_UNSPEC;
  if (::send(socket, &request, sizeof request, 0) < 0) return NetlinkError(errno, "netlink request");
  std::string all;
  std::string part(kAnswerBytes, '\0');
  for (bool ended = false; !ended;) {
    const ssize_t n = ::recv(socket, part.data(), part.size(), 0);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return NetlinkError(n == 0 ? EPIPE : errno, "netlink answer");
    const std::string_view bytes(part.data(), static_cast<size_t>(n));
    for (const uint16_t last : {NLMSG_DONE, NLMSG_ERROR}) {
      ForEachMessage(bytes, last, [&](std::string_view) { ended = true; });
    }
    all.append(bytes);
  }
  return all;
}

// Whether to put the host in the place of the only URL.
bool IsDefault(const std::vector<Url>& advertised, std::string_view by_default,
               const std::vector<Url>& listen) {
  return advertised.size() == 1 && advertised[0].String() == by_default && !listen.empty() &&
         listen[0].host == "0.0.0.0";
}

}  // namespace

StatusOr<std::string> ChooseDefaultHost(std::string_view routes, std::string_view addresses) {
  // By family, AF_INET first. Of several default routes the last counts.
  std::map<uint8_t, std::string_view> defaults;
  ForEachMessage(routes, RTM_NEWROUTE, [&](std::string_view message) {
    rtmsg route;
    if (message.size() < sizeof route) return;
    std::memcpy(&route, message.data(), sizeof route);
    if (route.rtm_dst_len == 0 && route.rtm_table == RT_TABLE_MAIN) defaults[route.rtm_family] = message;
  });
  if (defaults.empty()) return NotFound("could not find default route");
  for (const auto& [family, message] : defaults) {
    std::string host = IpText(family, Attribute(message, sizeof(rtmsg), RTA_PREFSRC));
    if (!host.empty()) return host;
    const std::string_view out = Attribute(message, sizeof(rtmsg), RTA_OIF);
    uint32_t interface = 0;
    if (out.size() != sizeof interface) return NotFound("could not find default route");
    std::memcpy(&interface, out.data(), sizeof interface);
    host = FirstAddressOf(interface, family, addresses);
    if (host.empty()) {
      return NotFound("could not find address for interface index " + std::to_string(interface));
    }
    return host;
  }
  return NotFound("could not find default host");
}

StatusOr<std::string> DetectDefaultHost() {
  const int socket = ::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
  if (socket < 0) return NetlinkError(errno, "netlink socket");
  const auto routes = Dump(socket, RTM_GETROUTE);
  const auto addresses = routes.ok() ? Dump(socket, RTM_GETADDR) : routes;
  ::close(socket);
  if (!addresses.ok()) return addresses.status();
  return ChooseDefaultHost(*routes, *addresses);
}

void AdvertiseDefaultHost(const StatusOr<std::string>& host, Options* options, std::vector<Notice>* notices) {
  if (!host.ok()) {
    notices->push_back({log::Level::kInfo,
                        "failed to detect default host",
                        {{"error", std::string(Message(host.status()))}}});
    return;
  }
  bool used = false;
  const auto replace = [&](std::vector<Url>& advertised, const std::vector<Url>& listen) {
    advertised[0] = {advertised[0].scheme, *host, listen[0].port, ""};
    used = true;
  };
  if (IsDefault(options->initial_advertise_peer_urls, kDefaultPeerUrl, options->listen_peer_urls)) {
    // A member by the default name keeps the default cluster, as in etcd: it must then be told both.
    const bool made_from_it =
        options->initial_cluster == options->name + "=" + std::string(kDefaultPeerUrl) &&
        options->initial_cluster != kDefaultInitialCluster &&
        std::none_of(options->given.begin(), options->given.end(),
                     [](const auto& g) { return g.first == "initial-cluster"; });
    replace(options->initial_advertise_peer_urls, options->listen_peer_urls);
    if (made_from_it) {
      options->initial_cluster = options->name + "=" + options->initial_advertise_peer_urls[0].String();
    }
  }
  if (IsDefault(options->advertise_client_urls, kDefaultClientUrl, options->listen_client_urls)) {
    replace(options->advertise_client_urls, options->listen_client_urls);
  }
  if (used) notices->push_back({log::Level::kInfo, "detected default host for advertise", {{"host", *host}}});
}

}  // namespace quorate::cmd
