// Whose calls are whose.
#pragma once

#include <string_view>

namespace quorate::rpc {

// "192.0.2.1" of "192.0.2.1:4321" (CallHandle::peer()); "unix" of a socket in the file system.
inline std::string_view HostOf(std::string_view peer) { return peer.substr(0, peer.rfind(':')); }

}  // namespace quorate::rpc
