#include "cmd/v2ctl/settings.h"

#include <algorithm>
#include <array>

#include "cmd/cli/go_syntax.h"

namespace quorate::cmd::v2 {
namespace {

constexpr std::string_view kDefaultEndpoints = "http://127.0.0.1:2379,http://127.0.0.1:4001";

// Those of settings.Flags() that the third generation's client does not know.
constexpr std::array kFlagsOfV2Only = {"no-sync",       "output",  "o",         "peers",    "C",
                                       "endpoint",      "D",       "cert-file", "key-file", "ca-file",
                                       "total-timeout", "timeout", "username",  "u"};

}  // namespace

GoFlags Settings::Flags() {
  GoFlags flags;
  flags.Add({"debug"}, &debug);
  flags.Add({"no-sync"}, &no_sync);
  flags.Add({"output", "o"}, &output);
  flags.Add({"discovery-srv", "D"}, &discovery_srv);
  flags.Add({"insecure-discovery"}, &insecure_discovery);
  flags.Add({"peers", "C"}, &peers);
  flags.Add({"endpoint"}, &endpoint);
  flags.Add({"endpoints"}, &endpoints);
  flags.Add({"cert-file"}, &cert_file);
  flags.Add({"key-file"}, &key_file);
  flags.Add({"ca-file"}, &ca_file);
  flags.Add({"username", "u"}, &username);
  flags.Add({"timeout"}, &timeout_nanos);
  flags.Add({"total-timeout"}, &total_timeout_nanos);
  flags.Add({"help", "h"}, &help);
  flags.Add({"version", "v"}, &version);
  return flags;
}

void Settings::TakeEnvironment(const Environment& environment) {
  const auto take = [&](std::string* value, const char* name) {
    if (value->empty()) *value = environment(name);
  };
  // The first that says something wins, whichever flag or variable it is.
  take(&endpoints, "ETCDCTL_ENDPOINTS");
  take(&endpoint, "ETCDCTL_ENDPOINT");
  take(&peers, "ETCDCTL_PEERS");
  take(&ca_file, "ETCDCTL_CA_FILE");
  take(&cert_file, "ETCDCTL_CERT_FILE");
  take(&key_file, "ETCDCTL_KEY_FILE");
  take(&discovery_srv, "ETCDCTL_DISCOVERY_SRV");
  take(&discovery_srv_name, "ETCDCTL_DISCOVERY_SRV_NAME");
  take(&username, "ETCDCTL_USERNAME");
  if (!environment("ETCDCTL_INSECURE_DISCOVERY").empty()) insecure_discovery = true;
}

std::vector<std::string> Settings::GivenEndpoints() const {
  for (const std::string* given : {&endpoints, &endpoint, &peers}) {
    if (!given->empty()) return SplitCommas(*given);
  }
  return SplitCommas(kDefaultEndpoints);
}

bool IsFlagOfV2Only(std::string_view name) {
  return std::find(kFlagsOfV2Only.begin(), kFlagsOfV2Only.end(), name) != kFlagsOfV2Only.end();
}

}  // namespace quorate::cmd::v2
