#include "peer/endpoint.h"

#include <charconv>

namespace quorate::peer {
namespace {

Status Refuse(std::string_view url, std::string_view why) {
  return InvalidArgument("peer URL " + std::string(url) + ": " + std::string(why));
}

bool ParsePort(std::string_view text, uint16_t* port) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), *port);
  return error == std::errc() && end == text.data() + text.size();
}

}  // namespace

StatusOr<Endpoint> ParseEndpoint(std::string_view url) {
  const size_t mark = url.find("://");
  if (mark == std::string_view::npos) return Refuse(url, "no scheme; write http://host:port");
  const std::string_view scheme = url.substr(0, mark);
  Endpoint endpoint;
  endpoint.authority = url.substr(mark + 3);
  endpoint.tls = scheme == "https" || scheme == "unixs";
  if (scheme == "unix" || scheme == "unixs") {
    endpoint.unix_path = endpoint.authority;
    endpoint.host = endpoint.authority.substr(0, endpoint.authority.rfind(':'));
    if (endpoint.unix_path.empty()) return Refuse(url, "no path of a socket");
    return endpoint;
  }
  if (scheme != "http" && scheme != "https") {
    return Refuse(url, "members speak http or https; give http://host:port or https://host:port");
  }
  const std::string_view authority = endpoint.authority;
  const size_t colon = authority.rfind(':');
  if (colon == std::string_view::npos || !ParsePort(authority.substr(colon + 1), &endpoint.port)) {
    return Refuse(url, "no port; write http://host:port");
  }
  std::string_view host = authority.substr(0, colon);
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  endpoint.host = host.empty() ? "localhost" : host;
  return endpoint;
}

}  // namespace quorate::peer
