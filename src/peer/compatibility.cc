#include "peer/compatibility.h"

#include <string>

#include "base/log_limit.h"
#include "base/logging.h"
#include "cluster/member.h"
#include "cluster/version.h"

namespace quorate::peer {
namespace {

// What etcd 2.0 did not send.
constexpr std::string_view kVersionWithoutHeader = "2.0.0";

std::string Header(const net::HttpRequest& request, std::string_view name, std::string_view absent) {
  const std::string_view value = request.header(name).value_or("");
  return std::string(value.empty() ? absent : value);
}

// Empty: compatible.
std::string VersionError(const std::string& name, const std::string& server, const std::string& min_cluster,
                         const std::string& local) {
  const auto remote = cluster::ParseVersion(server);
  const auto remote_min = cluster::ParseVersion(min_cluster);
  const auto own = cluster::ParseVersion(local);
  const auto own_min = cluster::ParseVersion(kMinClusterVersionText);
  if (!remote.ok() || !remote_min.ok())
    return "remote version can't be parsed: remote[" + name + "]=" + server;
  const std::string both = "remote[" + name + "]=" + server + ", local=" + local;
  if (cluster::ClusterVersion(*remote) < cluster::ClusterVersion(*own_min)) {
    return "remote version is too low: " + both;
  }
  if (own.ok() && cluster::ClusterVersion(*remote_min) > cluster::ClusterVersion(*own)) {
    return "local version is too low: " + both;
  }
  return "";
}

}  // namespace

std::string_view CheckCompatibility(const net::HttpRequest& request, uint64_t local_id, uint64_t cluster_id,
                                    const std::string& local_version) {
  const std::string name = Header(request, "X-Server-From", "");
  const std::string server = Header(request, "X-Server-Version", kVersionWithoutHeader);
  const std::string min_cluster = Header(request, "X-Min-Cluster-Version", kVersionWithoutHeader);
  const std::string error = VersionError(name, server, min_cluster, local_version);
  if (!error.empty()) {
    LOG_WARN_LIMITED("failed to check version compatibility", log::HexId("local-member-id", local_id),
                     log::HexId("local-member-cluster-id", cluster_id),
                     {"local-member-server-version", local_version},
                     {"local-member-server-minimum-cluster-version", kMinClusterVersionText},
                     {"remote-peer-server-name", name}, {"remote-peer-server-version", server},
                     {"remote-peer-server-minimum-cluster-version", min_cluster}, {"error", error});
    return kIncompatibleVersion;
  }
  const std::string cluster = Header(request, "X-Etcd-Cluster-ID", "");
  if (cluster == cluster::IdText(cluster_id)) return {};
  LOG_WARN_LIMITED("request cluster ID mismatch", log::HexId("local-member-id", local_id),
                   log::HexId("local-member-cluster-id", cluster_id),
                   {"local-member-server-version", local_version}, {"remote-peer-server-name", name},
                   {"remote-peer-server-version", server}, {"remote-peer-cluster-id", cluster});
  return kClusterIdMismatch;
}

}  // namespace quorate::peer
