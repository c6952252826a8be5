#include "sim/program/peer_wire.h"

#include <utility>

#include "peer/message_codec.h"
#include "peer/stream_codec.h"

namespace quorate::sim {
namespace {

std::string Encode(const raft::Message& message) {
  std::string bytes;
  peer::StreamEncoder(peer::StreamKind::kMessage).Append(bytes, message);
  return bytes;
}

StatusOr<std::vector<raft::Message>> Decode(uint64_t local, uint64_t remote, std::string_view bytes) {
  peer::StreamDecoder decoder(peer::StreamKind::kMessage, local, remote);
  std::vector<raft::Message> messages;
  Status refused;
  const Status fed = decoder.Feed(bytes, [&](raft::Message message) {
    refused = peer::CheckMessage(message);
    if (refused.ok() && !peer::MaySend(remote, message)) refused = PermissionDenied("not in its own name");
    if (refused.ok()) messages.push_back(std::move(message));
    return refused.ok();
  });
  QUORATE_RETURN_IF_ERROR(fed);
  QUORATE_RETURN_IF_ERROR(refused);
  return messages;
}

}  // namespace

const Wire& PeerWire() {
  static const Wire kWire{Encode, Decode};
  return kWire;
}

}  // namespace quorate::sim
