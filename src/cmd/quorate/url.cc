// The subset of Go's url.Parse and etcd's types.NewURLs that listeners and advertised addresses need.
#include <arpa/inet.h>

#include <algorithm>
#include <charconv>

#include "cmd/cli/go_syntax.h"
#include "cmd/quorate/options.h"

namespace quorate::cmd {
namespace {

std::string_view Trim(std::string_view s) {
  while (!s.empty() && std::string_view(" \t\r\n\v\f").find(s.front()) != std::string_view::npos) {
    s.remove_prefix(1);
  }
  while (!s.empty() && std::string_view(" \t\r\n\v\f").find(s.back()) != std::string_view::npos) {
    s.remove_suffix(1);
  }
  return s;
}

Status ParseError(std::string_view text, const std::string& why) {
  return InvalidArgument("parse " + GoQuote(text) + ": " + why);
}

bool IsSchemeChar(char c, bool first) {
  if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')) return true;
  return !first && ((c >= '0' && c <= '9') || c == '+' || c == '-' || c == '.');
}

// Splits "scheme:" off; an empty scheme when there is none. Errors as Go's getScheme and its caller give
// them.
StatusOr<std::string> TakeScheme(std::string_view whole, std::string_view* rest) {
  for (size_t i = 0; i < whole.size(); ++i) {
    if (whole[i] == ':') {
      if (i == 0) return ParseError(whole, "missing protocol scheme");
      std::string scheme(whole.substr(0, i));
      std::transform(scheme.begin(), scheme.end(), scheme.begin(),
                     [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
      *rest = whole.substr(i + 1);
      return scheme;
    }
    if (!IsSchemeChar(whole[i], i == 0)) break;
  }
  const std::string_view segment = whole.substr(0, whole.find('/'));
  if (segment.find(':') != std::string_view::npos) {
    return ParseError(whole, "first path segment in URL cannot contain colon");
  }
  *rest = whole;
  return std::string();
}

// Splits "host:port" and "[host]:port". False when it has another form.
bool SplitHostPort(std::string_view text, std::string* host, std::string* port) {
  const size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return false;
  std::string_view name = text.substr(0, colon);
  if (!name.empty() && name.front() == '[') {
    if (name.back() != ']') return false;
    name = name.substr(1, name.size() - 2);
  } else if (name.find(':') != std::string_view::npos) {
    return false;
  }
  if (name.find_first_of("[]") != std::string_view::npos) return false;
  *host = std::string(name);
  *port = std::string(text.substr(colon + 1));
  return true;
}

// What Go's url.Parse refuses in an authority.
Status CheckAuthority(std::string_view whole, std::string_view authority) {
  for (char c : authority) {
    if (c == ' ' || c == '"' || c == '<' || c == '>' || c == '\\' || c == '^' || c == '`' || c == '{' ||
        c == '|' || c == '}') {
      return ParseError(whole, "invalid character " + GoQuote(std::string(1, c)) + " in host name");
    }
  }
  const size_t colon = authority.rfind(':');
  const size_t bracket = authority.rfind(']');
  if (!authority.empty() && authority.front() == '[' && bracket == std::string_view::npos) {
    return ParseError(whole, "missing ']' in host");
  }
  if (colon == std::string_view::npos || (bracket != std::string_view::npos && colon < bracket)) {
    return absl::OkStatus();
  }
  for (char c : authority.substr(colon + 1)) {
    if (c < '0' || c > '9') {
      return ParseError(whole, "invalid port " + GoQuote(authority.substr(colon)) + " after host");
    }
  }
  return absl::OkStatus();
}

StatusOr<Url> ParseUnix(std::string_view scheme, std::string_view rest) {
  Url url;
  url.scheme = std::string(scheme);
  if (rest.starts_with("//")) rest.remove_prefix(2);
  const size_t slash = rest.find('/');
  const std::string_view authority = rest.substr(0, slash);
  if (slash != std::string_view::npos) url.path = std::string(rest.substr(slash));
  if (!SplitHostPort(authority, &url.host, &url.port)) url.host = std::string(authority);
  return url;
}

}  // namespace

std::string Url::HostPort() const {
  if (IsUnix() && port.empty()) return host;
  if (host.find(':') != std::string::npos) return "[" + host + "]:" + port;
  return host + ":" + port;
}

std::string Url::String() const { return scheme + "://" + HostPort() + path; }

StatusOr<uint16_t> Url::PortNumber() const {
  uint16_t number = 0;
  const auto end = std::from_chars(port.data(), port.data() + port.size(), number);
  if (!port.empty() && (end.ec != std::errc() || end.ptr != port.data() + port.size())) {
    return InvalidArgument("listen tcp: address " + port + ": invalid port");
  }
  return number;
}

StatusOr<Url> ParseUrl(std::string_view text) {
  const std::string_view whole = Trim(text);
  for (char c : whole) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
      return ParseError(whole, "net/url: invalid control character in URL");
    }
  }
  std::string_view rest;
  auto scheme = TakeScheme(whole, &rest);
  if (!scheme.ok()) return scheme.status();
  if (*scheme == "unix" || *scheme == "unixs") return ParseUnix(*scheme, rest);
  const bool known = *scheme == "http" || *scheme == "https";
  std::string_view authority;
  std::string_view path = rest;
  if (rest.starts_with("//")) {
    rest.remove_prefix(2);
    const size_t end = rest.find_first_of("/?#");
    authority = rest.substr(0, end);
    path = end == std::string_view::npos ? std::string_view() : rest.substr(end);
    QUORATE_RETURN_IF_ERROR(CheckAuthority(whole, authority));
  }
  if (!known) {
    return InvalidArgument("URL scheme must be http, https, unix, or unixs: " + std::string(whole));
  }
  Url url;
  url.scheme = *scheme;
  const size_t at = authority.rfind('@');
  if (at != std::string_view::npos) authority.remove_prefix(at + 1);
  if (!SplitHostPort(authority, &url.host, &url.port)) {
    return InvalidArgument("URL address does not have the form \"host:port\": " + std::string(whole));
  }
  if (!path.empty() && path.front() == '/') {
    return InvalidArgument("URL must not contain a path: " + std::string(whole));
  }
  return url;
}

StatusOr<std::vector<Url>> ParseUrls(const std::vector<std::string>& texts) {
  if (texts.empty()) return InvalidArgument("no valid URLs given");
  std::vector<Url> urls;
  for (const std::string& text : texts) {
    QUORATE_ASSIGN_OR_RETURN(Url url, ParseUrl(text));
    urls.push_back(std::move(url));
  }
  std::sort(urls.begin(), urls.end(), [](const Url& a, const Url& b) { return a.String() < b.String(); });
  return urls;
}

}  // namespace quorate::cmd
