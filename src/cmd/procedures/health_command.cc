#include <ctime>
#include <memory>

#include "cmd/cli/text_table.h"
#include "cmd/procedures/cluster_access.h"
#include "cmd/procedures/commands.h"
#include "cmd/procedures/health_report.h"

namespace quorate::cmd {
namespace {

constexpr int64_t kDaySeconds = 24 * 3600;

struct HealthFlags {
  int64_t certificate_days = 30;
  uint64_t lag_max = HealthLimits().lag_entries_max;
};

int ShowHealth(CtlSession* session, const HealthFlags& flags) {
  ClusterAccess access(session);
  if (const auto code = access.Open(true)) return *code;
  const auto state = access.Read();
  if (!state.ok()) {
    Say("cluster may be unhealthy: failed to list members");
    return session->Fail(state.status());
  }
  HealthLimits limits;
  limits.certificate_warning_seconds = flags.certificate_days * kDaySeconds;
  limits.lag_entries_max = flags.lag_max;
  const int64_t now = std::time(nullptr);
  const std::vector<Finding> findings = Examine(*state, now, limits);
  const int shown =
      session->Show({.simple =
                         [&] {
                           const Table table = MemberTable(*state, now);
                           return Headline(*state) + "\n" +
                                  TextTable(table.header, table.rows, CellAlign::kNumbersRight) +
                                  FindingLines(findings) + HealthLines(*state, findings);
                         },
                     .table = [&] { return MemberTable(*state, now); },
                     .json = [&] { return HealthJson(*state, findings); }});
  if (shown != 0) return shown;
  return HasProblem(findings) ? static_cast<int>(ExitCode::kError) : 0;
}

}  // namespace

void AddHealthCommand(CommandTree* tree, CLI::App* cluster, CtlSession* session) {
  auto flags = std::make_shared<HealthFlags>();
  CLI::App* const health = tree->Add(
      cluster, "health", "Shows how the cluster and each member are; ends with 1 when something is wrong", "",
      [session, flags](const Arguments&) { return ShowHealth(session, *flags); });
  health
      ->add_option("--certificate-days", flags->certificate_days,
                   "warn of certificates that end within so many days")
      ->default_str("30");
  health->add_option("--max-lag", flags->lag_max, "warn of members so many log entries behind")
      ->default_str("5000");
}

}  // namespace quorate::cmd
