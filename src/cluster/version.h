// Versions of clusters and servers. Source of the rules: github.com/coreos/go-semver, etcd
// version/version.go.
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/status.h"

namespace quorate::cluster {

struct Version {
  uint32_t major = 0;
  uint32_t minor = 0;
  uint32_t patch = 0;

  friend auto operator<=>(const Version&,
                          const Version&) = default;  // NOLINT(modernize-use-nullptr): not a pointer
};

// "3.4.23"; what follows a '-' or '+' (pre-release, build) is allowed and dropped. InvalidArgument otherwise.
StatusOr<Version> ParseVersion(std::string_view text);
// "3.4.0".
std::string VersionText(Version version);
// "3.4", as logs and messages name a cluster version.
std::string MinorText(Version version);
// Without the patch: a cluster version.
constexpr Version ClusterVersion(Version version) { return {version.major, version.minor, 0}; }

constexpr Version kVersion34{3, 4, 0};
constexpr Version kVersion35{3, 5, 0};
constexpr Version kVersion36{3, 6, 0};
constexpr Version kVersion37{3, 7, 0};
// The newest cluster version we can be a member of, and the one a new cluster starts at.
constexpr Version kNewestClusterVersion = kVersion37;
constexpr Version kInitialClusterVersion = kVersion34;

// What /version and Status report as the server's version: the newest patch release of the cluster version's
// minor, since clients gate features on it. Before 3.4, and while there is none: that of 3.4.
Version ReportedVersion(const std::optional<Version>& cluster_version);

}  // namespace quorate::cluster
