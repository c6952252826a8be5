#include "server/compact_hash_rules.h"

#include <algorithm>
#include <map>
#include <string>

#include "base/logging.h"
#include "cluster/member.h"

namespace quorate::server {
namespace {

// Empty when the answer can be compared.
std::string WhySkipped(const mvcc::CompactionHash& hash, const PeerHash& peer) {
  if (!peer.hash.ok()) return "no response: " + std::string(Message(peer.hash.status()));
  if (peer.hash->compact_revision == hash.compact_revision) return "";
  return "the peer's CompactRevision " + std::to_string(peer.hash->compact_revision) +
         " doesn't match leader's CompactRevision " + std::to_string(hash.compact_revision);
}

std::vector<std::string> Names(const std::vector<uint64_t>& ids) {
  std::vector<std::string> names;
  names.reserve(ids.size());
  for (const uint64_t id : ids) names.push_back(cluster::IdText(id));
  return names;
}

void LogMismatch(uint64_t leader_id, const mvcc::CompactionHash& hash, uint32_t other,
                 const std::vector<uint64_t>& ids, bool quorum) {
  LOG_ERROR("Detected compaction hash mismatch", log::HexId("leader-id", leader_id),
            {"leader-revision", hash.revision}, {"leader-compact-revision", hash.compact_revision},
            {"leader-hash", uint64_t{hash.hash}}, {"peer-hash", uint64_t{other}}, {"peer-ids", Names(ids)},
            {"quorum-exist", quorum});
}

}  // namespace

CompactHashVerdict JudgeCompactHash(uint64_t leader_id, const mvcc::CompactionHash& hash,
                                    const std::vector<PeerHash>& peers) {
  std::map<uint32_t, std::vector<uint64_t>> members{{hash.hash, {leader_id}}};
  size_t checked = 0;
  for (const PeerHash& peer : peers) {
    if (const std::string why = WhySkipped(hash, peer); !why.empty()) {
      LOG_WARN("Skipped peer's hash", {"number-of-peers", uint64_t{peers.size()}},
               log::HexId("leader-id", leader_id), log::HexId("peer-id", peer.id), {"reason", why});
      continue;
    }
    ++checked;
    members[peer.hash->hash].push_back(peer.id);
  }
  CompactHashVerdict verdict;
  if (members.size() == 1) {
    verdict.settled = verdict.all_equal = checked == peers.size();
    return verdict;
  }
  verdict.settled = true;
  const size_t quorum = (peers.size() + 1) / 2 + 1;
  const auto right = std::find_if(members.begin(), members.end(),
                                  [quorum](const auto& group) { return group.second.size() >= quorum; });
  const bool known = right != members.end();
  if (known) {
    members.erase(right);
  } else {
    verdict.corrupt.push_back(0);
  }
  for (const auto& [other, ids] : members) {
    LogMismatch(leader_id, hash, other, ids, known);
    if (known) verdict.corrupt.insert(verdict.corrupt.end(), ids.begin(), ids.end());
  }
  std::sort(verdict.corrupt.begin(), verdict.corrupt.end());
  return verdict;
}

}  // namespace quorate::server
