#include <algorithm>
#include <cstdio>
#include <utility>

#include "cmd/session/password.h"
#include "cmd/session/srv_endpoints.h"
#include "cmd/v2ctl/commands.h"
#include "cmd/v2ctl/endpoint.h"

namespace quorate::cmd::v2 {
namespace {

using std::chrono::milliseconds;
using std::chrono::nanoseconds;

constexpr milliseconds kConnectMax{30'000};

std::string Joined(const std::vector<std::string>& texts, std::string_view between) {
  std::string out;
  for (const std::string& text : texts) {
    if (!out.empty()) out += between;
    out += text;
  }
  return out;
}

StatusOr<std::vector<std::string>> Endpoints(const Settings& settings) {
  std::vector<std::string> given;
  if (!settings.discovery_srv.empty()) {
    QUORATE_ASSIGN_OR_RETURN(given, EndpointsFromSrv(settings.discovery_srv, settings.discovery_srv_name,
                                                     !settings.insecure_discovery));
  }
  if (given.empty()) given = settings.GivenEndpoints();
  std::vector<std::string> endpoints;
  for (const std::string& text : given) {
    QUORATE_ASSIGN_OR_RETURN(std::string endpoint, NormalEndpoint(text));
    endpoints.push_back(std::move(endpoint));
  }
  return endpoints;
}

}  // namespace

int Complain(V2ExitCode code, const std::string& line) {
  std::fprintf(stderr, "%s\n", line.c_str());
  return static_cast<int>(code);
}

int FailWith(V2ExitCode code, const CallError& error) {
  // Two spaces: Go's Fprintln puts its own behind the one in the text.
  std::fprintf(stderr, "Error:  %s\n", error.text.c_str());
  if (!error.detail.empty()) std::fprintf(stderr, "%s\n", error.detail.c_str());
  return static_cast<int>(code);
}

milliseconds Connection::ConnectLimit() const {
  const nanoseconds total(settings_.total_timeout_nanos);
  if (total.count() == 0 || total >= kConnectMax) return kConnectMax;
  return std::max(milliseconds(1), std::chrono::ceil<milliseconds>(total));
}

Deadline Connection::CommandDeadline() const {
  return std::chrono::steady_clock::now() + nanoseconds(settings_.total_timeout_nanos);
}

Status Connection::OpenTransport() {
  const TlsFiles files{settings_.ca_file, settings_.cert_file, settings_.key_file};
  QUORATE_RETURN_IF_ERROR(CheckTlsFiles(files));
  // Who asks DNS for the servers may not believe the names that it gives.
  http_ = std::make_unique<HttpClient>(
      HttpOptions{files, settings_.insecure_discovery ? "" : settings_.discovery_srv, false});
  return absl::OkStatus();
}

Status Connection::OpenClient() {
  ClusterClientOptions options;
  QUORATE_ASSIGN_OR_RETURN(options.endpoints, Endpoints(settings_));
  if (!settings_.username.empty()) {
    options.credentials = settings_.username;
    if (settings_.username.find(':') == std::string::npos) {
      *options.credentials += ":" + AskPassword("Password: ");
    }
  }
  options.connect = ConnectLimit();
  options.request = nanoseconds(settings_.timeout_nanos);
  options.debug = settings_.debug;
  client_ = std::make_unique<ClusterClient>(std::move(options), http_.get());
  return absl::OkStatus();
}

void Connection::PrintEndpoints() const {
  if (!settings_.debug) return;
  std::fprintf(stderr, "Cluster-Endpoints: %s\n", Joined(client_->endpoints(), ", ").c_str());
}

std::optional<int> Connection::Open() {
  Status opened = OpenTransport();
  if (opened.ok()) opened = OpenClient();
  if (!opened.ok()) return Complain(V2ExitCode::kBadArguments, std::string(Message(opened)));
  if (!settings_.no_sync) {
    if (const auto code = Sync()) return code;
  }
  PrintEndpoints();
  return std::nullopt;
}

std::optional<int> Connection::Sync() {
  const std::string before = Joined(client_->endpoints(), ",");
  if (settings_.debug) std::fprintf(stderr, "start to sync cluster using endpoints(%s)\n", before.c_str());
  const auto error = SyncEndpoints(client_.get(), CommandDeadline());
  if (error && error->no_endpoints) {
    std::fprintf(stderr,
                 "etcd cluster has no published client endpoints.\nTry '--no-sync' if you want to access "
                 "non-published client endpoints(%s).\n",
                 before.c_str());
    return FailWith(V2ExitCode::kServerError, *error);
  }
  if (error && error->connection) return FailWith(V2ExitCode::kBadConnection, *error);
  // Any other error shows again in the command's own request.
  if (settings_.debug) {
    std::fprintf(stderr, "got endpoints(%s) after sync\n", Joined(client_->endpoints(), ",").c_str());
  }
  return std::nullopt;
}

}  // namespace quorate::cmd::v2
