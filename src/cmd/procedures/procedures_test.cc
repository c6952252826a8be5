#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

#include "cmd/procedures/findings.h"
#include "cmd/procedures/health_report.h"
#include "cmd/procedures/host_command.h"
#include "cmd/procedures/made_cluster_test.h"
#include "cmd/procedures/replacement.h"
#include "cmd/procedures/rolling_plan.h"
#include "cmd/procedures/watch_report.h"

namespace quorate::cmd {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

constexpr int64_t kNow = 1'700'000'000;
constexpr int64_t kDay = 24 * 3600;

std::string Texts(const std::vector<Finding>& findings) { return FindingLines(findings); }

TEST(ClusterStateTest, FindsMembersByNameAndId) {
  ClusterState state = Cluster({Serving(1), Serving(2), Serving(0xabcdef)});
  EXPECT_EQ(state.FindByNameOrId("m2")->id, 2u);
  EXPECT_EQ(state.FindByNameOrId("abcdef")->id, 0xabcdefu);
  EXPECT_EQ(state.FindByNameOrId("2")->id, 2u);
  EXPECT_EQ(state.FindByNameOrId("nosuch"), nullptr);
  EXPECT_EQ(state.FindByNameOrId(""), nullptr);
  // Of two with one name the ID tells.
  state.members[1].name = "m1";
  EXPECT_EQ(state.FindByNameOrId("m1"), nullptr);
  EXPECT_EQ(state.Leader(), 1u);
}

TEST(ExamineTest, NothingIsWrongWithAHealthyCluster) {
  const ClusterState state = Cluster({Serving(1), Serving(2), Serving(3)});
  const auto findings = Examine(state, kNow, {});
  EXPECT_THAT(Texts(findings), IsEmpty());
  EXPECT_EQ(Verdict(state, findings), "cluster is healthy");
}

TEST(ExamineTest, SaysWhatIsWrong) {
  struct Case {
    const char* name;
    std::function<void(ClusterState*)> change;
    Severity severity;
    const char* text;
  };
  const Case cases[] = {
      {"down", [](ClusterState* s) { s->members[2] = Down(3); }, Severity::kProblem,
       "m3 (3): is unreachable: connection refused"},
      {"last", [](ClusterState* s) { s->members[2] = Down(3); }, Severity::kWarning,
       "not one more member may fail"},
      {"gone", [](ClusterState* s) { s->members[1] = Down(2), s->members[2] = Down(3); }, Severity::kProblem,
       "as seen from here only 1 of 3 voters serve"},
      {"all gone",
       [](ClusterState* s) { s->members[0] = Silent(1), s->members[1] = Down(2), s->members[2] = Down(3); },
       Severity::kProblem, "the majority is gone: 0 of 3 voters serve, 2 are needed"},
      {"quarantine", [](ClusterState* s) { s->members[2].serving = false, s->members[2].quarantined = true; },
       Severity::kProblem, "is quarantined"},
      {"unstarted", [](ClusterState* s) { s->members[2].name.clear(), s->members[2].serving = false; },
       Severity::kProblem, "never started"},
      {"space",
       [](ClusterState* s) {
         s->alarms = {{2, "NOSPACE"}};
       },
       Severity::kProblem, "m2 (2): alarm NOSPACE"},
      {"corrupt",
       [](ClusterState* s) {
         s->alarms = {{9, "CORRUPT"}};
       },
       Severity::kProblem, "9: alarm CORRUPT: of a member that is gone"},
      {"somewhere corrupt",
       [](ClusterState* s) {
         s->alarms = {{0, "CORRUPT"}};
       },
       Severity::kProblem, "the cluster: alarm CORRUPT: the members' data differ"},
      {"login",
       [](ClusterState* s) {
         for (MemberState& member : s->members) member.serving = false, member.wants_login = true;
       },
       Severity::kProblem, "it is not known whether the majority serves"},
      {"alarms", [](ClusterState* s) { s->alarms_trouble = "permission denied"; }, Severity::kProblem,
       "the alarms are not known: permission denied"},
      {"version", [](ClusterState* s) { s->version_trouble = "context deadline exceeded"; }, Severity::kNote,
       "the cluster's version is not known: context deadline exceeded"},
      {"leaderless", [](ClusterState* s) { s->members[1].leader = 0; }, Severity::kProblem,
       "knows no leader"},
      {"split", [](ClusterState* s) { s->members[1].leader = 2; }, Severity::kProblem,
       "follows another leader (2)"},
      {"expired", [](ClusterState* s) { s->members[0].certificate_end = kNow - 1; }, Severity::kProblem,
       "has expired"},
      {"ends", [](ClusterState* s) { s->members[0].certificate_end = kNow + kDay; }, Severity::kProblem,
       "expires in 24 hours"},
      {"soon", [](ClusterState* s) { s->members[0].certificate_end = kNow + 20 * kDay; }, Severity::kWarning,
       "expires in 20 days"},
      {"lag",
       [](ClusterState* s) {
         s->members[0].last_index = 10'000;
         s->members[1].applied_index = 9'000;
         s->members[2].applied_index = 9'999;
       },
       Severity::kWarning, "m1 (1): is 9900 entries behind"},
      {"full", [](ClusterState* s) { s->members[0].db_bytes = 90, s->members[0].quota_bytes = 100; },
       Severity::kWarning, "90 % of its quota"},
      {"ahead", [](ClusterState* s) { s->members[1].clock_ahead = 5; }, Severity::kWarning,
       "5 seconds ahead"},
      {"behind", [](ClusterState* s) { s->members[1].clock_ahead = -1; }, Severity::kWarning,
       "1 second behind"},
      {"learner", [](ClusterState* s) { s->members[2].learner = true; }, Severity::kNote, "is a learner"},
      {"even", [](ClusterState* s) { s->members[2].learner = true; }, Severity::kNote,
       "an even number of voters (2)"},
      {"mixed", [](ClusterState* s) { s->members[2].version = "3.4.23"; }, Severity::kNote, "3.4.23, 3.4.45"},
  };
  for (const Case& c : cases) {
    ClusterState state = Cluster({Serving(1), Serving(2), Serving(3)});
    c.change(&state);
    const auto findings = Examine(state, kNow, {});
    EXPECT_THAT(Texts(findings), HasSubstr(c.text)) << c.name;
    bool found = false;
    for (const Finding& finding : findings)
      found |= finding.severity == c.severity && finding.text.find(c.text) != std::string::npos;
    EXPECT_TRUE(found) << c.name << "\n" << Texts(findings);
    EXPECT_EQ(HasProblem(findings), Verdict(state, findings) != "cluster is healthy") << c.name;
  }
}

TEST(ExamineTest, AlarmsDoNotMakeMembersDown) {
  ClusterState state = Cluster({Serving(1), Serving(2), Serving(3)});
  state.alarms = {{1, "NOSPACE"}, {2, "CORRUPT"}};
  const auto findings = Examine(state, kNow, {});
  EXPECT_EQ(Verdict(state, findings), "cluster is degraded");
  EXPECT_THAT(Headline(state), HasSubstr("3 of 3 voters serve"));
  EXPECT_THAT(Texts(findings), Not(HasSubstr("majority")));
  // Without anybody that serves it is.
  state = Cluster({Silent(1), Down(2), Down(3)});
  EXPECT_EQ(Verdict(state, Examine(state, kNow, {})), "cluster is unavailable");
}

TEST(ExamineTest, LimitsAreTheCallers) {
  ClusterState state = Cluster({Serving(1)});
  state.members[0].certificate_end = kNow + 20 * kDay;
  HealthLimits limits;
  limits.certificate_warning_seconds = 10 * kDay;
  EXPECT_THAT(Examine(state, kNow, limits), IsEmpty());
}

TEST(RestartOrderTest, TheLeaderIsLast) {
  ClusterState state = Cluster({Serving(1), Serving(2), Down(3), Serving(4)});
  state.members[3].learner = true;
  EXPECT_THAT(RestartOrder(state, {}), ElementsAre(3, 4, 2, 1));
  EXPECT_THAT(RestartOrder(state, {3, 1}), ElementsAre(4, 2));
  state.members[1].name.clear();
  EXPECT_THAT(RestartOrder(state, {}), ElementsAre(3, 4, 1));
  // What does not run comes before what does not answer.
  EXPECT_THAT(RestartOrder(Cluster({Serving(1), Silent(2), Down(3)}), {}), ElementsAre(3, 2, 1));
}

TEST(RestartProofTest, BelievesWhatIsSeen) {
  MemberState before = Serving(2);
  before.started_at = 1000.25;
  MemberState after = before;
  std::string why;
  const RestartProof proof(before, false);
  EXPECT_FALSE(proof.Given(after, &why));
  EXPECT_THAT(why, HasSubstr("has not restarted it"));
  // The clock was set a little.
  after.started_at = 1001.25;
  EXPECT_FALSE(proof.Given(after, &why));
  for (const double start : {1000.27, 1000.75, 1001.5, 1002.25, 1012.5}) {
    after.started_at = start;
    EXPECT_TRUE(proof.Given(after, &why)) << start;
  }
  after.started_at.reset();
  EXPECT_FALSE(proof.Given(after, &why));
  EXPECT_THAT(why, HasSubstr("--assume-restarted"));
}

TEST(RestartProofTest, WithoutMetrics) {
  std::string why;
  RestartProof proof(Serving(2), false);
  proof.Look(Cluster({Serving(1), Serving(2)}));
  proof.Look(Cluster({Serving(1), Silent(2)}));
  EXPECT_FALSE(proof.Given(Serving(2), &why));
  proof.Look(Cluster({Down(1), Serving(2)}));
  EXPECT_FALSE(proof.Given(Serving(2), &why));
  proof.Look(Cluster({Serving(1), Down(2)}));
  EXPECT_TRUE(proof.Given(Serving(2), &why));
  EXPECT_TRUE(RestartProof(Serving(2), true).Given(Serving(2), &why));
  EXPECT_TRUE(RestartProof(Down(2), false).Given(Serving(2), &why));
}

TEST(CaughtUpTest, WaitsForWhatTheClusterHadComeTo) {
  ClusterState state = Cluster({Serving(1), Serving(2), Down(3)});
  std::string why;
  EXPECT_TRUE(CaughtUp(state, 2, 100, &why));
  EXPECT_FALSE(CaughtUp(state, 2, 101, &why));
  EXPECT_EQ(why, "it is catching up");
  EXPECT_FALSE(CaughtUp(state, 3, 0, &why));
  EXPECT_EQ(why, "connection refused");
  EXPECT_FALSE(CaughtUp(state, 9, 0, &why));
}

TEST(HostCommandTest, IsToldWhichMemberItIs) {
  const Variables variables = MemberVariables(Serving(0x1f));
  EXPECT_EQ(variables.at("QUORATE_MEMBER_ID"), "1f");
  EXPECT_EQ(variables.at("QUORATE_MEMBER_HOST"), "10.0.0.31");
  EXPECT_TRUE(RunHostCommand("test \"$QUORATE_MEMBER_NAME\" = m31 && test -n \"$PATH\"", variables).ok());
  EXPECT_EQ(Message(RunHostCommand("exit 3", {})), "the command of --exec ended: exit status 3");
  EXPECT_EQ(Message(RunHostCommand("kill -9 $$", {})), "the command of --exec ended: signal: killed");
  int looked = 0;
  EXPECT_TRUE(RunHostCommand("sleep 0.3", {}, [&] { ++looked; }).ok());
  EXPECT_GT(looked, 0);
  EXPECT_EQ(HostOf("https://[::1]:2380"), "::1");
  EXPECT_EQ(HostOf("https://host.example:2380/x"), "host.example");
}

TEST(InitialClusterForTest, NamesTheNewMember) {
  ClusterState state = Cluster({Serving(1), Serving(2), Serving(3)});
  state.members[2].name.clear();
  EXPECT_EQ(InitialClusterFor(state, 3, "etcd_3"),
            "m1=http://10.0.0.1:2380,m2=http://10.0.0.2:2380,etcd_3=http://10.0.0.3:2380");
}

TEST(ReportTest, SaysItAll) {
  ClusterState state = Cluster({Serving(1), Serving(2), Down(3)});
  state.members[0].certificate_end = kNow + 100 * kDay;
  state.members[0].clock_ahead = 0;
  state.members[1].trouble = "\xff";
  const auto findings = Examine(state, kNow, {});
  EXPECT_EQ(Headline(state), "cluster abc, version 3.4, 2 of 3 voters serve, leader m1 (1)");
  const Table table = MemberTable(state, kNow);
  EXPECT_THAT(table.rows[0], ElementsAre("1", "m1", "healthy", "leader", "3.4.45", "100", "0", "0",
                                         "0 B / 0 B", "100d", "same"));
  EXPECT_THAT(table.rows[2], ElementsAre("3", "m3", "unreachable", "follower", "", "", "", "", "", "", ""));
  const std::string lines = HealthLines(state, findings);
  EXPECT_THAT(lines, HasSubstr("member 1 is healthy: got healthy result from http://10.0.0.1:2379\n"));
  EXPECT_THAT(
      lines,
      HasSubstr("failed to check the health of member 3 on http://10.0.0.3:2379: connection refused\n"));
  EXPECT_THAT(lines, HasSubstr("\ncluster is degraded\n"));
  const std::string json = HealthJson(state, findings);
  EXPECT_THAT(json, HasSubstr("\"healthy\":false"));
  EXPECT_THAT(json, HasSubstr("\"certificateEnd\":1708640000"));
}

TEST(WatchReportTest, CountsChangesBetweenTwoLooks) {
  Look before{Cluster({Serving(1)}), 1'000'000'000, kNow};
  Look now = before;
  now.at_nanos += 2'000'000'000;
  before.state.members[0].revision = 10;
  now.state.members[0].revision = 110;
  EXPECT_EQ(RevisionsPerSecond(&before, now), 50);
  EXPECT_EQ(RevisionsPerSecond(nullptr, now), 0);
  EXPECT_EQ(RevisionsPerSecond(&now, now), 0);
  const std::string line = WatchLine(&before, now, {});
  EXPECT_THAT(line, HasSubstr("2023-11-14T22:13:20Z cluster is healthy; cluster abc"));
  EXPECT_THAT(line, HasSubstr("revision 110 (+50/s)"));
  EXPECT_THAT(WatchScreen(&before, now, {}), HasSubstr("|  1 | m1   |"));
  EXPECT_THAT(line.substr(0, line.size() - 1), Not(HasSubstr("\n")));
}

}  // namespace
}  // namespace quorate::cmd
