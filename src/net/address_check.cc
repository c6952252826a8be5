#include "net/address_check.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <memory>

namespace quorate::net {
namespace {

using Strings = std::vector<std::string>;

StatusOr<Strings> SystemNamesOf(const std::string& address) {
  unsigned char bytes[16];
  int family = AF_INET;
  if (inet_pton(AF_INET, address.c_str(), bytes) != 1) {
    family = AF_INET6;
    if (inet_pton(AF_INET6, address.c_str(), bytes) != 1) return InvalidArgument(address + " is no address");
  }
  const socklen_t size = family == AF_INET ? 4 : 16;
  std::vector<char> buffer(16 * 1024);
  hostent entry{};
  hostent* found = nullptr;
  int error = 0;
  // All names, not the first alone as getnameinfo gives it.
  gethostbyaddr_r(bytes, size, family, &entry, buffer.data(), buffer.size(), &found, &error);
  if (found == nullptr) return NotFound("lookup " + address + ": " + hstrerror(error));
  Strings names{found->h_name};
  for (char** alias = found->h_aliases; alias != nullptr && *alias != nullptr; ++alias) {
    names.emplace_back(*alias);
  }
  return names;
}

StatusOr<Strings> SystemAddressesOf(const std::string& name) {
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* list = nullptr;
  const int rc = getaddrinfo(name.c_str(), nullptr, &hints, &list);
  if (rc != 0) return NotFound("lookup " + name + ": " + gai_strerror(rc));
  const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> owner(list, &freeaddrinfo);
  Strings addresses;
  for (const addrinfo* a = list; a != nullptr; a = a->ai_next) {
    char text[NI_MAXHOST];
    if (getnameinfo(a->ai_addr, a->ai_addrlen, text, sizeof(text), nullptr, 0, NI_NUMERICHOST) == 0) {
      addresses.push_back(CanonicalAddress(text));
    }
  }
  return addresses;
}

bool NameFits(const std::string& name, const Strings& dns_names) {
  return std::any_of(dns_names.begin(), dns_names.end(), [&](const std::string& dns) {
    return dns.starts_with("*.") ? name.ends_with(dns.substr(1)) : name == dns;
  });
}

std::string Quoted(const Strings& list) {
  std::string out = "[";
  for (const std::string& item : list) out += (out.size() > 1 ? " \"" : "\"") + item + "\"";
  return out + "]";
}

}  // namespace

NameService SystemNameService() { return {SystemNamesOf, SystemAddressesOf}; }

std::optional<Status> CheckAddressQuickly(const CertificateNames& names, const std::string& address) {
  if (!names.has_alternative_names()) return absl::OkStatus();
  if (names.ip_addresses.empty()) return std::nullopt;
  Status by_address = CheckHost(names, address);
  if (by_address.ok() || names.dns_names.empty()) return by_address;
  return std::nullopt;
}

Status CheckAddressByName(const CertificateNames& names, const std::string& address,
                          const NameService& service) {
  StatusOr<Strings> back = service.names_of(address);
  Status last = back.status();
  if (back.ok()) {
    for (std::string& name : *back) {
      if (name.ends_with('.')) name.pop_back();
      if (NameFits(name, names.dns_names)) return absl::OkStatus();
    }
  }
  for (const std::string& name : names.dns_names) {
    if (name.starts_with("*.")) continue;
    const StatusOr<Strings> forth = service.addresses_of(name);
    if (!forth.ok()) {
      last = forth.status();
      continue;
    }
    if (std::find(forth->begin(), forth->end(), address) != forth->end()) return absl::OkStatus();
  }
  std::string text = "tls: \"" + address + "\" does not match any of DNSNames " + Quoted(names.dns_names);
  if (!last.ok()) text += " (" + std::string(Message(last)) + ")";
  return PermissionDenied(text);
}

std::string AddressOfPeer(std::string_view peer) {
  const size_t colon = peer.rfind(':');
  return colon == std::string_view::npos ? std::string() : CanonicalAddress(peer.substr(0, colon));
}

}  // namespace quorate::net
