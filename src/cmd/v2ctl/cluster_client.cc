#include "cmd/v2ctl/cluster_client.h"

#include <algorithm>
#include <cstdio>
#include <utility>

#include "cmd/cli/go_syntax.h"
#include "cmd/v2ctl/endpoint.h"

namespace quorate::cmd::v2 {
namespace {

using Kind = HttpFailure::Kind;
using std::chrono::milliseconds;
using std::chrono::nanoseconds;

constexpr int kRedirectsMax = 10;
constexpr std::string_view kUnavailable = "client: etcd cluster is unavailable or misconfigured";

std::string StatusText(int status) {
  switch (status) {
    case 501:
      return "Not Implemented";
    case 502:
      return "Bad Gateway";
    case 504:
      return "Gateway Timeout";
    case 505:
      return "HTTP Version Not Supported";
    default:
      return std::to_string(status);
  }
}

std::string ServerError(const std::string& endpoint, int status) {
  const std::string who = "client: etcd member " + endpoint;
  if (status == 500 || status == 503) return who + " has no leader";
  return who + " returns server error [" + StatusText(status) + "]";
}

CallError Unreachable(const std::vector<std::string>& errors, bool connection) {
  CallError error;
  error.text = kUnavailable;
  for (size_t i = 0; i < errors.size(); ++i) {
    const std::string line = "error #" + std::to_string(i) + ": " + errors[i] + "\n";
    error.text += "; " + line;
    error.detail += line;
  }
  error.connection = connection;
  return error;
}

void PrintCurl(const HttpRequest& request) {
  std::string line = "cURL Command: curl -X " + request.method + " " + request.url;
  if (request.body) line += " -d " + GoQuote(*request.body);
  std::fprintf(stderr, "%s\n", line.c_str());
}

// Whole milliseconds, at least one: libcurl takes 0 for "none".
milliseconds RoundUp(nanoseconds time) {
  return std::max(milliseconds(1), std::chrono::ceil<milliseconds>(time));
}

}  // namespace

ClusterClient::ClusterClient(ClusterClientOptions options, HttpClient* http)
    : options_(std::move(options)),
      http_(*http),
      random_(std::random_device()()),
      endpoints_(options_.endpoints) {
  std::shuffle(endpoints_.begin(), endpoints_.end(), random_);
}

void ClusterClient::SetEndpoints(const std::vector<std::string>& endpoints) {
  auto before = endpoints_;
  auto after = endpoints;
  std::sort(before.begin(), before.end());
  std::sort(after.begin(), after.end());
  if (before == after) return;
  endpoints_ = endpoints;
  std::shuffle(endpoints_.begin(), endpoints_.end(), random_);
  pinned_ = 0;
}

std::variant<HttpReply, CallError> ClusterClient::Do(const std::string& method, const std::string& path,
                                                     const std::optional<std::string>& body,
                                                     std::optional<Deadline> deadline) {
  std::vector<std::string> errors;
  bool connection = true;
  for (size_t i = 0; i < endpoints_.size(); ++i) {
    const size_t at = (pinned_ + i) % endpoints_.size();
    const std::string& endpoint = endpoints_[at];
    auto outcome = Ask(endpoint, {method, UrlAt(endpoint, path), body, options_.credentials}, deadline);
    if (const auto* const failure = std::get_if<HttpFailure>(&outcome)) {
      if (failure->kind == Kind::kTimeout) return CallError{"context deadline exceeded", "", true, false};
      errors.push_back(failure->text);
      connection = connection && failure->kind == Kind::kConnection;
      continue;
    }
    auto& reply = std::get<HttpReply>(outcome);
    if (reply.status / 100 == 5) {
      errors.push_back(ServerError(endpoint, reply.status));
      connection = false;
      continue;
    }
    pinned_ = at;
    return std::move(reply);
  }
  return Unreachable(errors, connection);
}

std::variant<HttpReply, HttpFailure> ClusterClient::Ask(const std::string& endpoint, HttpRequest request,
                                                        std::optional<Deadline> deadline) {
  for (int redirects = 0;; ++redirects) {
    if (redirects > kRedirectsMax) return HttpFailure{Kind::kOther, "client: too many redirects"};
    if (options_.debug) PrintCurl(request);
    HttpLimits limits;
    limits.connect = options_.connect;
    if (options_.request.count() > 0) limits.answer = RoundUp(options_.request);
    bool until_deadline = false;
    if (deadline) {
      const nanoseconds left = *deadline - std::chrono::steady_clock::now();
      if (left.count() <= 0) return HttpFailure{Kind::kTimeout, ""};
      until_deadline = limits.answer.count() == 0 || left < limits.answer;
      if (until_deadline) limits.answer = RoundUp(left);
    }
    auto outcome = http_.Do(request, limits);
    if (auto* const failure = std::get_if<HttpFailure>(&outcome)) {
      // Of connecting the text tells; it has a limit of its own.
      const bool not_connected = failure->text.ends_with("timeout") && failure->kind != Kind::kTimeout;
      const bool timed_out =
          failure->kind == Kind::kTimeout || (not_connected && limits.answer <= limits.connect);
      // The library may end a request a little before its time, so the clock alone does not tell which limit
      // it was.
      if ((until_deadline && timed_out) || (deadline && std::chrono::steady_clock::now() >= *deadline)) {
        failure->kind = Kind::kTimeout;
      } else if (timed_out) {
        *failure = {Kind::kOther, "client: endpoint " + endpoint + " exceeded header timeout"};
      }
      return outcome;
    }
    const auto& reply = std::get<HttpReply>(outcome);
    if (reply.status / 100 != 3) return outcome;
    if (reply.location.empty()) return HttpFailure{Kind::kOther, "location header not set"};
    request.url = reply.location;
  }
}

}  // namespace quorate::cmd::v2
