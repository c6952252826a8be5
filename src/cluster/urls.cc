#include "cluster/urls.h"

#include <algorithm>
#include <cctype>
#include <set>
#include <utility>

namespace quorate::cluster {
namespace {

std::string Quoted(std::string_view text) {
  std::string out("\"");
  out.append(text);
  out.push_back('"');
  return out;
}

// ["a" "b"], as Go prints a list of quoted strings.
std::string Quoted(const std::vector<std::string>& texts) {
  std::string out = "[";
  for (const std::string& text : texts) {
    if (out.size() > 1) out += ' ';
    out += Quoted(text);
  }
  out += ']';
  return out;
}

std::string Joined(const std::vector<std::string>& texts) {
  std::string out;
  for (const std::string& text : texts) {
    if (!out.empty()) out += ',';
    out += text;
  }
  return out;
}

std::string_view Trimmed(std::string_view text) {
  constexpr std::string_view kSpace = " \t\n\v\f\r";
  const size_t first = text.find_first_not_of(kSpace);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kSpace) - first + 1);
}

Status ParseError(std::string_view url, std::string_view why) {
  return InvalidArgument("parse " + Quoted(url) + ": " + std::string(why));
}

struct SplitUrl {
  std::string scheme;     // Lower case; empty when there is none.
  std::string_view rest;  // Behind the scheme's colon.
  std::string_view host;  // Behind "//" and user info.
  std::string decoded_host;
  std::string_view path;
};

// The scheme of Go's url.Parse: "" when the text begins with none.
Status SplitScheme(std::string_view url, SplitUrl* out) {
  out->rest = url;
  for (size_t i = 0; i < url.size(); ++i) {
    const auto c = static_cast<unsigned char>(url[i]);
    if (std::isalpha(c) != 0) continue;
    if (std::isdigit(c) != 0 || c == '+' || c == '-' || c == '.') {
      if (i == 0) return absl::OkStatus();
      continue;
    }
    if (c != ':') return absl::OkStatus();
    if (i == 0) return ParseError(url, "missing protocol scheme");
    out->scheme = url.substr(0, i);
    for (char& letter : out->scheme)
      letter = static_cast<char>(std::tolower(static_cast<unsigned char>(letter)));
    out->rest = url.substr(i + 1);
    return absl::OkStatus();
  }
  return absl::OkStatus();
}

enum class Part { kHost, kZone, kOther };

bool AllowedInHost(char c) {
  constexpr std::string_view kMarks = "-_.~!$&'()*+,;=:[]<>\"";
  return std::isalnum(static_cast<unsigned char>(c)) != 0 || kMarks.find(c) != std::string_view::npos;
}

// Go's url.unescape. A host may have no escapes but those of bytes that are not ASCII, and "%25"; the zone of
// an IPv6 address those of what may stand in a host, and of spaces.
StatusOr<std::string> Unescaped(std::string_view url, std::string_view text, Part part) {
  const auto digit = [](char c) { return c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10; };
  const auto is_hex = [](char c) { return std::isxdigit(static_cast<unsigned char>(c)) != 0; };
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c != '%') {
      if (part != Part::kOther && static_cast<unsigned char>(c) < 0x80 && !AllowedInHost(c))
        return ParseError(url, "invalid character " + Quoted(std::string(1, c)) + " in host name");
      out.push_back(c);
      continue;
    }
    const std::string_view escape = text.substr(i, 3);
    const bool whole = escape.size() == 3 && is_hex(escape[1]) && is_hex(escape[2]);
    const int byte = whole ? digit(escape[1]) * 16 + digit(escape[2]) : 0;
    bool allowed = whole;
    if (escape != "%25" && part == Part::kHost) allowed = whole && byte >= 0x80;
    if (escape != "%25" && part == Part::kZone)
      allowed = whole && (byte == ' ' || AllowedInHost(static_cast<char>(byte)));
    if (!allowed) return ParseError(url, "invalid URL escape " + Quoted(escape));
    out.push_back(static_cast<char>(byte));
    i += 2;
  }
  return out;
}

