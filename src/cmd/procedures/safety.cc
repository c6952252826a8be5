#include "cmd/procedures/safety.h"

#include <charconv>
#include <string>
#include <string_view>

#include "cmd/session/answer.h"

namespace quorate::cmd {
namespace {

std::string LabelOf(const ClusterState& state, uint64_t member) {
  const MemberState* const one = state.Find(member);
  return one == nullptr ? HexId(member) : Label(*one);
}

std::string MissingMajority(const ClusterState& state, uint64_t member, std::string_view what, size_t left,
                            size_t needed) {
  std::string text = std::string(what) + " " + LabelOf(state, member) +
                     " would cost the cluster its majority: " + std::to_string(left) +
                     " of the other voters serve, " + std::to_string(needed) + " are needed";
  std::string missing;
  for (const MemberState& other : state.members) {
    if (other.id == member || !other.voter() || other.serving) continue;
    missing += (missing.empty() ? "" : ", ") + Label(other);
  }
  if (!missing.empty()) text += "; not serving: " + missing + ": bring back what is down first";
  return text;
}

size_t ServingWithout(const ClusterState& state, uint64_t member) {
  const MemberState* const one = state.Find(member);
  const bool counted = one != nullptr && one->voter() && one->serving;
  return state.ServingVoters() - (counted ? 1 : 0);
}

// Whether a server of this version knows learners: 3.4 and later.
bool KnowsLearners(std::string_view version) {
  int major = 0;
  int minor = 0;
  const char* const end = version.data() + version.size();
  const auto [dot, error] = std::from_chars(version.data(), end, major);
  if (error != std::errc() || dot == end) return true;  // Not known: the server itself will say.
  std::from_chars(dot + 1, end, minor);
  return major > 3 || (major == 3 && minor >= 4);
}

// Whether it will be possible to add it again: after the removal it would be too late to find out.
Status CheckMayAddLearner(const ClusterState& state, const MemberState& member) {
  if (const MemberState* const learner = state.OtherLearner(member.id); learner != nullptr) {
    return FailedPrecondition(
        Label(*learner) + " is a learner already, and most clusters take no second one, so " + Label(member) +
        " might be removed and not added again: promote the learner first (member promote " +
        HexId(learner->id) + "), or remove it (member remove " + HexId(learner->id) + ")");
  }
  for (const MemberState& other : state.members) {
    if (other.version.empty() || KnowsLearners(other.version)) continue;
    return FailedPrecondition(Label(other) + " runs " + other.version +
                              ", which knows no learners: replace members by hand (member remove, member "
                              "add), or upgrade all to 3.4 first");
  }
  return absl::OkStatus();
}

}  // namespace

Status CheckMayStop(const ClusterState& state, uint64_t member) {
  const size_t left = ServingWithout(state, member);
  const size_t needed = Majority(state.Voters());
  if (left >= needed) return absl::OkStatus();
  const MemberState* const one = state.Find(member);
  if (one == nullptr || !one->voter()) return absl::OkStatus();
  // It takes part in nothing, whatever it answers.
  if (one->quarantined) return absl::OkStatus();
  // Nobody serves, and nothing runs there: nothing is lost. While somebody serves there is a majority, and
  // too few others were seen for it: then this one may well be the one that completes it, though it was not
  // seen.
  if (one->down && state.ServingVoters() == 0) return absl::OkStatus();
  if (state.Voters() == 1) {
    return FailedPrecondition("stopping " + Label(*one) +
                              " would cost the cluster its majority: it is the only voter; restart it by "
                              "hand, when the service may pause");
  }
  std::string text = MissingMajority(state, member, "stopping", left, needed);
  if (!one->serving) {
    text += "; " + Label(*one) + " itself does not serve, but may take part in votes (" +
            (one->trouble.empty() ? "not known to be down" : one->trouble) +
            "): if it hangs for good, restart it by hand";
  }
  return FailedPrecondition(text);
}

Status CheckMayRestart(const ClusterState& state, uint64_t member) {
  const MemberState* const one = state.Find(member);
  if (one != nullptr && one->quarantined) {
    return FailedPrecondition(
        Label(*one) + " is quarantined, and stays so over a restart: replace it first ('cluster heal')");
  }
  return CheckMayStop(state, member);
}

Status CheckMayReplace(const ClusterState& state, uint64_t member) {
  const MemberState* const one = state.Find(member);
  if (one == nullptr) return NotFound(HexId(member) + " is no member any more");
  const size_t voters = state.Voters() - (one->voter() ? 1 : 0);
  if (voters == 0) {
    return FailedPrecondition(
        "it is the only voter: there is nobody to copy its data from; restore a snapshot instead");
  }
  // The removal is agreed on by all, the member with them; afterwards the others go on alone. It is removed
  // before it is stopped, so that its vote counts for the first.
  if (state.ServingVoters() < Majority(state.Voters())) {
    return FailedPrecondition(
        MissingMajority(state, member, "replacing", ServingWithout(state, member), Majority(state.Voters())) +
        "; without a majority no member can be removed: when they are lost for good, "
        "restore a snapshot");
  }
  const size_t left = ServingWithout(state, member);
  if (left < Majority(voters)) {
    return FailedPrecondition(MissingMajority(state, member, "replacing", left, Majority(voters)));
  }
  return CheckMayAddLearner(state, *one);
}

uint64_t BestSuccessor(const ClusterState& state, uint64_t except) {
  const MemberState* best = nullptr;
  for (const MemberState& member : state.members) {
    if (member.id == except || !member.voter() || !member.serving || IsBroken(state, member)) continue;
    if (best == nullptr || member.applied_index > best->applied_index) best = &member;
  }
  return best == nullptr ? 0 : best->id;
}

bool IsBroken(const ClusterState& state, const MemberState& member) {
  return member.quarantined || state.HasAlarm(member.id, "CORRUPT");
}

std::vector<uint64_t> Broken(const ClusterState& state) {
  std::vector<uint64_t> broken;
  for (const MemberState& member : state.members) {
    if (IsBroken(state, member)) broken.push_back(member.id);
  }
  return broken;
}

}  // namespace quorate::cmd
