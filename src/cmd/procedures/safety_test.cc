#include "cmd/procedures/safety.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "cmd/procedures/made_cluster_test.h"

namespace quorate::cmd {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

std::string Refusal(const Status& status) { return std::string(Message(status)); }

TEST(CheckMayStopTest, KeepsTheMajority) {
  ClusterState three = Cluster({Serving(1), Serving(2), Serving(3)});
  EXPECT_TRUE(CheckMayStop(three, 1).ok());
  three.members[2] = Down(3);
  EXPECT_EQ(Refusal(CheckMayStop(three, 1)),
            "stopping m1 (1) would cost the cluster its majority: 1 of the other voters serve, 2 are needed; "
            "not serving: m3 (3): bring back what is down first");
  // The others are a majority without it.
  EXPECT_TRUE(CheckMayStop(three, 3).ok());
  EXPECT_THAT(Refusal(CheckMayStop(Cluster({Serving(1)}), 1)), HasSubstr("it is the only voter"));
  EXPECT_FALSE(CheckMayStop(Cluster({Serving(1), Serving(2)}), 2).ok());
  ClusterState learner = Cluster({Serving(1), Serving(2)});
  learner.members[1].learner = true;
  EXPECT_TRUE(CheckMayStop(learner, 2).ok());
  EXPECT_FALSE(CheckMayStop(learner, 1).ok());
}

TEST(CheckMayStopTest, WhatOnlySeemsDownMayVote) {
  // Somebody serves, so there is a majority, and one of the two that are not seen is in it.
  EXPECT_FALSE(CheckMayStop(Cluster({Serving(1), Down(2), Down(3)}), 2).ok());
  // Nobody does: one that refuses connections takes nothing with it; one that hangs may be a vote.
  ClusterState state = Cluster({Silent(1), Silent(2), Down(3)});
  EXPECT_TRUE(CheckMayStop(state, 3).ok());
  EXPECT_THAT(Refusal(CheckMayStop(state, 1)), HasSubstr("m1 (1) itself does not serve, but may take part"));
  EXPECT_THAT(Refusal(CheckMayStop(state, 1)), HasSubstr("context deadline exceeded"));
  // It answers, and knows no leader: with one that comes back it is a majority.
  state.members[1].reachable = true;
  state.members[1].trouble = "it knows no leader";
  EXPECT_FALSE(CheckMayStop(state, 2).ok());
  // A quarantined one takes part in nothing.
  state.members[1].quarantined = true;
  EXPECT_TRUE(CheckMayStop(state, 2).ok());
}

TEST(CheckMayRestartTest, AQuarantinedOneWouldNotComeBack) {
  ClusterState state = Cluster({Serving(1), Serving(2), Serving(3)});
  EXPECT_TRUE(CheckMayRestart(state, 3).ok());
  state.members[2].serving = false;
  state.members[2].quarantined = true;
  EXPECT_TRUE(CheckMayStop(state, 3).ok());
  EXPECT_THAT(Refusal(CheckMayRestart(state, 3)), HasSubstr("'cluster heal'"));
  EXPECT_FALSE(CheckMayRestart(state, 1).ok());
}

TEST(CheckMayStopTest, AlarmsChangeNothing) {
  ClusterState state = Cluster({Serving(1), Serving(2), Down(3)});
  state.alarms = {{1, "NOSPACE"}, {2, "CORRUPT"}};
  EXPECT_FALSE(CheckMayStop(state, 1).ok());
  EXPECT_FALSE(CheckMayStop(state, 2).ok());
  state.members[2] = Serving(3);
  EXPECT_TRUE(CheckMayStop(state, 2).ok());
}

TEST(CheckMayReplaceTest, KeepsTheMajority) {
  EXPECT_TRUE(CheckMayReplace(Cluster({Serving(1), Serving(2), Down(3)}), 3).ok());
  EXPECT_TRUE(CheckMayReplace(Cluster({Serving(1), Serving(2), Serving(3)}), 1).ok());
  EXPECT_THAT(Refusal(CheckMayReplace(Cluster({Serving(1), Serving(2), Down(3)}), 1)),
              HasSubstr("1 of the other voters serve, 2 are needed; not serving: m3 (3)"));
  // Of two: both must agree to the removal, the other one alone is a cluster.
  EXPECT_TRUE(CheckMayReplace(Cluster({Serving(1), Serving(2)}), 2).ok());
  EXPECT_THAT(Refusal(CheckMayReplace(Cluster({Serving(1), Down(2)}), 2)), HasSubstr("restore a snapshot"));
  // Of four with one down, another: three agree, two of three go on.
  EXPECT_TRUE(CheckMayReplace(Cluster({Serving(1), Serving(2), Serving(3), Down(4)}), 3).ok());
  EXPECT_FALSE(CheckMayReplace(Cluster({Serving(1), Serving(2), Down(3), Down(4)}), 3).ok());
  EXPECT_THAT(Refusal(CheckMayReplace(Cluster({Serving(1)}), 1)), HasSubstr("the only voter"));
  EXPECT_TRUE(absl::IsNotFound(CheckMayReplace(Cluster({Serving(1), Serving(2)}), 9)));
}

TEST(CheckMayReplaceTest, CorruptOnesVote) {
  ClusterState state = Cluster({Serving(1), Serving(2), Serving(3)});
  state.alarms = {{3, "CORRUPT"}};
  EXPECT_TRUE(CheckMayReplace(state, 3).ok());
}

TEST(CheckMayReplaceTest, OnlyWhatCanBeAddedAgain) {
  ClusterState state = Cluster({Serving(1), Serving(2), Serving(3), Serving(4)});
  state.members[3].learner = true;
  EXPECT_THAT(Refusal(CheckMayReplace(state, 3)),
              HasSubstr("m4 (4) is a learner already, and most clusters take no second one"));
  EXPECT_THAT(Refusal(CheckMayReplace(state, 3)), HasSubstr("member remove 4"));
  state = Cluster({Serving(1), Serving(2), Serving(3)});
  state.members[0].version = "3.3.27";
  EXPECT_THAT(Refusal(CheckMayReplace(state, 3)), HasSubstr("knows no learners"));
  for (const char* version : {"3.4.23", "3.10.0", "4.0.0", "", "x"}) {
    state.members[0].version = version;
    EXPECT_TRUE(CheckMayReplace(state, 3).ok()) << version;
  }
}

TEST(BrokenTest, QuarantinedAndCorrupt) {
  ClusterState state = Cluster({Serving(1), Serving(2), Serving(3)});
  EXPECT_THAT(Broken(state), IsEmpty());
  state.members[1].quarantined = true;
  state.alarms = {{3, "CORRUPT"}, {1, "NOSPACE"}};
  EXPECT_THAT(Broken(state), ElementsAre(2, 3));
}

TEST(BestSuccessorTest, FurthestAndSound) {
  EXPECT_EQ(BestSuccessor(Cluster({Serving(1)}), 1), 0u);
  ClusterState state = Cluster({Serving(1), Serving(2), Serving(3), Down(4)});
  state.members[2].applied_index = 200;
  EXPECT_EQ(BestSuccessor(state, 1), 3u);
  state.alarms = {{3, "CORRUPT"}};
  EXPECT_EQ(BestSuccessor(state, 1), 2u);
}

}  // namespace
}  // namespace quorate::cmd
