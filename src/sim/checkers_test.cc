// Each checker sees a violation that was planted, and none where there is none.
#include "sim/checkers.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "sim/scheduler.h"

namespace quorate::sim {
namespace {

using testing::HasSubstr;

// A history made by hand on a model that the same requests have gone through. Revision R came to be at R
// milliseconds.
class Planted : public testing::Test {
 protected:
  Request PutRequest(const std::string& key, const std::string& value, int64_t lease = 0) {
    Request request;
    request.kind = OpKind::kPut;
    request.key = key;
    request.value = value;
    request.lease = lease;
    return request;
  }
  Request DeleteRequest(const std::string& key) {
    Request request;
    request.kind = OpKind::kDelete;
    request.key = key;
    return request;
  }
  Request ReadRequest(bool serializable = false) {
    Request request;
    request.key = request.end = std::string(1, '\0');
    request.serializable = serializable;
    return request;
  }
  static int64_t At(int64_t milliseconds) { return milliseconds * kMillisecond; }

  // An operation that was answered as it should be.
  Operation& Add(const Request& request, int64_t asked, int64_t answered, Response response) {
    Operation& operation = history_.operations[history_.operations.size() + 1];
    operation.id = history_.operations.size();
    operation.request = request;
    operation.asked = At(asked);
    operation.answered = At(answered);
    operation.response = std::move(response);
    return operation;
  }
  // A write, carried out now, asked for a little before its revision and answered a little after.
  Operation& Write(const Request& request) {
    const Response response = model_.Apply(request);
    return Add(request, model_.revision() - 1, model_.revision() + 1, response);
  }
  Operation& Read(int64_t revision, int64_t asked, int64_t answered, bool serializable = false) {
    const Request request = ReadRequest(serializable);
    return Add(request, asked, answered, model_.Execute(request, revision).response);
  }

  FirstSeen first_seen() {
    return [this](int64_t revision) {
      return revision > model_.revision() ? std::numeric_limits<int64_t>::max() : At(revision);
    };
  }
  std::string Linearizable() { return CheckLinearizable(history_, model_, first_seen()).value_or(""); }
  std::string Serializable() { return CheckSerializable(history_, model_, first_seen()).value_or(""); }
  std::string Watches(int64_t complete_to = 0) {
    return CheckWatches(history_, model_, complete_to).value_or("");
  }

  WatchRecord& Watch(int64_t start) {
    WatchRecord& watch = history_.watches[history_.watches.size() + 1];
    watch.id = history_.watches.size();
    watch.key = watch.end = std::string(1, '\0');
    watch.start = start;
    WatchAnswer created;
    created.kind = WatchAnswer::Kind::kCreated;
    created.header_revision = 1;
    watch.answers.push_back(created);
    return watch;
  }
  WatchAnswer EventsOf(int64_t from, int64_t to) {
    WatchAnswer answer;
    answer.header_revision = to;
    for (int64_t revision = from; revision <= to; ++revision) {
      for (Event event : model_.EventsAt(revision)) {
        event.previous = std::nullopt;
        answer.events.push_back(event);
      }
    }
    return answer;
  }

