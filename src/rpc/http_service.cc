#include "rpc/http_service.h"

#include <algorithm>
#include <utility>

#include "base/log_limit.h"
#include "base/logging.h"
#include "rpc/clean_path.h"
#include "rpc/debug_vars.h"
#include "rpc/metrics_answer.h"
#include "server/storage_version.h"
#include "server/version_monitor.h"

namespace quorate::rpc {
namespace {

void Add(net::HttpHeaders& headers, std::string name, std::string value) {
  headers.emplace_back(std::move(name), std::move(value));
}

// As Go's http.Error writes it.
void SendError(net::HttpReply& reply, net::HttpHeaders headers, int status, std::string_view text) {
  Add(headers, "Content-Type", "text/plain; charset=utf-8");
  Add(headers, "X-Content-Type-Options", "nosniff");
  reply.Send(status, headers, std::string(text) + "\n");
}

std::set<std::string> QuerySet(const net::HttpRequest& request, std::string_view name) {
  std::set<std::string> values;
  for (std::string& value : request.query_values(name)) {
    if (!value.empty()) values.insert(std::move(value));
  }
  return values;
}

bool Redirects(const net::HttpRequest& request) {
  return request.path.starts_with('/') && !IsCleanPath(request.path);
}

// Answers before the body comes, and takes none of it.
class AnsweredAtHead : public net::HttpBodySink {
 public:
  AnsweredAtHead(const net::HttpRequest& request, net::HttpHandler handler)
      : request_(request), handler_(std::move(handler)) {}

  void OnBegin(net::HttpReply reply) override { handler_(std::move(request_), std::move(reply)); }
  void OnBytes(std::string_view) override {}
  void OnEnd() override {}

