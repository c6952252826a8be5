#include "client/endpoint_address.h"

#include <algorithm>
#include <charconv>

namespace quorate::client {
namespace {

using Security = EndpointAddress::Security;

Status Bad(std::string_view url, std::string_view why) {
  return InvalidArgument("endpoint \"" + std::string(url) + "\": " + std::string(why) +
                         "; give host:port, http://host:port, https://host:port or unix:///path");
}

bool IsPort(std::string_view text) {
  unsigned port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  return error == std::errc() && end == text.data() + text.size() && port > 0 && port <= 65535;
}

// "unix:///absolute", "unix://relative" and "unix:relative", with or without the s.
EndpointAddress UnixAddress(std::string_view path, Security security) {
  if (path.starts_with("//")) path.remove_prefix(2);
  EndpointAddress address;
  address.target = "unix:" + std::string(path);
  address.server_name = std::string(path.substr(path.rfind('/') + 1));
  address.security = security;
  return address;
}

}  // namespace

StatusOr<EndpointAddress> ParseEndpoint(std::string_view url) {
  EndpointAddress address;
  std::string_view rest = url;
  if (rest.starts_with("unix:") || rest.starts_with("unixs:")) {
    const bool tls = rest.starts_with("unixs:");
    address = UnixAddress(rest.substr(rest.find(':') + 1), tls ? Security::kTls : Security::kTlsIfConfigured);
    address.url = std::string(url);
    if (address.server_name.empty()) return Bad(url, "names no socket");
    return address;
  }
  address.security = Security::kTlsIfConfigured;
  if (const size_t scheme = rest.find("://"); scheme != std::string_view::npos) {
    const std::string_view name = rest.substr(0, scheme);
    if (name != "http" && name != "https") return Bad(url, "has an unknown scheme");
    address.security = name == "https" ? Security::kTls : Security::kPlain;
    rest.remove_prefix(scheme + 3);
    if (rest.ends_with('/')) rest.remove_suffix(1);
  }
  const size_t colon = rest.rfind(':');
  if (colon == std::string_view::npos || colon == 0) return Bad(url, "has no host or no port");
  const std::string_view host = rest.substr(0, colon);
  if (!IsPort(rest.substr(colon + 1))) return Bad(url, "has no valid port");
  const bool bracketed = host.starts_with('[') && host.ends_with(']');
  if (host.find_first_of("/@?#% ") != std::string_view::npos ||
      (host.find(':') != std::string_view::npos && !bracketed)) {
    return Bad(url, "has an invalid host");
  }
  address.url = std::string(url);
  address.target = "dns:///" + std::string(rest);
  return address;
}

}  // namespace quorate::client
