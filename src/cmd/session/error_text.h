// How an error of the client is told: first etcd's own words, which scripts look for, then what to do about
// it. Pure functions.
#pragma once

#include <string>

#include "base/status.h"

namespace quorate::cmd {

// What etcd's client would say: without what ours adds about connections.
std::string EtcdText(const Status& status);
// One line, without its end: what is behind the error, and the way out. Empty: the error says it all.
std::string AdviceFor(const Status& status);
// Whether the text is the server's.
bool IsServerText(const Status& status);

}  // namespace quorate::cmd
