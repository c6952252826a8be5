// server::ClusterAdmin over libgrpc++: the client API of the healthy members, asked one after the other until
// one answers. One thread of its own does the calls; answers come on the loop.
#pragma once

#include <memory>
#include <string>

#include "cmd/quorate/serve_lost_log.h"
#include "net/loop.h"
#include "net/tls_context.h"
#include "server/rejoin.h"

namespace quorate::cmd {

// `user`: to authenticate as, if not empty. `tls`: what is trusted and shown at https:// endpoints; its files
// are read for each call. The loop outlives it. Endpoints are http:// or https:// URLs, as the members
// advertise them.
std::unique_ptr<server::ClusterAdmin> MakeClusterAdmin(net::Loop* loop, RecoverUser user,
                                                       net::TlsSettings tls);

}  // namespace quorate::cmd
