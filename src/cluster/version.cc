#include "cluster/version.h"

#include <array>
#include <charconv>

namespace quorate::cluster {

StatusOr<Version> ParseVersion(std::string_view text) {
  Version version;
  const std::string_view numbers = text.substr(0, text.find_first_of("-+"));
  const char* p = numbers.data();
  const char* const end = p + numbers.size();
  const std::array<uint32_t*, 3> parts = {&version.major, &version.minor, &version.patch};
  for (size_t i = 0; i < parts.size(); ++i) {
    const auto parsed = std::from_chars(p, end, *parts[i]);
    const bool last = i + 1 == parts.size();
    if (parsed.ec != std::errc() || (last ? parsed.ptr != end : parsed.ptr == end || *parsed.ptr != '.')) {
      return InvalidArgument("not a version (X.Y.Z): \"" + std::string(text) + "\"");
    }
    p = parsed.ptr + (last ? 0 : 1);
  }
  return version;
}

std::string MinorText(Version version) {
  return std::to_string(version.major) + "." + std::to_string(version.minor);
}

std::string VersionText(Version version) { return MinorText(version) + "." + std::to_string(version.patch); }

Version ReportedVersion(const std::optional<Version>& cluster_version) {
  const Version cluster = cluster_version ? ClusterVersion(*cluster_version) : kInitialClusterVersion;
  if (cluster >= kVersion37) return {3, 7, 1};
  if (cluster >= kVersion36) return {3, 6, 14};
  if (cluster >= kVersion35) return {3, 5, 33};
  return {3, 4, 45};
}

}  // namespace quorate::cluster
