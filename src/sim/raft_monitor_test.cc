#include "sim/raft_monitor.h"

#include <gtest/gtest.h>

#include "raft_internal.pb.h"
#include "sim/truth.h"

namespace quorate::sim {
namespace {

class Monitored : public testing::Test {
 protected:
  raft::Entry Put(uint64_t index, uint64_t term, const std::string& value) {
    etcdserverpb::InternalRaftRequest request;
    request.mutable_header()->set_id(index);
    request.mutable_put()->set_key("a");
    request.mutable_put()->set_value(value);
    return {term, index, request.SerializeAsString()};
  }
  raft::Message Append(const raft::Entry& entry) {
    raft::Message message;
    message.type = raft::MessageType::kApp;
    message.entries = {entry};
    return message;
  }
  raft::Message Vote(uint64_t from, uint64_t to, uint64_t term) {
    raft::Message message;
    message.type = raft::MessageType::kVoteResp;
    message.from = from;
    message.to = to;
    message.term = term;
    return message;
  }

  Scheduler scheduler_;
  Trace trace_{&scheduler_, true};
  RaftMonitor monitor_{&trace_};
  Truth truth_{&scheduler_, &trace_};
};

TEST_F(Monitored, TwoLeadersOfOneTerm) {
  monitor_.OnLeader(0, 1, 5);
  monitor_.OnLeader(0, 1, 5);
  monitor_.OnLeader(1, 2, 6);
  EXPECT_FALSE(trace_.failed());
  monitor_.OnLeader(1, 2, 5);
  EXPECT_EQ(trace_.failed_check(), "one-leader-a-term");
}

TEST_F(Monitored, TwoVotesInOneTerm) {
  monitor_.OnMessage(0, Vote(1, 2, 5));
  monitor_.OnMessage(0, Vote(1, 2, 5));
  monitor_.OnMessage(0, Vote(1, 3, 6));
  EXPECT_FALSE(trace_.failed());
  monitor_.OnMessage(0, Vote(1, 3, 5));
  EXPECT_EQ(trace_.failed_check(), "one-vote-a-term");
}

TEST_F(Monitored, AMemberWhoseDiskWasSetBackIsNotHeldToItsVotes) {
  monitor_.Distrust(1);
  monitor_.OnMessage(0, Vote(1, 2, 5));
  monitor_.OnMessage(0, Vote(1, 3, 5));
  EXPECT_FALSE(trace_.failed());
}

TEST_F(Monitored, TwoEntriesOfOneIndexAndTerm) {
  monitor_.OnMessage(0, Append(Put(4, 2, "x")));
  monitor_.OnMessage(1, Append(Put(4, 2, "x")));
  monitor_.OnMessage(1, Append(Put(4, 3, "y")));
  EXPECT_FALSE(trace_.failed());
  monitor_.OnMessage(1, Append(Put(4, 2, "z")));
  EXPECT_EQ(trace_.failed_check(), "log-matching");
}

TEST_F(Monitored, ATermThatFalls) {
  monitor_.OnTerm(0, 1, 5);
  monitor_.OnTerm(0, 2, 4);  // Another process: what was not synced is gone.
  EXPECT_FALSE(trace_.failed());
  monitor_.OnTerm(0, 2, 3);
  EXPECT_EQ(trace_.failed_check(), "term-never-falls");
}

TEST_F(Monitored, AnotherEntryAppliedAtOneIndex) {
  truth_.OnApplied(0, Put(1, 1, "x"), 2);
  truth_.OnApplied(1, Put(1, 1, "x"), 2);
  EXPECT_FALSE(trace_.failed());
  EXPECT_EQ(truth_.model().Get("a", 2)->value, "x");
  truth_.OnApplied(2, Put(1, 2, "y"), 2);
  EXPECT_EQ(trace_.failed_check(), "state-machine-safety");
}

TEST_F(Monitored, AnotherRevisionAfterOneIndex) {
  truth_.OnApplied(0, Put(1, 1, "x"), 2);
  truth_.OnApplied(1, Put(1, 1, "x"), -1);
  EXPECT_FALSE(trace_.failed());
  truth_.OnApplied(1, Put(1, 1, "x"), 3);
  EXPECT_EQ(trace_.failed_check(), "same-revision");
}

TEST_F(Monitored, AStoreThatDisagreesWithTheModel) {
  truth_.OnApplied(0, Put(1, 1, "x"), 1);
  EXPECT_EQ(trace_.failed_check(), "same-revision");
}

TEST_F(Monitored, AGapInTheLog) {
  truth_.OnApplied(0, Put(1, 1, "x"), 2);
  truth_.OnApplied(0, Put(3, 1, "y"), 3);
  EXPECT_EQ(trace_.failed_check(), "log-without-gaps");
}

TEST_F(Monitored, AValueThatIsWrittenTwice) {
  truth_.OnApplied(0, Put(1, 1, "x"), 2);
  truth_.OnApplied(0, Put(2, 1, "x"), 3);
  EXPECT_EQ(trace_.failed_check(), "applied-once");
}

}  // namespace
}  // namespace quorate::sim
