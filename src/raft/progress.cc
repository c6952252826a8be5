#include "raft/progress.h"

#include <algorithm>

#include "absl/strings/str_format.h"
#include "base/check.h"

namespace quorate::raft {

void Progress::ResetState(ProgressState to) {
  append_paused = false;
  pending_snapshot = 0;
  state = to;
  inflights.Reset();
}

void Progress::BecomeProbe() {
  // After a snapshot that went out, the logs are expected to meet at its end.
  const Index pending = state == ProgressState::kSnapshot ? pending_snapshot : 0;
  ResetState(ProgressState::kProbe);
  next = std::max(match, pending) + 1;
  sent_commit = std::min(sent_commit, next - 1);
}

void Progress::BecomeReplicate() {
  ResetState(ProgressState::kReplicate);
  next = match + 1;
}

void Progress::BecomeSnapshot(Index snapshot_index) {
  ResetState(ProgressState::kSnapshot);
  pending_snapshot = snapshot_index;
  next = snapshot_index + 1;
  sent_commit = snapshot_index;
}

void Progress::SentEntries(size_t entries, uint64_t bytes) {
  QUORATE_CHECK(state != ProgressState::kSnapshot);
  if (state == ProgressState::kProbe) {
    if (entries > 0) append_paused = true;
    return;
  }
  if (entries > 0) {
    next += entries;
    inflights.Add(next - 1, bytes);
  }
  // A message that fills the window, or is sent into a full one, is a probe: wait for a heartbeat to be
  // answered.
  append_paused = inflights.Full();
}

bool Progress::MaybeUpdate(Index index) {
  if (index <= match) return false;
  match = index;
  next = std::max(next, index + 1);
  append_paused = false;
  return true;
}

bool Progress::MaybeDecrease(Index rejected, Index match_hint) {
  if (state == ProgressState::kReplicate) {
    if (rejected <= match) return false;
    next = match + 1;
    sent_commit = std::min(sent_commit, next - 1);
    return true;
  }
  // Probes go one at a time, so a genuine refusal is of the last one.
  if (next - 1 != rejected) return false;
  next = std::max(std::min(rejected, match_hint + 1), match + 1);
  sent_commit = std::min(sent_commit, next - 1);
  append_paused = false;
  return true;
}

const char* Describe(ProgressState state) {
  switch (state) {
    case ProgressState::kProbe:
      return "StateProbe";
    case ProgressState::kReplicate:
      return "StateReplicate";
    case ProgressState::kSnapshot:
      return "StateSnapshot";
  }
  return "?";
}

std::string Describe(const Progress& progress) {
  std::string text =
      absl::StrFormat("%s match=%d next=%d", Describe(progress.state), progress.match, progress.next);
  if (progress.learner) text += " learner";
  if (progress.Paused()) text += " paused";
  if (progress.pending_snapshot > 0)
    absl::StrAppendFormat(&text, " pendingSnap=%d", progress.pending_snapshot);
  if (!progress.recent_active) text += " inactive";
  if (progress.inflights.count() > 0) {
    absl::StrAppendFormat(&text, " inflight=%d", progress.inflights.count());
    if (progress.inflights.Full()) text += "[full]";
  }
  return text;
}

std::string Describe(const ProgressMap& members) {
  std::string text;
  for (const auto& [id, progress] : members) absl::StrAppendFormat(&text, "%d: %s\n", id, Describe(progress));
  return text;
}

}  // namespace quorate::raft
