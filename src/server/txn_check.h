// Whether a transaction may be proposed at all: what the original checks at the door, before the log.
// Source of the rules: etcd server/etcdserver/api/v3rpc/key.go.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/status.h"
#include "rpc.pb.h"

namespace quorate::server {

// Takes nesting as deep as CheckTxn lets pass with the default limit of operations, where protobuf would stop
// at 100 messages. False on malformed bytes.
bool ParseTxn(std::string_view bytes, etcdserverpb::TxnRequest* txn);

// Empty keys, empty operations, contradictory put flags, more than ops_max operations in a list (a nested
// transaction gets what its parent's longest list leaves), unknown sort options, a key put twice or put and
// deleted in one branch.
Status CheckTxn(const etcdserverpb::TxnRequest& txn, size_t ops_max);

// An empty key or a sort option that does not exist.
Status CheckRange(std::string_view key, int32_t sort_order, int32_t sort_target);

// No operation but ranges (nested transactions count as writes, as in the original).
bool IsReadOnly(const etcdserverpb::TxnRequest& txn);
// All operations are serializable ranges.
bool IsSerializable(const etcdserverpb::TxnRequest& txn);

}  // namespace quorate::server