// Go's url.parseHost.
StatusOr<std::string> DecodedHost(std::string_view url, std::string_view host) {
  const bool bracketed = host.starts_with('[');
  const size_t bracket = host.rfind(']');
  if (bracketed && bracket == std::string_view::npos) return ParseError(url, "missing ']' in host");
  const size_t colon = host.rfind(':');
  const std::string_view port = bracketed                         ? host.substr(bracket + 1)
                                : colon == std::string_view::npos ? std::string_view()
                                                                  : host.substr(colon);
  const bool digits = std::all_of(port.begin() + (port.empty() ? 0 : 1), port.end(),
                                  [](char c) { return c >= '0' && c <= '9'; });
  if (!port.empty() && (port[0] != ':' || !digits))
    return ParseError(url, "invalid port " + Quoted(port) + " after host");
  const size_t zone = bracketed ? host.substr(0, bracket).find("%25") : std::string_view::npos;
  if (zone == std::string_view::npos) return Unescaped(url, host, Part::kHost);
  QUORATE_ASSIGN_OR_RETURN(std::string out, Unescaped(url, host.substr(0, zone), Part::kHost));
  QUORATE_ASSIGN_OR_RETURN(const std::string name,
                           Unescaped(url, host.substr(zone, bracket - zone), Part::kZone));
  QUORATE_ASSIGN_OR_RETURN(const std::string end, Unescaped(url, host.substr(bracket), Part::kHost));
  return out.append(name).append(end);
}

Status CheckUser(std::string_view url, std::string_view user) {
  constexpr std::string_view kMarks = "-._:~!$&'()*+,;=%@";
  for (const char c : user) {
    if (std::isalnum(static_cast<unsigned char>(c)) == 0 && kMarks.find(c) == std::string_view::npos)
      return ParseError(url, "net/url: invalid userinfo");
  }
  return Unescaped(url, user, Part::kOther).status();
}

// Go's url.Parse. What it refuses may not pass here: members that run etcd read the URLs of the others
// again, and end on one that they can't read.
StatusOr<SplitUrl> Split(std::string_view url) {
  const size_t hash = std::min(url.find('#'), url.size());
  const std::string_view fragment = url.substr(hash);
  const std::string_view whole = url;
  url = url.substr(0, hash);
  for (const char c : url) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f)
      return ParseError(url, "net/url: invalid control character in URL");
  }
  SplitUrl split;
  QUORATE_RETURN_IF_ERROR(SplitScheme(url, &split));
  std::string_view rest = split.rest.substr(0, split.rest.find('?'));
  split.rest = whole.substr(url.size() - split.rest.size());
  if (!rest.starts_with('/')) {
    const std::string_view segment = rest.substr(0, rest.find('/'));
    if (split.scheme.empty() && segment.find(':') != std::string_view::npos) {
      return ParseError(url, "first path segment in URL cannot contain colon");
    }
    return split;
  }
  if (rest.starts_with("//")) {
    rest.remove_prefix(2);
    const size_t slash = std::min(rest.find('/'), rest.size());
    split.host = rest.substr(0, slash);
    std::string_view user;
    if (const size_t at = split.host.rfind('@'); at != std::string_view::npos) {
      user = split.host.substr(0, at);
      split.host.remove_prefix(at + 1);
    }
    rest.remove_prefix(slash);
    QUORATE_ASSIGN_OR_RETURN(split.decoded_host, DecodedHost(url, split.host));
    QUORATE_RETURN_IF_ERROR(CheckUser(url, user));
  }
  QUORATE_RETURN_IF_ERROR(Unescaped(url, rest, Part::kOther).status());
  QUORATE_RETURN_IF_ERROR(Unescaped(whole, fragment, Part::kOther).status());
  split.path = rest;
  return split;
}

// Go's net.SplitHostPort: a port is there, and an address with colons stands in brackets.
bool HasPort(std::string_view host) {
  const size_t colon = host.rfind(':');
  if (colon == std::string_view::npos) return false;
  std::string_view name = host.substr(0, colon);
  if (name.starts_with('[')) {
    if (name.find(']') != name.size() - 1) return false;
    name = name.substr(1, name.size() - 2);
    return name.find('[') == std::string_view::npos && host.find(']', colon) == std::string_view::npos;
  }
  return name.find(':') == std::string_view::npos && host.find_first_of("[]") == std::string_view::npos;
}

bool IsAddress(std::string_view host) {
  return host.starts_with('[') || host.find_first_not_of("0123456789.") == std::string_view::npos;
}

