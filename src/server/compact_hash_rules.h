// What the hashes that members keep of their compactions say about them. Source: CompactHashCheck in
// etcdserver/corrupt.go of etcd 3.6. Compactions come through the log, so all members make each at the same
// revision, after the same one before it: then the hashes must be the same.
#pragma once

#include <cstdint>
#include <vector>

#include "mvcc/store.h"
#include "server/corruption_monitor.h"

namespace quorate::server {

struct CompactHashVerdict {
  // Whether older hashes need no look: every member has this one, or some differ.
  bool settled = false;
  // Whether all members have been compared with, and are equal.
  bool all_equal = false;
  // For whom to raise the alarm CORRUPT, ascending; 0: some member, none can say which.
  std::vector<uint64_t> corrupt;
};

// `peers`: what the others answer for that revision. A member that does not answer, or whose hash is of
// another pair of compactions, is skipped. A hash that a majority of the members has is right; without one
// nobody knows.
CompactHashVerdict JudgeCompactHash(uint64_t leader_id, const mvcc::CompactionHash& hash,
                                    const std::vector<PeerHash>& peers);

}  // namespace quorate::server
