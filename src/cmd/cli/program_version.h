// The versions that the programs report of themselves.
#pragma once

#include <string_view>

namespace quorate::cmd {

// What a newer etcd patch release of each line would say; the first line of --version (etcd prints its own
// version).
inline constexpr std::string_view kEtcdVersion = "3.7.1";
inline constexpr std::string_view kEtcdApiVersion = "3.7";
inline constexpr std::string_view kQuorateVersion = "0.1.0";

}  // namespace quorate::cmd