StatusOr<std::string> Resolved(const std::string& url, const Resolver& resolve) {
  QUORATE_ASSIGN_OR_RETURN(const SplitUrl split, Split(url));
  const std::string_view host = split.host.substr(0, split.host.rfind(':'));
  if (split.scheme.starts_with("unix") || host == "localhost" || IsAddress(host)) return url;
  const auto address = resolve(split.host);
  if (!address.ok()) {
    return Unavailable("failed to resolve " + Quoted(url) + " (" + std::string(Message(address.status())) +
                       ")");
  }
  std::string out = url;
  out.replace(static_cast<size_t>(split.host.data() - url.data()), split.host.size(), *address);
  return out;
}

Status CheckLocalName(const InitialCluster& cluster, const std::string& name) {
  if (cluster.contains(name)) return absl::OkStatus();
  return InvalidArgument("couldn't find local name " + Quoted(name) +
                         " in the initial cluster configuration");
}

Status CheckDuplicates(const InitialCluster& cluster) {
  std::set<std::string> seen;
  for (const auto& [name, urls] : cluster) {
    for (const std::string& url : urls) {
      if (!seen.insert(url).second) {
        return InvalidArgument("initial cluster " + InitialClusterText(cluster) + " has duplicate url");
      }
    }
  }
  return absl::OkStatus();
}

// Those of `a` that are not in `b`.
std::vector<std::string> Missing(const std::vector<std::string>& a, const std::vector<std::string>& b) {
  std::vector<std::string> missing;
  for (const std::string& url : a) {
    if (std::find(b.begin(), b.end(), url) == b.end()) missing.push_back(url);
  }
  return missing;
}

}  // namespace

StatusOr<std::string> ParseUrl(std::string_view text) {
  text = Trimmed(text);
  QUORATE_ASSIGN_OR_RETURN(const SplitUrl split, Split(text));
  const std::string& scheme = split.scheme;
  if (scheme != "http" && scheme != "https" && scheme != "unix" && scheme != "unixs") {
    return InvalidArgument("URL scheme must be http, https, unix, or unixs: " + std::string(text));
  }
  if (!HasPort(split.decoded_host)) {
    return InvalidArgument("URL address does not have the form \"host:port\": " + std::string(text));
  }
  if (!split.path.empty()) return InvalidArgument("URL must not contain a path: " + std::string(text));
  return scheme + ":" + std::string(split.rest);
}

StatusOr<std::vector<std::string>> ParseUrls(const std::vector<std::string>& texts) {
  if (texts.empty()) return InvalidArgument("no valid URLs given");
  std::vector<std::string> urls;
  for (const std::string& text : texts) {
    QUORATE_ASSIGN_OR_RETURN(std::string url, ParseUrl(text));
    urls.push_back(std::move(url));
  }
  std::sort(urls.begin(), urls.end());
  return urls;
}

StatusOr<std::vector<std::string>> ParseUrlList(std::string_view text) {
  std::vector<std::string> texts;
  for (size_t from = 0;;) {
    const size_t comma = text.find(',', from);
    texts.emplace_back(text.substr(from, comma - from));
    if (comma == std::string_view::npos) break;
    from = comma + 1;
  }
  return ParseUrls(texts);
}

StatusOr<InitialCluster> ParseInitialCluster(std::string_view text) {
  InitialCluster given;
  while (!text.empty()) {
    const size_t comma = std::min(text.find(','), text.size());
    const std::string_view pair = text.substr(0, comma);
    text.remove_prefix(std::min(comma + 1, text.size()));
    if (pair.empty()) continue;
    const size_t equals = std::min(pair.find('='), pair.size());
    given[std::string(pair.substr(0, equals))].emplace_back(pair.substr(std::min(equals + 1, pair.size())));
  }
  InitialCluster cluster;
  for (const auto& [name, urls] : given) {
    QUORATE_ASSIGN_OR_RETURN(cluster[name], ParseUrls(urls));
  }
  return cluster;
}

std::string InitialClusterText(const InitialCluster& cluster) {
  std::vector<std::string> pairs;
  for (const auto& [name, urls] : cluster) {
    for (const std::string& url : urls) pairs.push_back(name + "=" + url);
  }
  std::sort(pairs.begin(), pairs.end());
  return Joined(pairs);
}