  KvModel model_;
  History history_;
};

TEST_F(Planted, AGoodHistoryPasses) {
  Write(PutRequest("a", "1"));
  Write(PutRequest("b", "2"));
  Write(DeleteRequest("a"));
  Read(4, 10, 11);
  Read(3, 2, 11);  // Asked before the last write was answered.
  Read(2, 10, 11, true);
  Watch(1).answers.push_back(EventsOf(2, 4));
  EXPECT_EQ(Linearizable(), "");
  EXPECT_EQ(Serializable(), "");
  EXPECT_EQ(Watches(4), "");
}

TEST_F(Planted, AStaleReadIsSeen) {
  Write(PutRequest("a", "1"));
  Write(PutRequest("a", "2"));
  Read(2, 10, 11);
  EXPECT_THAT(Linearizable(), HasSubstr("time went back"));
}

TEST_F(Planted, AReadOfTheWrongValueIsSeen) {
  Write(PutRequest("a", "1"));
  Read(2, 10, 11).response.pairs[0].value = "0";
  EXPECT_THAT(Linearizable(), HasSubstr("the answer is not the state"));
}

TEST_F(Planted, AReadWithoutAKeyIsSeen) {
  Write(PutRequest("a", "1"));
  Read(2, 10, 11).response.pairs.clear();
  EXPECT_THAT(Linearizable(), HasSubstr("the answer is not the state"));
}

TEST_F(Planted, ALostWriteIsSeen) {
  Write(PutRequest("a", "1"));
  Response acknowledged;
  acknowledged.revision = 3;
  Add(PutRequest("a", "lost"), 5, 6, acknowledged);
  EXPECT_THAT(Linearizable(), HasSubstr("never existed"));
  model_.Apply(PutRequest("a", "another"));
  EXPECT_THAT(Linearizable(), HasSubstr("not what"));
}

TEST_F(Planted, TwoWritesOfOneRevisionAreSeen) {
  Write(PutRequest("a", "1"));
  Add(PutRequest("a", "1"), 1, 4, history_.operations[1].response);
  EXPECT_THAT(Linearizable(), HasSubstr("two writes claim one revision"));
}

TEST_F(Planted, AWriteThatCameBeforeItsRequestIsSeen) {
  Operation& write = Write(PutRequest("a", "1"));
  write.asked = At(3);
  write.answered = At(4);
  EXPECT_THAT(Linearizable(), HasSubstr("before it was asked for"));
}

TEST_F(Planted, WritesAgainstTheOrderOfTimeAreSeen) {
  Write(PutRequest("a", "1"));
  Write(PutRequest("b", "1"));
  history_.operations[1].asked = At(2);
  history_.operations[1].answered = At(9);
  history_.operations[2].answered = At(1);  // Before the other was asked for, and before it existed.
  EXPECT_THAT(Linearizable(), HasSubstr("before its revision existed"));
  const auto always = [](int64_t) { return std::numeric_limits<int64_t>::min(); };
  EXPECT_THAT(CheckLinearizable(history_, model_, always).value_or(""),
              HasSubstr("its revision existed before"));
}

TEST_F(Planted, AWrongTransactionIsSeen) {
  Write(PutRequest("a", "1"));
  Request txn;
  txn.kind = OpKind::kTxn;
  txn.compares.push_back({Compare::Target::kVersion, Compare::Result::kEqual, "a", 1, {}});
  txn.then.push_back({OpKind::kPut, "b", {}, "2", 0, 0});
  txn.otherwise.push_back({OpKind::kRange, "a", {}, {}, 0, 0});
  Operation& operation = Write(txn);
  EXPECT_EQ(Linearizable(), "");
  operation.response.succeeded = false;
  EXPECT_THAT(Linearizable(), HasSubstr("the compares came out wrong"));
}

TEST_F(Planted, ADeletionThatCountsWrongIsSeen) {
  Write(PutRequest("a", "1"));
  Operation& operation = Write(DeleteRequest("a"));
  EXPECT_EQ(Linearizable(), "");
  operation.response.deleted = 2;
  EXPECT_THAT(Linearizable(), HasSubstr("deleted 2 instead of 1"));
}

TEST_F(Planted, ASerializableReadOfTheFutureIsSeen) {
  Write(PutRequest("a", "1"));
  Write(PutRequest("a", "2"));
  Read(3, 1, 2, true);
  EXPECT_THAT(Serializable(), HasSubstr("before its revision existed"));
}

TEST_F(Planted, AProcessThatGoesBackIsSeen) {
  Write(PutRequest("a", "1"));
  Write(PutRequest("a", "2"));
  Read(3, 10, 11, true);
  Operation& later = Read(2, 12, 13, true);
  EXPECT_THAT(Serializable(), HasSubstr("a process went back"));
  later.life = 2;  // After a restart it may.
  EXPECT_EQ(Serializable(), "");
}

TEST_F(Planted, AMissedEventIsSeen) {
  for (int i = 0; i < 4; ++i) Write(PutRequest("a", std::to_string(i)));
  WatchRecord& watch = Watch(1);
  watch.answers.push_back(EventsOf(2, 3));
  watch.answers.push_back(EventsOf(5, 5));
  EXPECT_THAT(Watches(), HasSubstr("missed"));
}

TEST_F(Planted, AnEventThatNeverCameIsSeenAtTheEnd) {
  Write(PutRequest("a", "1"));
  Watch(1);
  EXPECT_EQ(Watches(), "");
  EXPECT_THAT(Watches(2), HasSubstr("missed"));
}

TEST_F(Planted, ADoubleEventIsSeen) {
  for (int i = 0; i < 2; ++i) Write(PutRequest("a", std::to_string(i)));
  WatchRecord& watch = Watch(1);
  watch.answers.push_back(EventsOf(2, 3));
  watch.answers.push_back(EventsOf(3, 3));
  EXPECT_THAT(Watches(), HasSubstr("late, double or divided"));
}

TEST_F(Planted, ADividedTransactionIsSeen) {
  Request txn;
  txn.kind = OpKind::kTxn;
  txn.then = {{OpKind::kPut, "a", {}, "1", 0, 0}, {OpKind::kPut, "b", {}, "2", 0, 0}};
  Write(txn);
  WatchRecord& watch = Watch(1);
  watch.answers.push_back(EventsOf(2, 2));
  EXPECT_EQ(Watches(2), "");
  watch.answers.back().events.pop_back();
  EXPECT_THAT(Watches(), HasSubstr("not whole"));
}

TEST_F(Planted, AWrongPreviousValueIsSeen) {
  Write(PutRequest("a", "1"));
  Write(PutRequest("a", "2"));
  WatchRecord& watch = Watch(1);
  watch.previous = true;
  WatchAnswer answer = EventsOf(2, 3);
  answer.events[1].previous = model_.Get("a", 2);
  watch.answers.push_back(answer);
  EXPECT_EQ(Watches(3), "");
  watch.answers.back().events[1].previous->value = "0";
  EXPECT_THAT(Watches(), HasSubstr("should be"));
}

TEST_F(Planted, ProgressThatIsAheadIsSeen) {
  for (int i = 0; i < 3; ++i) Write(PutRequest("a", std::to_string(i)));
  WatchRecord& watch = Watch(1);
  watch.answers.push_back(EventsOf(2, 2));
  WatchAnswer progress;
  progress.kind = WatchAnswer::Kind::kProgress;
  progress.header_revision = 2;
  watch.answers.push_back(progress);
  EXPECT_EQ(Watches(), "");
  watch.answers.back().header_revision = 3;
  EXPECT_THAT(Watches(), HasSubstr("missed"));
}

TEST_F(Planted, ProgressBeforeAFutureStartIsSeen) {
  Write(PutRequest("a", "1"));
  WatchRecord& watch = Watch(100);
  WatchAnswer progress;
  progress.kind = WatchAnswer::Kind::kProgress;
  progress.header_revision = 2;
  watch.answers.push_back(progress);
  EXPECT_THAT(Watches(), HasSubstr("before its start"));
  watch.answers.pop_back();
  watch.answers.push_back(EventsOf(2, 2));
  EXPECT_THAT(Watches(), HasSubstr("event before its start"));
}

TEST_F(Planted, AnEndByCompactionWithoutNeedIsSeen) {
  for (int i = 0; i < 4; ++i) Write(PutRequest("a", std::to_string(i)));
  Request compaction;
  compaction.kind = OpKind::kCompact;
  compaction.revision = 3;
  model_.Apply(compaction);
  WatchRecord& watch = Watch(2);
  WatchAnswer compacted;
  compacted.kind = WatchAnswer::Kind::kCompacted;
  compacted.compact_revision = 3;
  watch.answers.push_back(compacted);
  EXPECT_EQ(Watches(), "");
  watch.start = 5;
  EXPECT_THAT(Watches(), HasSubstr("ended by compaction"));
}

TEST_F(Planted, ALeaseThatEndsEarlyIsSeen) {
  Request grant;
  grant.kind = OpKind::kLeaseGrant;
  grant.lease = 7;
  Response granted;
  granted.ttl = 5;
  Add(grant, 1000, 1001, granted);
  int64_t revoked_at = 6100 * kMillisecond;
  const auto check = [&] {
    return CheckLeases(
               history_, [&](int64_t) { return LeaseEnd{revoked_at}; }, 10'000)
        .value_or("");
  };
  EXPECT_EQ(check(), "");
  revoked_at = 5900 * kMillisecond;
  EXPECT_THAT(check(), HasSubstr("too early"));
  Request revoke;
  revoke.kind = OpKind::kLeaseRevoke;
  revoke.lease = 7;
  Add(revoke, 5000, 5001, {});
  EXPECT_EQ(check(), "");
}

TEST_F(Planted, HashesThatDifferAreSeen) {
  Request hash;
  hash.kind = OpKind::kHashKv;
  Response response;
  response.revision = 5;
  response.hash = 1;
  Add(hash, 1, 2, response);
  Operation& other = Add(hash, 1, 2, response);
  EXPECT_FALSE(CheckHashes(history_));
  other.response.hash = 2;
  EXPECT_TRUE(CheckHashes(history_));
}

}  // namespace
}  // namespace quorate::sim
