#include "cmd/procedures/watch_report.h"

#include <algorithm>

#include "cmd/cli/human_bytes.h"
#include "cmd/cli/text_table.h"
#include "cmd/procedures/health_report.h"
#include "cmd/procedures/utc_text.h"

namespace quorate::cmd {
namespace {

int64_t Revision(const ClusterState& state) {
  int64_t revision = 0;
  for (const MemberState& member : state.members) revision = std::max(revision, member.revision);
  return revision;
}

}  // namespace

int64_t RevisionsPerSecond(const Look* before, const Look& now) {
  if (before == nullptr || now.at_nanos <= before->at_nanos) return 0;
  const int64_t more = Revision(now.state) - Revision(before->state);
  const double seconds = static_cast<double>(now.at_nanos - before->at_nanos) / 1e9;
  return std::max<int64_t>(0, static_cast<int64_t>(static_cast<double>(more) / seconds + 0.5));
}

std::string WatchScreen(const Look* before, const Look& now, const std::vector<Finding>& findings) {
  const Table table = MemberTable(now.state, now.unix_time);
  std::string out = UtcText(now.unix_time) + "  " + Headline(now.state) + "\n";
  out += "revision " + std::to_string(Revision(now.state)) + ", " +
         std::to_string(RevisionsPerSecond(before, now)) + " changes/s, raft index " +
         std::to_string(now.state.LastIndex()) + "\n";
  out += TextTable(table.header, table.rows, CellAlign::kNumbersRight);
  out += FindingLines(findings);
  return out + std::string(Verdict(now.state, findings)) + "\n";
}

std::string WatchLine(const Look* before, const Look& now, const std::vector<Finding>& findings) {
  uint64_t lag = 0;
  int64_t bytes = 0;
  for (const MemberState& member : now.state.members) {
    if (!member.serving) continue;
    lag = std::max(lag, now.state.LastIndex() - std::min(member.applied_index, now.state.LastIndex()));
    bytes = std::max(bytes, member.db_bytes);
  }
  std::string out =
      UtcText(now.unix_time) + " " + std::string(Verdict(now.state, findings)) + "; " + Headline(now.state);
  out += ", revision " + std::to_string(Revision(now.state)) + " (+" +
         std::to_string(RevisionsPerSecond(before, now)) + "/s), greatest lag " + std::to_string(lag) +
         ", db " + HumanBytes(static_cast<uint64_t>(bytes));
  for (const Finding& finding : findings) {
    if (finding.severity == Severity::kProblem) out += "; " + finding.text;
  }
  return out + "\n";
}

}  // namespace quorate::cmd