 private:
  net::HttpRequest request_;
  const net::HttpHandler handler_;
};

// Null over HTTP/1.1: there an answer before the body's end ends the connection, and Go, too, reads the body
// first.
std::shared_ptr<net::HttpBodySink> AnswerAtHead(const net::HttpRequest& request, net::HttpHandler handler) {
  if (request.version != 20) return nullptr;
  return std::make_shared<AnsweredAtHead>(request, std::move(handler));
}

}  // namespace

HttpService::HttpService(server::Member* member, HealthChecks* health, std::function<std::string()> metrics,
                         HttpOptions options)
    : member_(*member), health_(*health), metrics_(std::move(metrics)), options_(std::move(options)) {}

// Guards against DNS rebinding (CVE-2018-5702): the name is compared without its port.
bool HttpService::HostAllowed(std::string_view host) const {
  if (options_.host_whitelist.contains("*") || options_.host_whitelist.empty()) return true;
  return options_.host_whitelist.contains(std::string(HostName(host)));
}

std::string_view HttpService::HostName(std::string_view host) {
  const size_t bracket = host.rfind(']');
  const size_t colon = host.rfind(':');
  if (colon != std::string_view::npos && (bracket == std::string_view::npos || colon > bracket)) {
    host = host.substr(0, colon);
  }
  if (host.size() >= 2 && host.front() == '[' && host.back() == ']') host = host.substr(1, host.size() - 2);
  return host;
}

net::HttpHeaders HttpService::CommonHeaders(const net::HttpRequest& request) const {
  net::HttpHeaders headers;
  std::string origin;
  if (options_.cors.contains("*")) {
    origin = "*";
  } else if (const auto sent = request.header("Origin"); sent && options_.cors.contains(std::string(*sent))) {
    origin = std::string(*sent);
  }
  if (origin.empty()) return headers;
  Add(headers, "Access-Control-Allow-Methods", "POST, GET, OPTIONS, PUT, DELETE");
  Add(headers, "Access-Control-Allow-Origin", origin);
  Add(headers, "Access-Control-Allow-Headers", "accept, content-type, authorization");
  return headers;
}

bool HttpService::ForMetrics(std::string_view path) {
  return path == "/health" || path == "/metrics" || path.starts_with("/livez") || path.starts_with("/readyz");
}

bool HttpService::Admit(const net::HttpRequest& request, net::HttpReply& reply) {
  if (!request.secure && !HostAllowed(request.host)) {
    LOG_WARN_LIMITED("rejected HTTP request from untrusted host", {"host", request.host});
    SendError(reply, {}, 421,
              "\netcd received your request, but the Host header was unrecognized.\n\n"
              "To fix this, choose one of the following options:\n"
              "- Enable TLS, then any HTTPS request will be allowed.\n"
              "- Add the hostname you want to use to the whitelist in settings.\n"
              "  - e.g. etcd --host-whitelist \"" +
                  std::string(HostName(request.host)) +
                  "\"\n\nThis requirement has been added to help prevent \"DNS Rebinding\" attacks "
                  "(CVE-2018-5702).\n");
    return false;
  }
  if (request.method == "OPTIONS") reply.Send(200, CommonHeaders(request), {});
  return request.method != "OPTIONS";
}

bool HttpService::AdmitPath(const net::HttpRequest& request, net::HttpReply& reply) const {
  if (!Redirects(request)) return true;
  std::string url = EscapePath(CleanPath(request.path));
  if (!request.query.empty()) url += "?" + request.query;
  net::HttpHeaders headers = CommonHeaders(request);
  Add(headers, "Location", url);
  const bool reads = request.method == "GET" || request.method == "HEAD";
  if (reads) Add(headers, "Content-Type", "text/html; charset=utf-8");
  reply.Send(301, headers, reads ? RedirectPage(url) : std::string());
  return false;
}

const HttpDoor* HttpService::DoorOf(std::string_view path) const {
  const auto door =
      std::find_if(doors_.begin(), doors_.end(), [&](const HttpDoor& d) { return d.owns(path); });
  return door == doors_.end() ? nullptr : &*door;
}

bool HttpService::Admissible(const net::HttpRequest& request) const {
  return (request.secure || HostAllowed(request.host)) && request.method != "OPTIONS" && !Redirects(request);
}

// What Handle() would not let in is left to it to refuse.
std::shared_ptr<net::HttpBodySink> HttpService::TakeBody(const net::HttpRequest& request) {
  const HttpDoor* const door = Admissible(request) ? DoorOf(request.path) : nullptr;
  if (door != nullptr && door->take_body) {
    if (auto sink = door->take_body(request, CommonHeaders(request)); sink != nullptr) return sink;
  }
  if (door != nullptr && door->reads_body && door->reads_body(request)) return nullptr;
  return AnswerAtHead(
      request, [this](const net::HttpRequest& r, net::HttpReply reply) { Handle(r, std::move(reply)); });
}

std::shared_ptr<net::HttpBodySink> HttpService::TakeBodyMetricsOnly(const net::HttpRequest& request) {
  return AnswerAtHead(request, [this](const net::HttpRequest& r, net::HttpReply reply) {
    HandleMetricsOnly(r, std::move(reply));
  });
}

void HttpService::Handle(const net::HttpRequest& request, net::HttpReply reply) {
  if (!Admit(request, reply) || !AdmitPath(request, reply)) return;
  if (const HttpDoor* const door = DoorOf(request.path); door != nullptr) {
    return door->handle(request, std::move(reply), CommonHeaders(request));
  }
  Serve(request, std::move(reply));
}

void HttpService::HandleMetricsOnly(const net::HttpRequest& request, net::HttpReply reply) {
  if (!Admit(request, reply) || !AdmitPath(request, reply)) return;
  if (!ForMetrics(request.path)) {
    return SendError(reply, CommonHeaders(request), 404, "404 page not found");
  }
  Serve(request, std::move(reply));
}

void HttpService::Serve(const net::HttpRequest& request, net::HttpReply reply) {
  net::HttpHeaders headers = CommonHeaders(request);
  const std::string& path = request.path;
  if (!ForMetrics(path) && path != "/version" && path != "/debug/vars") {
    return SendError(reply, std::move(headers), 404, "404 page not found");
  }
  if (request.method != "GET" && path != "/metrics") {  // Go's handler of metrics takes any.
    Add(headers, "Allow", "GET");
    return SendError(reply, std::move(headers), 405, "Method Not Allowed");
  }
  if (path == "/health") return ServeHealth(request, std::move(reply));
  if (path == "/version") return ServeVersion(request, std::move(reply));
  if (path == "/debug/vars") {
    Add(headers, "Content-Type", "application/json; charset=utf-8");
    return reply.Send(200, headers, DebugVarsJson(member_));
  }
  if (path == "/metrics") {
    return SendMetrics(member_.env().executor, metrics_(), request, std::move(reply), std::move(headers));
  }
  ServeChecks(request, std::move(reply), path.starts_with("/livez") ? "livez" : "readyz");
}

void HttpService::ServeHealth(const net::HttpRequest& request, net::HttpReply reply) {
  const auto serializable = request.query_values("serializable");
  const bool local = !serializable.empty() && serializable.front() == "true";
  health_.Health(QuerySet(request, "exclude"), local,
                 [headers = CommonHeaders(request), reply](const std::string& reason) mutable {
                   const std::string body = std::string(R"({"health":")") +
                                            (reason.empty() ? "true" : "false") + R"(","reason":)" +
                                            log::JsonString(reason) + "}";
                   if (!reason.empty()) return SendError(reply, std::move(headers), 503, body);
                   Add(headers, "Content-Type", "text/plain; charset=utf-8");
                   reply.Send(200, headers, body);
                 });
}

