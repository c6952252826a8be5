// raft messages on the wire between members: raftpb.Message, byte for byte as etcd 3.4 writes it (gogo's
// rule: scalars always, zeros included; the empty snapshot too), read as any version from 3.4 to 3.7 writes
// it. Source: raft/raftpb/raft.proto. Pure functions.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "base/status.h"
#include "raft/types.h"

namespace quorate::peer {

size_t EncodedSize(const raft::Message& message);
void AppendMessage(std::string& out, const raft::Message& message);

// InvalidArgument for malformed bytes; absent fields are zero, unknown ones skipped. The payloads are copied.
StatusOr<raft::Message> DecodeMessage(std::string_view in);

// What must hold before raft may see a message from the network: a kind that travels, entries that follow
// each other and are no newer than the message, a snapshot in kSnap and only there. InvalidArgument says what
// is wrong.
Status CheckMessage(const raft::Message& message);

// Whether `sender`, who opened or answered a connection, may send this: in its own name, or passing on what
// another asked of the leader (kProp, kReadIndex, kTransferLeader).
bool MaySend(uint64_t sender, const raft::Message& message);

}  // namespace quorate::peer
