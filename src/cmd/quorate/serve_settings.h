// From the settings of the program to those of its parts.
#pragma once

#include <string>

#include "cmd/quorate/options.h"
#include "net/server.h"
#include "server/config.h"

namespace quorate::cmd {

// Without on_fatal, remote_cluster and auth.
server::Config ToServerConfig(const Options& o);
// Of the listeners for clients.
net::ServerOptions ToNetOptions(const Options& o);
// Of --listen-metrics-urls.
net::ServerOptions ToMetricsNetOptions(const Options& o);
// Which program this is, for /metrics: etcd_server_version goes by the cluster's version.
std::string BuildInfoMetric();
// Settings that are taken and change nothing here; said once, so that nobody waits for them.
void WarnOfSettingsWithoutEffect(const Options& o);

}  // namespace quorate::cmd
