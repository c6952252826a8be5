// The address under which others reach this machine: what etcd advertises when it listens on all addresses
// and nobody said what to advertise. Rules: etcd 3.4's pkg/netutil/routes_linux.go and embed/config.go
// (UpdateDefaultClusterFromName).
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "cmd/quorate/options.h"

namespace quorate::cmd {

// The source address of the default route in the main table, else the first address of its interface; IPv4
// before IPv6. Asks the kernel (netlink).
StatusOr<std::string> DetectDefaultHost();
// The same from the kernel's answers to RTM_GETROUTE and RTM_GETADDR, as they come from the socket.
StatusOr<std::string> ChooseDefaultHost(std::string_view routes, std::string_view addresses);

// Puts the host in the place of "localhost" in the advertised URLs that are still the default where the
// listener is on 0.0.0.0, and into an initial cluster that was made from them.
void AdvertiseDefaultHost(const StatusOr<std::string>& host, Options* options, std::vector<Notice>* notices);

}  // namespace quorate::cmd
