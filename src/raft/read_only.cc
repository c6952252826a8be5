#include "raft/read_only.h"

#include <algorithm>

#include "base/endian.h"

namespace quorate::raft {

std::string ReadOnly::HeartbeatContext() const {
  if (waiting_.empty()) return {};
  std::string context(8, '\0');
  StoreLittle<uint64_t>(context.data(), asked());
  return context;
}

void ReadOnly::ReceiveAck(NodeId from, std::string_view context) {
  if (context.size() != 8) return;
  const auto count = LoadLittle<uint64_t>(context.data());
  if (count > asked()) return;
  uint64_t& ack = acks_[from];
  ack = std::max(ack, count);
}

std::vector<ReadRequest> ReadOnly::TakeConfirmed(const JointConfig& voters) {
  std::vector<ReadRequest> taken;
  const uint64_t confirmed = voters.CommittedIndex([this](NodeId id) -> std::optional<Index> {
    const auto it = acks_.find(id);
    return it == acks_.end() ? std::nullopt : std::optional<Index>(it->second);
  });
  while (confirmed_ < confirmed && !waiting_.empty()) {
    taken.push_back(std::move(waiting_.front()));
    waiting_.pop_front();
    ++confirmed_;
  }
  return taken;
}

}  // namespace quorate::raft