void HttpService::ServeChecks(const net::HttpRequest& request, net::HttpReply reply,
                              const std::string& type) {
  const auto& all = type == "livez" ? HealthChecks::Livez() : HealthChecks::Readyz();
  const std::string root = "/" + type;
  std::vector<std::string_view> names;
  const bool single = request.path != root;
  if (single) {
    const std::string wanted = request.path.substr(std::min(request.path.size(), root.size() + 1));
    std::copy_if(all.begin(), all.end(), std::back_inserter(names),
                 [&](std::string_view n) { return n == wanted; });
    if (names.empty()) return SendError(reply, CommonHeaders(request), 404, "404 page not found");
  } else {
    std::set<std::string> excluded = QuerySet(request, "exclude");
    for (std::string_view name : all) {
      if (excluded.erase(std::string(name)) == 0) names.push_back(name);
    }
    for (const std::string& name : excluded) {
      LOG_WARN_LIMITED("some health checks cannot be excluded",
                       {"missing-health-checks", "\"" + name + "\""});
    }
  }
  const bool verbose = request.query == "verbose" || !request.query_values("verbose").empty();
  const bool whole = type == "readyz" && !single && options_.further_checks != nullptr;
  const std::string further = whole && verbose ? options_.further_checks() : std::string();
  health_.Run(
      type, std::move(names),
      [headers = CommonHeaders(request), reply, verbose, further](bool ok, std::string lines) mutable {
        lines += further;
        if (!ok) return SendError(reply, std::move(headers), 503, lines);
        Add(headers, "Content-Type", "text/plain; charset=utf-8");
        Add(headers, "X-Content-Type-Options", "nosniff");
        reply.Send(200, headers, (verbose ? lines : std::string()) + "ok\n");
      });
}

void HttpService::ServeVersion(const net::HttpRequest& request, net::HttpReply reply) {
  net::HttpHeaders headers = CommonHeaders(request);
  Add(headers, "Content-Type", "application/json");
  const auto storage = server::ReadStorageVersion(member_.backend());
  const std::string body =
      server::VersionsJson(member_.membership().version(), storage.ok() ? *storage : std::nullopt);
  reply.Send(200, headers, body);
}

}  // namespace quorate::rpc
