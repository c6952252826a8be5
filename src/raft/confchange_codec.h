// ConfChange and ConfChangeV2 as the data of an entry.
//   ConfChange    id=1:u64 type=2 node_id=3:u64 context=4:bytes
//   ConfChangeV2  transition=1 changes=2*{type=1 node_id=2:u64} context=3:bytes
// Written as etcd writes them: all scalars of ConfChange always, its context when not empty.
#pragma once

#include <string>
#include <string_view>

#include "base/status.h"
#include "raft/types.h"

namespace quorate::raft {

std::string EncodeConfChange(const ConfChange& change);
std::string EncodeConfChange(const ConfChangeV2& change);
// InvalidArgument for malformed bytes and for a type or transition that is none.
StatusOr<ConfChange> DecodeConfChange(std::string_view data);
StatusOr<ConfChangeV2> DecodeConfChangeV2(std::string_view data);
// From an entry of either kind.
StatusOr<ConfChangeV2> DecodeConfChange(const Entry& entry);
ConfChangeV2 ToV2(const ConfChange& change);

// The bytes an entry takes as etcd encodes it: what the limits of sizes count.
uint64_t EncodedSize(const Entry& entry);

}  // namespace quorate::raft
