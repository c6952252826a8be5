#include "cluster/downgrade_info.h"

#include <nlohmann/json.hpp>

namespace quorate::cluster {

std::string DowngradeInfoJson(const DowngradeInfo& info) {
  return R"({"target-version":")" + (info.enabled ? VersionText(info.target) : std::string()) +
         (info.enabled ? R"(","enabled":true})" : R"(","enabled":false})");
}

StatusOr<DowngradeInfo> ParseDowngradeInfo(std::string_view json) {
  const auto row = nlohmann::json::parse(json.begin(), json.end(), nullptr, /*allow_exceptions=*/false);
  if (!row.is_object()) return InvalidArgument("not the JSON of a downgrade");
  DowngradeInfo info;
  const auto enabled = row.find("enabled");
  if (enabled == row.end() || !enabled->is_boolean() || !enabled->get<bool>()) return info;
  const auto target = row.find("target-version");
  if (target == row.end() || !target->is_string()) return InvalidArgument("a downgrade without a target");
  info.enabled = true;
  QUORATE_ASSIGN_OR_RETURN(info.target, ParseVersion(target->get<std::string>()));
  return info;
}

}  // namespace quorate::cluster
