// Whether two members may talk: versions and cluster ID, from the headers of a request. Source:
// etcdserver/api/rafthttp/util.go (checkVersionCompatibility), http.go. Pure functions.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "net/http.h"

namespace quorate::peer {

// The oldest cluster version with whose members we talk; the same in all of etcd 3.4 to 3.7.
constexpr std::string_view kMinClusterVersionText = "3.0.0";

// Bodies of 412, without the newline.
constexpr std::string_view kIncompatibleVersion = "incompatible version";
constexpr std::string_view kClusterIdMismatch = "cluster ID mismatch";

// Empty: they may. Else the text of the refusal; logged with what differs. A version that is no version is
// incompatible, an absent one is 2.0.0.
std::string_view CheckCompatibility(const net::HttpRequest& request, uint64_t local_id, uint64_t cluster_id,
                                    const std::string& local_version);

}  // namespace quorate::peer