Status UrlsEqual(std::vector<std::string> a, std::vector<std::string> b, const Resolver& resolve) {
  if (a.size() != b.size()) return InvalidArgument("len(" + Quoted(a) + ") != len(" + Quoted(b) + ")");
  std::sort(a.begin(), a.end());
  std::sort(b.begin(), b.end());
  if (a == b) return absl::OkStatus();
  for (std::vector<std::string>* urls : {&a, &b}) {
    for (std::string& url : *urls) {
      if (resolve) {
        QUORATE_ASSIGN_OR_RETURN(url, Resolved(url, resolve));
      }
    }
    std::sort(urls->begin(), urls->end());
  }
  for (size_t i = 0; i < a.size(); ++i) {
    if (a[i] != b[i]) return InvalidArgument("resolved urls: " + Quoted(a[i]) + " != " + Quoted(b[i]));
  }
  return absl::OkStatus();
}

Status VerifyBootstrap(const InitialCluster& cluster, const std::string& name,
                       const std::vector<std::string>& advertised_peer_urls, const Resolver& resolve) {
  QUORATE_RETURN_IF_ERROR(CheckLocalName(cluster, name));
  const std::vector<std::string>& configured = cluster.at(name);
  if (const Status equal = UrlsEqual(advertised_peer_urls, configured, resolve); !equal.ok()) {
    std::vector<std::string> advertised = advertised_peer_urls;
    std::sort(advertised.begin(), advertised.end());
    const std::string own = InitialClusterText({{name, advertised}});
    std::vector<std::string> missing = Missing(configured, advertised);
    if (!missing.empty()) {
      for (std::string& url : missing) url = name + "=" + url;
      return InvalidArgument("--initial-cluster has " + Joined(missing) +
                             " but missing from --initial-advertise-peer-urls=" + Joined(advertised) + " (" +
                             std::string(Message(equal)) + ")");
    }
    missing = Missing(advertised, configured);
    if (!missing.empty()) {
      return InvalidArgument("--initial-advertise-peer-urls has " + Joined(missing) +
                             " but missing from --initial-cluster=" + own);
    }
    return InvalidArgument("failed to resolve " + Joined(advertised) + " to match --initial-cluster=" + own +
                           " (" + std::string(Message(equal)) + ")");
  }
  return CheckDuplicates(cluster);
}

Status VerifyJoinExisting(const InitialCluster& cluster, const std::string& name) {
  QUORATE_RETURN_IF_ERROR(CheckLocalName(cluster, name));
  return CheckDuplicates(cluster);
}

StatusOr<std::vector<Member>> InitialMembers(const InitialCluster& cluster, std::string_view token) {
  std::vector<Member> members;
  for (const auto& [name, urls] : cluster) {
    Member member;
    member.id = ComputeMemberId(urls, token, std::nullopt);
    member.peer_urls = urls;
    member.attributes.name = name;
    if (member.id == raft::kNone) return InvalidArgument("cannot use 0 as member id");
    members.push_back(std::move(member));
  }
  std::sort(members.begin(), members.end(), [](const Member& a, const Member& b) { return a.id < b.id; });
  for (size_t i = 1; i < members.size(); ++i) {
    if (members[i].id == members[i - 1].id) {
      return InvalidArgument("member exists with identical ID " + MemberJson(members[i]));
    }
  }
  return members;
}

StatusOr<std::vector<Member>> AssignIds(const InitialCluster& cluster, const std::vector<Member>& existing,
                                        const Resolver& resolve) {
  if (existing.size() != cluster.size()) return InvalidArgument("member count is unequal");
  std::vector<Member> members;
  for (const Member& known : existing) {
    Status last = absl::OkStatus();
    bool matched = false;
    for (const auto& [name, urls] : cluster) {
      last = UrlsEqual(known.peer_urls, urls, resolve);
      if (!last.ok()) continue;
      Member member;
      member.id = known.id;
      member.peer_urls = urls;
      member.attributes.name = name;
      members.push_back(std::move(member));
      matched = true;
      break;
    }
    if (!matched) {
      return InvalidArgument("PeerURLs: no match found for existing member (" + IdText(known.id) + ", [" +
                             Joined(known.peer_urls) + "]), last resolver error (" +
                             std::string(Message(last)) + ")");
    }
  }
  return members;
}

}  // namespace quorate::cluster
