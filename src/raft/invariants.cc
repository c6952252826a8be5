// The numbered invariants of raw_node.h, checked. For tests and the simulator: it walks the unstable log.
#include "absl/strings/str_format.h"
#include "raft/confchange.h"
#include "raft/raft.h"

namespace quorate::raft {
namespace {

Status Broken(const char* number, const std::string& what) {
  return Internal(std::string(number) + ": " + what);
}

}  // namespace

Status Raft::CheckInvariants() const {
  const Index first = log_.FirstIndex();
  const Index last = log_.LastIndex();
  if (log_.applied() > log_.applying() || log_.applying() > log_.committed() || log_.committed() > last) {
    return Broken("R1", log_.Describe() + absl::StrFormat(", last=%d", last));
  }
  if (first > log_.committed() + 1)
    return Broken("R2", log_.Describe() + absl::StrFormat(", first=%d", first));

  const Unstable& unstable = log_.unstable();
  if (unstable.offset_in_progress() < unstable.offset() || unstable.offset_in_progress() > unstable.end()) {
    return Broken("R3", log_.Describe());
  }
  Term term_before = log_.TermOrZero(unstable.offset() - 1);
  for (Index index = unstable.offset(); index < unstable.end(); ++index) {
    const Entry& entry = unstable.At(index);
    if (entry.index != index) return Broken("R3", absl::StrFormat("index %d at %d", entry.index, index));
    if (entry.term < term_before || entry.term > term_) {
      return Broken("R4", absl::StrFormat("term %d at %d, before it %d, node at %d", entry.term, index,
                                          term_before, term_));
    }
    term_before = entry.term;
  }

  if (role_ == Role::kLeader) {
    if (lead_ != id_) return Broken("R5", absl::StrFormat("leader %x knows %x as leader", id_, lead_));
    for (const auto& [id, member] : tracker_.progress) {
      if (member.match >= member.next)
        return Broken("R5", absl::StrFormat("%x: %s", id, raft::Describe(member)));
    }
  } else if (lead_ == id_) {
    return Broken("R6", absl::StrFormat("%x leads but is no leader", id_));
  }
  if (role_ == Role::kCandidate && vote_ != id_)
    return Broken("R6", absl::StrFormat("candidate voted for %x", vote_));

  if (const Status status = CheckConfig(tracker_.config, tracker_.progress); !status.ok()) {
    return Broken("R7", std::string(quorate::Message(status)));
  }
  return absl::OkStatus();
}

}  // namespace quorate::raft
