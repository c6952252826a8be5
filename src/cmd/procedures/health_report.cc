#include "cmd/procedures/health_report.h"

#include <cstdlib>
#include <nlohmann/json.hpp>

#include "cmd/cli/human_bytes.h"
#include "cmd/session/answer.h"

namespace quorate::cmd {
namespace {

using Json = nlohmann::ordered_json;

std::string Bytes(int64_t count) { return HumanBytes(static_cast<uint64_t>(std::max<int64_t>(count, 0))); }

std::string DatabaseText(const MemberState& member) {
  std::string text = Bytes(member.db_bytes) + " / " + Bytes(member.db_bytes_in_use);
  if (member.quota_bytes > 0) text += " of " + Bytes(member.quota_bytes);
  return text;
}

std::string CertificateText(const MemberState& member, int64_t now) {
  if (!member.certificate_end) return "";
  const int64_t days = (*member.certificate_end - now) / (24 * 3600);
  return *member.certificate_end <= now ? "expired" : std::to_string(days) + "d";
}

std::string ClockText(const MemberState& member) {
  if (!member.clock_ahead) return "";
  const int64_t seconds = *member.clock_ahead;
  return seconds == 0 ? "same" : (seconds > 0 ? "+" : "-") + std::to_string(std::abs(seconds)) + "s";
}

std::string HealthText(const ClusterState& state, const MemberState& member) {
  if (!member.started()) return "not started";
  if (member.quarantined) return "quarantined";
  if (!member.serving) return member.reachable ? "unhealthy" : "unreachable";
  for (const AlarmState& alarm : state.alarms) {
    if (alarm.member == member.id) return "alarm " + alarm.type;
  }
  return "healthy";
}

std::string RoleText(const ClusterState& state, const MemberState& member) {
  if (member.learner) return "learner";
  return member.id == state.Leader() ? "leader" : "follower";
}

Json MemberJson(const ClusterState& state, const MemberState& member) {
  Json json = {{"id", HexId(member.id)},
               {"name", member.name},
               {"peerURLs", member.peer_urls},
               {"clientURLs", member.client_urls},
               {"health", HealthText(state, member)},
               {"role", RoleText(state, member)}};
  if (!member.trouble.empty()) json["trouble"] = member.trouble;
  if (member.serving) {
    json["version"] = member.version;
    json["raftTerm"] = member.term;
    json["raftIndex"] = member.last_index;
    json["raftAppliedIndex"] = member.applied_index;
    json["lag"] = state.LastIndex() - std::min(member.applied_index, state.LastIndex());
    json["revision"] = member.revision;
    json["dbSize"] = member.db_bytes;
    json["dbSizeInUse"] = member.db_bytes_in_use;
    if (member.quota_bytes > 0) json["dbSizeQuota"] = member.quota_bytes;
  }
  if (!member.program.empty()) json["program"] = member.program;
  if (member.started_at) json["startedAt"] = *member.started_at;
  if (member.certificate_end) json["certificateEnd"] = *member.certificate_end;
  if (member.clock_ahead) json["clockAheadSeconds"] = *member.clock_ahead;
  return json;
}

}  // namespace

std::string Headline(const ClusterState& state) {
  std::string out = "cluster " + HexId(state.id);
  if (!state.version.empty()) out += ", version " + state.version;
  out += ", " + std::to_string(state.ServingVoters()) + " of " + std::to_string(state.Voters()) +
         " voters serve";
  const MemberState* const leader = state.Find(state.Leader());
  return out + (leader == nullptr ? ", no leader" : ", leader " + Label(*leader));
}

Table MemberTable(const ClusterState& state, int64_t now) {
  Table table{{"ID", "NAME", "HEALTH", "ROLE", "VERSION", "RAFT INDEX", "LAG", "REVISION", "DB SIZE / IN USE",
               "CERTIFICATE", "CLOCK"},
              {}};
  for (const MemberState& member : state.members) {
    std::vector<std::string> row = {HexId(member.id), member.name, HealthText(state, member),
                                    RoleText(state, member)};
    if (member.serving) {
      const uint64_t last = state.LastIndex();
      row.insert(row.end(), {member.version, std::to_string(member.last_index),
                             std::to_string(last - std::min(member.applied_index, last)),
                             std::to_string(member.revision), DatabaseText(member)});
    } else {
      row.resize(row.size() + 5);
    }
    row.push_back(CertificateText(member, now));
    row.push_back(ClockText(member));
    table.rows.push_back(std::move(row));
  }
  return table;
}

std::string HealthLines(const ClusterState& state, const std::vector<Finding>& findings) {
  std::string out;
  for (const MemberState& member : state.members) {
    const std::string who = "member " + HexId(member.id);
    const std::string first = member.client_urls.empty() ? "" : member.client_urls.front();
    const std::string url = member.url.empty() ? first : member.url;
    if (member.serving) {
      out += who + " is healthy: got healthy result from " + url + "\n";
    } else if (member.client_urls.empty()) {
      out += who + " is unreachable: no available published client urls\n";
    } else if (member.reachable) {
      out += who + " is unhealthy: got unhealthy result from " + url + ": " + member.trouble + "\n";
    } else {
      out += "failed to check the health of " + who + " on " + url + ": " + member.trouble + "\n";
    }
  }
  return out + std::string(Verdict(state, findings)) + "\n";
}

std::string FindingLines(const std::vector<Finding>& findings) {
  std::string out;
  for (const Finding& finding : findings) {
    out.append(SeverityText(finding.severity)).append(": ").append(finding.text).append("\n");
  }
  return out;
}

std::string HealthJson(const ClusterState& state, const std::vector<Finding>& findings) {
  Json json = {{"clusterId", HexId(state.id)},
               {"healthy", !HasProblem(findings)},
               {"verdict", std::string(Verdict(state, findings))},
               {"clusterVersion", state.version},
               {"leader", state.Leader() == 0 ? "" : HexId(state.Leader())},
               {"members", Json::array()},
               {"alarms", Json::array()},
               {"findings", Json::array()}};
  for (const MemberState& member : state.members) json["members"].push_back(MemberJson(state, member));
  for (const AlarmState& alarm : state.alarms) {
    json["alarms"].push_back({{"member", HexId(alarm.member)}, {"alarm", alarm.type}});
  }
  for (const Finding& finding : findings) {
    json["findings"].push_back({{"severity", std::string(SeverityText(finding.severity))},
                                {"member", finding.member == 0 ? "" : HexId(finding.member)},
                                {"text", finding.text}});
  }
  // What a server says may hold bytes that are no UTF-8.
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace quorate::cmd
