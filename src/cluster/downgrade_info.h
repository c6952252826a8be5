// Whether the cluster is on its way to a lower version, and the row `downgrade` of bucket `cluster` that says
// so. Source: server/etcdserver/version/downgrade.go, schema/membership.go. Pure functions.
#pragma once

#include <string>
#include <string_view>

#include "base/status.h"
#include "cluster/version.h"

namespace quorate::cluster {

struct DowngradeInfo {
  bool enabled = false;
  Version target;  // 0.0.0 unless enabled.

  friend bool operator==(const DowngradeInfo&, const DowngradeInfo&) = default;
};

// {"target-version":"3.5.0","enabled":true}
std::string DowngradeInfoJson(const DowngradeInfo& info);
StatusOr<DowngradeInfo> ParseDowngradeInfo(std::string_view json);

}  // namespace quorate::cluster
