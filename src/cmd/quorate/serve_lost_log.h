// What the program does around a member whose log may have gone back in time: where the proof of continuity
// is kept, and the way back of --lost-log-action=rejoin.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/env.h"
#include "cmd/quorate/options.h"
#include "server/lost_log.h"
#include "server/member.h"
#include "server/rejoin.h"

namespace quorate::cmd {

// With the run directory chosen, and made if it was missing.
server::LostLogOptions ToLostLogOptions(const Options& o);
// "user:password" of --recover-user-file, its first line; both empty without the flag.
struct RecoverUser {
  std::string name;
  std::string password;
};
StatusOr<RecoverUser> ReadRecoverUser(const Options& o);

// Client URLs of the other members, as the cluster knows them: from the member's own state, and by asking the
// others on the peer port, since a member without a past knows nobody's.
void FindEndpoints(server::Member* member, std::function<void(std::vector<std::string>)> done);

// The members without the one of that ID.
std::vector<std::string> ClientUrlsWithout(const std::vector<cluster::Member>& members, uint64_t id);

}  // namespace quorate::cmd
