// Who decides: sets of voters, single (majority) or joint (two majorities), and what they have agreed on.
// Source: Raft thesis, section 4.3; the text forms are etcd-io/raft's.
#pragma once

#include <algorithm>
#include <cstdint>
#include <initializer_list>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "raft/types.h"

namespace quorate::raft {

// A sorted set of node IDs; a handful of members, so a flat vector.
class IdSet {
 public:
  IdSet() = default;
  IdSet(std::initializer_list<NodeId> ids) {
    for (NodeId id : ids) Insert(id);
  }

  void Insert(NodeId id) {
    auto it = std::lower_bound(ids_.begin(), ids_.end(), id);
    if (it == ids_.end() || *it != id) ids_.insert(it, id);
  }
  void Erase(NodeId id) {
    auto it = std::lower_bound(ids_.begin(), ids_.end(), id);
    if (it != ids_.end() && *it == id) ids_.erase(it);
  }
  bool Contains(NodeId id) const { return std::binary_search(ids_.begin(), ids_.end(), id); }
  void Clear() { ids_.clear(); }
  bool empty() const { return ids_.empty(); }
  size_t size() const { return ids_.size(); }
  auto begin() const { return ids_.begin(); }
  auto end() const { return ids_.end(); }
  const std::vector<NodeId>& ids() const { return ids_; }

  friend bool operator==(const IdSet&, const IdSet&) = default;

 private:
  std::vector<NodeId> ids_;
};

// What an empty majority has committed: it never holds a joint one back.
constexpr Index kIndexMax = UINT64_MAX;

enum class VoteResult { kPending, kLost, kWon };

using Votes = std::map<NodeId, bool>;

// The highest index acknowledged by a majority of `voters`. acked(id) gives std::optional<Index>.
template <typename Acked>
Index MajorityCommittedIndex(const IdSet& voters, const Acked& acked) {
  const size_t n = voters.size();
  if (n == 0) return kIndexMax;
  constexpr size_t kInlineMax = 9;
  Index inline_indexes[kInlineMax] = {};
  std::vector<Index> heap_indexes;
  Index* indexes = inline_indexes;
  if (n > kInlineMax) {
    heap_indexes.resize(n);
    indexes = heap_indexes.data();
  }
  size_t i = 0;
  for (NodeId id : voters) {
    const std::optional<Index> index = acked(id);
    indexes[i++] = index.value_or(0);
  }
  std::sort(indexes, indexes + n);
  return indexes[n - (n / 2 + 1)];
}

VoteResult MajorityVoteResult(const IdSet& voters, const Votes& votes);

// Outside of a membership change `outgoing` is empty and `incoming` decides alone.
struct JointConfig {
  IdSet incoming;
  IdSet outgoing;

  bool joint() const { return !outgoing.empty(); }
  bool Contains(NodeId id) const { return incoming.Contains(id) || outgoing.Contains(id); }
  IdSet Ids() const;
  template <typename Acked>
  Index CommittedIndex(const Acked& acked) const {
    return std::min(MajorityCommittedIndex(incoming, acked), MajorityCommittedIndex(outgoing, acked));
  }
  VoteResult Result(const Votes& votes) const;

  friend bool operator==(const JointConfig&, const JointConfig&) = default;
};

std::string Describe(const IdSet& ids);           // "(1 2 3)", hexadecimal
std::string Describe(const JointConfig& config);  // "(1 2)&&(1 2 3)"
const char* Describe(VoteResult result);          // "VoteWon"

}  // namespace quorate::raft
