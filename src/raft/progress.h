// What a leader knows about one member's log, and how it sends to it.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "raft/inflights.h"
#include "raft/types.h"

namespace quorate::raft {

// kProbe: where the logs meet is unknown; one append at a time, at most one a heartbeat. kReplicate: appends
// are sent ahead of acknowledgements. kSnapshot: needs a snapshot; no appends until it answers.
enum class ProgressState : uint8_t { kProbe, kReplicate, kSnapshot };

// Invariants: match < next; in kSnapshot next == pending_snapshot + 1; pending_snapshot is 0 in the other
// states.
struct Progress {
  Index match = 0;  // The logs are known to be equal up to here.
  Index next = 1;   // The next entry to send; those between are in flight.
  // The highest commit index sent; falls when what was sent may be lost.
  Index sent_commit = 0;
  ProgressState state = ProgressState::kProbe;
  Index pending_snapshot = 0;
  bool recent_active =
      false;  // Heard from since the last check of the quorum. Always true for the leader itself.
  bool append_paused =
      false;  // No more appends until a heartbeat is answered (a probe is out, or the window full).
  bool learner = false;
  Inflights inflights;

  void BecomeProbe();
  void BecomeReplicate();
  void BecomeSnapshot(Index snapshot_index);
  bool Paused() const { return state == ProgressState::kSnapshot || append_paused; }
  // An append with this many entries of so many payload bytes was sent, beginning at next.
  void SentEntries(size_t entries, uint64_t bytes);
  void SentCommit(Index commit) { sent_commit = commit; }
  // Whether telling `commit` could move the member's commit index, given what it was told before.
  bool CanBumpCommit(Index commit) const { return commit > sent_commit && sent_commit < next - 1; }
  // An append was acknowledged up to `index`; false if that is old news.
  bool MaybeUpdate(Index index);
  // The append after `rejected` was refused, the logs may meet at match_hint; false if the refusal is stale.
  bool MaybeDecrease(Index rejected, Index match_hint);

 private:
  void ResetState(ProgressState to);
};

using ProgressMap = std::map<NodeId, Progress>;

const char* Describe(ProgressState state);         // "StateProbe"
std::string Describe(const Progress& progress);    // "StateReplicate match=11 next=13 inflight=1"
std::string Describe(const ProgressMap& members);  // One line each: "3: StateProbe match=0 next=1"

}  // namespace quorate::raft
