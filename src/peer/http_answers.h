// Answers on the peer port as Go's net/http and etcd word them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "net/http.h"

namespace quorate::peer {

// http.Error: the text and a newline. `cluster_id` 0: no X-Etcd-Cluster-ID.
void SendError(net::HttpReply& reply, int status, std::string_view text, uint64_t cluster_id,
               net::HttpHeaders headers = {});
// 403 {"message":"cannot process message from removed member"}: httptypes.HTTPError.
void SendRemoved(net::HttpReply& reply, uint64_t cluster_id);
// "10.0.0.1" of "10.0.0.1:5555".
std::string AddressWithoutPort(std::string_view address);

}  // namespace quorate::peer
