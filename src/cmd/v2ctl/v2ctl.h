// The client of the second generation (`ETCDCTL_API=2 etcdctl`), as operators' scripts still call it:
// cluster-health and member list|add|remove|update, with the lines and exit codes of etcdctl 3.4. Source of
// the texts: etcdctl/ctlv2 and client of etcd's release-3.4.
#pragma once

#include <functional>
#include <string>
#include <vector>

namespace quorate::cmd::v2 {

// The value of a variable; empty where it is not set.
using Environment = std::function<std::string(const char* name)>;

// Whether a command line is meant for this client: ETCDCTL_API says 2; or it says nothing, and the line has a
// flag or a command that only this generation has (--ca-file, cluster-health). `cluster ...` never is.
bool IsV2(const std::vector<std::string>& args, const Environment& environment);

// Runs the command line without the program's name; returns the exit code. One thread, once in a process.
int RunV2(const std::vector<std::string>& args, const Environment& environment);

}  // namespace quorate::cmd::v2
