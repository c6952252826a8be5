// GET /debug/vars, which Go's package expvar serves and monitoring agents read: command line, limit of open
// files, memory and Raft. Source: server/etcdserver/api/etcdhttp/debug.go, raft/status.go (MarshalJSON). Core
// thread only.
#pragma once

#include <string>
#include <vector>

#include "server/member.h"

namespace quorate::rpc {

// Of "memstats" there is what the kernel knows: the resident memory, under the names that agents look at.
std::string DebugVarsJson(const server::Member& member);

// The command line without the values of flags that hold passwords: anybody may ask.
std::vector<std::string> WithoutSecrets(std::vector<std::string> arguments);

}  // namespace quorate::rpc
