// Runs the operator's command for one member: the way to its host (ssh, a supervisor's client) is his.
#pragma once

#include <functional>
#include <map>
#include <string>

#include "base/status.h"
#include "cmd/procedures/cluster_state.h"

namespace quorate::cmd {

// Variables of the command, beside the program's own.
using Variables = std::map<std::string, std::string>;

// QUORATE_MEMBER_NAME, QUORATE_MEMBER_ID, QUORATE_MEMBER_HOST, QUORATE_MEMBER_PEER_URLS,
// QUORATE_MEMBER_CLIENT_URLS. Pure.
Variables MemberVariables(const MemberState& member);
// The host of a URL, without port and brackets. Pure.
std::string HostOf(std::string_view url);

// Runs `command` by /bin/sh and waits for its end, however long it takes; every half minute it says on stderr
// that it does. `meanwhile` is called again and again, on the caller's thread. The command's output is the
// program's. An error when it can't be run or ends with other than 0.
Status RunHostCommand(const std::string& command, const Variables& variables,
                      const std::function<void()>& meanwhile = {});

}  // namespace quorate::cmd
