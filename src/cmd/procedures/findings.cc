#include "cmd/procedures/findings.h"

#include <algorithm>
#include <set>

#include "cmd/cli/human_bytes.h"
#include "cmd/session/answer.h"

namespace quorate::cmd {
namespace {

constexpr int64_t kDaySeconds = 24 * 3600;

// Collects the findings about one member, or the cluster.
class Collector {
 public:
  explicit Collector(std::vector<Finding>* out) : out_(*out) {}
  void Add(Severity severity, uint64_t member, std::string text) {
    out_.push_back({severity, member, std::move(text)});
  }

 private:
  std::vector<Finding>& out_;
};

std::string Plural(int64_t count, std::string_view noun) {
  return std::to_string(count) + " " + std::string(noun) + (count == 1 ? "" : "s");
}

void ExamineCertificate(const MemberState& member, int64_t now, const HealthLimits& limits, Collector* out) {
  if (!member.certificate_end) return;
  const int64_t left = *member.certificate_end - now;
  const std::string who = Label(member) + ": ";
  if (left <= 0) {
    out->Add(Severity::kProblem, member.id,
             who + "its certificate has expired; replace it, no restart is needed");
  } else if (left < limits.certificate_problem_seconds) {
    out->Add(Severity::kProblem, member.id,
             who + "its certificate expires in " + Plural(left / 3600, "hour") +
                 "; replace it, no restart is needed");
  } else if (left < limits.certificate_warning_seconds) {
    out->Add(Severity::kWarning, member.id,
             who + "its certificate expires in " + Plural(left / kDaySeconds, "day"));
  }
}

void ExamineDatabase(const MemberState& member, const HealthLimits& limits, Collector* out) {
  if (member.quota_bytes <= 0 || member.db_bytes <= 0) return;
  const int64_t percent = static_cast<int64_t>(static_cast<double>(member.db_bytes) * 100.0 /
                                               static_cast<double>(member.quota_bytes));
  if (percent <= limits.quota_percent_max) return;
  const auto bytes = [](int64_t count) {
    return HumanBytes(static_cast<uint64_t>(std::max<int64_t>(count, 0)));
  };
  out->Add(Severity::kWarning, member.id,
           Label(member) + ": its database has " + std::to_string(percent) + " % of its quota (" +
               bytes(member.db_bytes) + " of " + bytes(member.quota_bytes) + ", " +
               bytes(member.db_bytes_in_use) +
               " in use): compact and defragment, or raise --quota-backend-bytes");
}

void ExamineMember(const ClusterState& state, const MemberState& member, int64_t now,
                   const HealthLimits& limits, Collector* out) {
  const std::string who = Label(member) + ": ";
  if (!member.started()) {
    out->Add(
        Severity::kProblem, member.id,
        who + "was added and never started; start it, or remove it (member remove " + HexId(member.id) + ")");
    return;
  }
  if (member.quarantined) {
    out->Add(Severity::kProblem, member.id,
             who + "is quarantined, its log went back in time; 'cluster heal' replaces it");
  } else if (!member.serving) {
    out->Add(Severity::kProblem, member.id,
             who + (member.reachable ? "is not healthy: " : "is unreachable: ") + member.trouble);
  }
  ExamineCertificate(member, now, limits, out);
  if (!member.serving) return;
  ExamineDatabase(member, limits, out);
  const uint64_t last = state.LastIndex();
  if (member.applied_index + limits.lag_entries_max < last) {
    out->Add(Severity::kWarning, member.id,
             who + "is " + std::to_string(last - member.applied_index) + " entries behind");
  }
  if (member.leader == 0) {
    out->Add(Severity::kProblem, member.id, who + "knows no leader");
  } else if (state.Leader() != 0 && member.leader != state.Leader()) {
    out->Add(Severity::kProblem, member.id,
             who + "follows another leader (" + HexId(member.leader) + ") than the others");
  }
  if (member.clock_ahead && std::abs(*member.clock_ahead) >= limits.clock_seconds_max) {
    out->Add(Severity::kWarning, member.id,
             who + "its clock is " + Plural(std::abs(*member.clock_ahead), "second") +
                 (*member.clock_ahead > 0 ? " ahead of" : " behind") + " this machine's");
  }
  if (member.learner) {
    out->Add(Severity::kNote, member.id, who + "is a learner: it has no vote until it is promoted");
  }
}

void ExamineVersions(const ClusterState& state, Collector* out) {
  std::set<std::string> versions;
  for (const MemberState& member : state.members) {
    if (member.serving)
      versions.insert(member.program.empty() ? member.version : member.program + " " + member.version);
  }
  if (versions.size() < 2) return;
  std::string text;
  for (const std::string& version : versions) text += (text.empty() ? "" : ", ") + version;
  out->Add(Severity::kNote, 0, "the members run different versions: " + text);
}

void ExamineMajority(const ClusterState& state, Collector* out) {
  const size_t voters = state.Voters();
  const size_t serving = state.ServingVoters();
  const size_t needed = Majority(voters);
  const std::string counts = std::to_string(serving) + " of " + std::to_string(voters) + " voters serve";
  if (serving < needed && std::any_of(state.members.begin(), state.members.end(),
                                      [](const MemberState& m) { return m.wants_login; })) {
    out->Add(
        Severity::kProblem, 0,
        "it is not known whether the majority serves: authentication is on, and members tell it to users "
        "only (--user NAME:PASSWORD)");
  } else if (serving == 0) {
    out->Add(Severity::kProblem, 0,
             "the majority is gone: " + counts + ", " + std::to_string(needed) + " are needed");
  } else if (serving < needed) {
    // What it read was confirmed by a majority, so some of the others run, unseen from here.
    out->Add(Severity::kProblem, 0,
             "as seen from here only " + counts + ", fewer than the " + std::to_string(needed) +
                 " that the cluster must have: the others can't be reached from this machine, or it has just "
                 "lost its majority");
  } else if (voters > 1 && serving == needed && serving < voters) {
    out->Add(Severity::kWarning, 0, "not one more member may fail: " + counts);
  }
  if (voters % 2 == 0) {
    out->Add(
        Severity::kNote, 0,
        "an even number of voters (" + std::to_string(voters) + ") survives no more failures than one less");
  }
}

std::string AlarmText(const ClusterState& state, const AlarmState& alarm) {
  if (alarm.type == "NOSPACE") return "writes are refused; compact, defragment, then 'alarm disarm'";
  if (alarm.type != "CORRUPT") return "see 'alarm list'";
  if (alarm.member == 0) {
    return "the members' data differ, and it is not known which is wrong: compare 'endpoint hashkv "
           "--cluster', "
           "replace the one that differs ('cluster replace-member'), then 'alarm disarm'";
  }
  if (state.Find(alarm.member) == nullptr) {
    return "of a member that is gone; 'cluster heal' takes the alarm away";
  }
  return "its data differs from the others'; 'cluster heal' replaces it";
}

void ExamineAlarms(const ClusterState& state, Collector* out) {
  for (const AlarmState& alarm : state.alarms) {
    const MemberState* const member = state.Find(alarm.member);
    const std::string who = alarm.member == 0   ? "the cluster"
                            : member == nullptr ? HexId(alarm.member)
                                                : Label(*member);
    out->Add(Severity::kProblem, alarm.member,
             who + ": alarm " + alarm.type + ": " + AlarmText(state, alarm));
  }
  if (!state.alarms_trouble.empty()) {
    out->Add(Severity::kProblem, 0, "the alarms are not known: " + state.alarms_trouble);
  }
  if (!state.version_trouble.empty()) {
    out->Add(Severity::kNote, 0, "the cluster's version is not known: " + state.version_trouble);
  }
}

}  // namespace

std::string_view SeverityText(Severity severity) {
  switch (severity) {
    case Severity::kProblem:
      return "problem";
    case Severity::kWarning:
      return "warning";
    case Severity::kNote:
      break;
  }
  return "note";
}

std::vector<Finding> Examine(const ClusterState& state, int64_t now, const HealthLimits& limits) {
  std::vector<Finding> findings;
  Collector out(&findings);
  ExamineMajority(state, &out);
  ExamineAlarms(state, &out);
  for (const MemberState& member : state.members) ExamineMember(state, member, now, limits, &out);
  ExamineVersions(state, &out);
  std::stable_sort(findings.begin(), findings.end(), [](const Finding& a, const Finding& b) {
    return static_cast<int>(a.severity) > static_cast<int>(b.severity);
  });
  return findings;
}

bool HasProblem(const std::vector<Finding>& findings) {
  return std::any_of(findings.begin(), findings.end(),
                     [](const Finding& f) { return f.severity == Severity::kProblem; });
}

std::string_view Verdict(const ClusterState& state, const std::vector<Finding>& findings) {
  if (state.ServingVoters() == 0) return "cluster is unavailable";
  return HasProblem(findings) ? "cluster is degraded" : "cluster is healthy";
}

}  // namespace quorate::cmd
