// The compares of a transaction. Source of the rules: etcd 3.4's etcdserver/apply.go, applyCompare.
#pragma once

#include <span>
#include <string_view>

#include "rpc.pb.h"

namespace quorate::server {

// Every one of the pairs (encoded as mvccpb.KeyValue) of the range that the compare names must pass. A range
// without keys compares as one pair of zeros, except that a value compare on it is always false: there is no
// way to name a missing value.
bool CompareHolds(const etcdserverpb::Compare& compare, std::span<const std::string_view> kvs);

}  // namespace quorate::server
