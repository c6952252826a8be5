// The parts of the guard against lost logs, each by itself.
#include "server/lost_log.h"

#include <gtest/gtest.h>

#include "base/env_sim.h"
#include "server/continuity.h"
#include "server/peer_memory.h"
#include "server/probation.h"
#include "server/quarantine.h"

namespace quorate::server {
namespace {

using raft::MessageType;

// ---- proofs ----

TEST(LostLogTest, ADiskThatContradictsItself) {
  DiskFacts whole{.hard_state = {3, 1, 10}, .last_index = 12, .database_index = 10, .snapshot_index = 5};
  EXPECT_EQ(ContradictionOnDisk(whole), std::nullopt);
  DiskFacts at_end = whole;
  at_end.hard_state.commit = at_end.database_index = 12;
  EXPECT_EQ(ContradictionOnDisk(at_end), std::nullopt);
  DiskFacts committed = whole;
  committed.hard_state.commit = 13;
  EXPECT_EQ(ContradictionOnDisk(committed), "its log says that index 13 is committed and ends at 12");
  DiskFacts database = whole;
  database.database_index = 13;
  EXPECT_EQ(ContradictionOnDisk(database), "its database stands at raft index 13 and its log ends at 12");
  // A database that a leader has sent lies there before the log says so.
  DiskFacts snapshot = whole;
  snapshot.snapshot_index = 13;
  EXPECT_EQ(ContradictionOnDisk(snapshot), std::nullopt);
}

TEST(LostLogTest, WhatOthersRememberAgainstTheDisk) {
  const LogPosition disk{5, 0x7, 100};
  struct Case {
    LogPosition remembered;
    bool proof;
  };
  for (const auto& [remembered, proof] : std::vector<Case>{
           {{0, 0, 0}, false},    // Nothing.
           {{5, 7, 100}, false},  // All of it.
           {{5, 0, 90}, false},   // Part.
           {{4, 9, 900}, false},  // An earlier term: entries of it may have been replaced since.
           {{6, 0, 0}, true},     // A term that is gone.
           {{5, 9, 0}, true},     // Another vote.
           {{5, 7, 101}, true},   // An acknowledgement that is gone.
       }) {
    EXPECT_EQ(ContradictedByMemory(disk, remembered, "x").has_value(), proof)
        << remembered.term << " " << remembered.vote << " " << remembered.index;
  }
  EXPECT_TRUE(ContradictedByMemory({5, 0, 100}, {5, 7, 0}, "x").has_value()) << "the vote itself is gone";
  EXPECT_EQ(ContradictedByMemory({5, 7, 100}, {5, 0, 101}, "member a"),
            "member a has its acknowledgement of index 101 in term 5, its log ends at 100");
}

TEST(LostLogTest, MessagesThatProveAndMessagesThatOnlySeemTo) {
  MessageContext context{.start_term = 5, .campaigned = false, .term = 5, .last_index = 100};
  const auto proves = [&](raft::Message message) {
    message.from = 2;
    return ContradictedByMessage(context, message).has_value();
  };
  const auto seven = [](MessageType type) { return raft::Message{.type = type, .term = 7}; };
  // 10.3 of the formats: what each message says.
  EXPECT_TRUE(proves({.type = MessageType::kHeartbeat, .term = 5, .commit = 101}));
  EXPECT_TRUE(proves({.type = MessageType::kHeartbeat, .term = 6, .commit = 101}));
  EXPECT_FALSE(proves({.type = MessageType::kHeartbeat, .term = 5, .commit = 100}));
  EXPECT_FALSE(proves({.type = MessageType::kHeartbeat, .term = 4, .commit = 101}));
  EXPECT_TRUE(proves(seven(MessageType::kVoteResp)));
  EXPECT_TRUE(proves({.type = MessageType::kVoteResp, .term = 7, .reject = true}));
  EXPECT_TRUE(proves(seven(MessageType::kHeartbeatResp)));
  EXPECT_TRUE(proves({.type = MessageType::kAppResp, .term = 7, .index = 1}));
  EXPECT_TRUE(proves({.type = MessageType::kAppResp, .term = 7, .reject = true}));
  EXPECT_FALSE(proves(seven(MessageType::kAppResp))) << "the answer to a deposed leader";
  EXPECT_FALSE(proves(seven(MessageType::kPreVoteResp)));
  EXPECT_FALSE(proves({.type = MessageType::kPreVoteResp, .term = 7, .reject = true}));
  EXPECT_FALSE(proves(seven(MessageType::kReadIndexResp)));
  EXPECT_FALSE(proves({.type = MessageType::kApp, .term = 7, .index = 500, .commit = 500}));
  EXPECT_FALSE(proves(seven(MessageType::kVote)));
  EXPECT_FALSE(proves(seven(MessageType::kTimeoutNow)));
  EXPECT_FALSE(proves({.type = MessageType::kVoteResp, .term = 5})) << "late, of the term it had stored";
  context.campaigned = true;
  EXPECT_FALSE(proves(seven(MessageType::kVoteResp))) << "an answer to this process";
  EXPECT_TRUE(proves({.type = MessageType::kHeartbeat, .term = 5, .commit = 101}));
}

// ---- memory ----

TEST(PeerMemoryTest, OnlyWhatTheOtherHasStoredCounts) {
  PeerMemory memory;
  using Change = PeerMemory::Change;
  const auto note = [&](raft::Message message) {
    message.from = 2;
    message.to = 1;
    return memory.Note(message);
  };
  EXPECT_EQ(note({.type = MessageType::kHeartbeatResp, .term = 9}), Change::kNone);
  EXPECT_EQ(note({.type = MessageType::kPreVoteResp, .term = 9}), Change::kNone);
  EXPECT_EQ(note({.type = MessageType::kPreVote, .term = 9}), Change::kNone);
  EXPECT_EQ(note({.type = MessageType::kReadIndex}), Change::kNone);
  EXPECT_EQ(memory.Of(2), LogPosition{});

  EXPECT_EQ(note({.type = MessageType::kAppResp, .term = 3, .index = 10}), Change::kPosition);
  EXPECT_EQ(note({.type = MessageType::kAppResp, .term = 3, .index = 9}), Change::kNone);
  EXPECT_EQ(note({.type = MessageType::kAppResp, .term = 3, .index = 99, .reject = true}), Change::kNone);
  EXPECT_EQ(memory.Of(2), (LogPosition{3, 0, 10}));
  EXPECT_EQ(note({.type = MessageType::kVoteResp, .term = 4, .reject = true}), Change::kPosition);
  EXPECT_EQ(note({.type = MessageType::kVoteResp, .term = 4}), Change::kVote);
  EXPECT_EQ(memory.Of(2), (LogPosition{4, 1, 0}));
  EXPECT_EQ(note({.type = MessageType::kAppResp, .term = 4, .index = 12}), Change::kPosition);
  EXPECT_EQ(note({.type = MessageType::kVote, .term = 5}), Change::kVote);
  EXPECT_EQ(memory.Of(2), (LogPosition{5, 2, 0}));
  EXPECT_EQ(note({.type = MessageType::kHeartbeat, .term = 5}), Change::kNone);
  EXPECT_EQ(note({.type = MessageType::kVoteResp, .term = 4}), Change::kNone) << "late";
}

TEST(PeerMemoryTest, ASecondVoteInATermIsSeen) {
  PeerMemory memory;
  memory.Note({.type = MessageType::kVote, .to = 1, .from = 2, .term = 5});
  EXPECT_TRUE(memory.IsSecondVote({.type = MessageType::kVoteResp, .to = 1, .from = 2, .term = 5}));
  EXPECT_FALSE(memory.IsSecondVote({.type = MessageType::kVoteResp, .to = 1, .from = 2, .term = 6}));
  EXPECT_FALSE(
      memory.IsSecondVote({.type = MessageType::kVoteResp, .to = 1, .from = 2, .term = 5, .reject = true}));
  EXPECT_FALSE(memory.IsSecondVote({.type = MessageType::kVote, .to = 1, .from = 2, .term = 5}));
  memory.Note({.type = MessageType::kVoteResp, .to = 1, .from = 3, .term = 5});
  EXPECT_TRUE(memory.IsSecondVote({.type = MessageType::kVote, .to = 1, .from = 3, .term = 5}));
}

PeerMemory SomeMemory() {
  PeerMemory memory;
  memory.Set(2, {5, 1, 100});
  memory.Set(0xffff'ffff'ffff'fffe, {7, 0xffff'ffff'ffff'fffe, UINT64_MAX});
  return memory;
}

TEST(PeerMemoryTest, DamagedBytesAreNoMemory) {
  const std::string good = EncodePeerMemory(SomeMemory(), 3, 77);
  const auto decoded = DecodePeerMemory(good + std::string(100, '\0'));
  ASSERT_TRUE(decoded.ok());
  EXPECT_EQ(decoded->memory, SomeMemory());
  EXPECT_EQ(decoded->sequence, 3u);
  EXPECT_EQ(decoded->cluster_id, 77u);
  for (size_t i = 0; i < good.size(); ++i) {
    std::string bad = good;
    bad[i] ^= 0x10;
    EXPECT_FALSE(DecodePeerMemory(bad).ok()) << i;
    EXPECT_FALSE(DecodePeerMemory(good.substr(0, i)).ok()) << i;
  }
}

TEST(PeerMemoryTest, TheMembersAreBounded) {
  PeerMemory memory;
  for (uint64_t id = 1; id <= 2 * PeerMemory::kMembersMax; ++id) {
    memory.Note({.type = MessageType::kVote, .to = 1, .from = id, .term = 5});
  }
  EXPECT_EQ(memory.all().size(), PeerMemory::kMembersMax);
  EXPECT_LE(EncodePeerMemory(memory, 1, 1).size(), PeerMemoryFile::kSlotBytes);
  memory.Retain({7, 8});
  EXPECT_EQ(memory.all().size(), 2u);
}

TEST(PeerMemoryTest, JsonThereAndBack) {
  const LogPosition position{5, 0x8e9e05c52164694d, UINT64_MAX};
  const std::string json = MemoryJson(0xab, 0xcd, position);
  const auto parsed = ParseMemoryJson(json, 0xab, 0xcd);
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  EXPECT_EQ(*parsed, position);
  EXPECT_FALSE(ParseMemoryJson(json, 0xac, 0xcd).ok());
  EXPECT_FALSE(ParseMemoryJson(json, 0xab, 0xce).ok());
  for (const char* bad :
       {"", "{}", "[1]", "null", R"({"cluster":"ab","member":"cd","term":-1,"vote":"0","index":1})",
        R"({"cluster":"ab","member":"cd","term":1.5,"vote":"0","index":1})",
        R"({"cluster":"ab","member":"cd","term":1,"vote":"zz","index":1})",
        R"({"cluster":1,"member":"cd","term":1,"vote":"0","index":1})"}) {
    EXPECT_FALSE(ParseMemoryJson(bad, 0xab, 0xcd).ok()) << bad;
  }
}

TEST(PeerMemoryTest, ATornWriteLeavesTheOneBefore) {
  for (uint64_t seed = 1; seed <= 200; ++seed) {
    SimFileSystem files(seed);
    ASSERT_TRUE(files.CreateDirectories("/data", 0700).ok());
    ASSERT_TRUE(files.SyncDirectory("/").ok());
    PeerMemory memory;
    {
      PeerMemoryFile file(&files, "/data/quorate/peer-memory", 9);
      EXPECT_EQ(file.Load(), PeerMemory{});
      for (uint64_t term = 1; term <= 5; ++term) {
        memory.Set(2, {term, 1, 10 * term});
        ASSERT_TRUE(file.Write(file.NextImage(memory)).ok());
      }
      files.InjectError(SimOperation::kSync, 1);
      PeerMemory next = memory;
      next.Set(2, {6, 1, 60});
      EXPECT_FALSE(file.Write(file.NextImage(next)).ok());
      files.Crash();
    }
    PeerMemoryFile file(&files, "/data/quorate/peer-memory", 9);
    const LogPosition loaded = file.Load().Of(2);
    EXPECT_TRUE(loaded.term == 5 || loaded.term == 6) << "seed " << seed << " term " << loaded.term;
    memory.Set(2, {7, 1, 70});
    ASSERT_TRUE(file.Write(file.NextImage(memory)).ok());
    EXPECT_EQ(PeerMemoryFile(&files, "/data/quorate/peer-memory", 9).Load(), memory) << "seed " << seed;
    EXPECT_EQ(PeerMemoryFile(&files, "/data/quorate/peer-memory", 10).Load(), PeerMemory{});
  }
}

// ---- continuity ----

class ContinuityTest : public ::testing::Test {
 protected:
  static constexpr uint64_t kId = 0xabc;

  Continuity Make(std::string boot = "boot-1") {
    return {&files_, &random_, "/data/quorate", "/run/q", boot};
  }
  StartFinding Examine(const LogPosition& disk, std::string boot = "boot-1") {
    return Make(std::move(boot)).Examine(kId, disk);
  }
  // A process from its start to a clean end.
  void Live(const LogPosition& from, const LogPosition& to) {
    Continuity continuity = Make();
    continuity.Examine(kId, from);
    ASSERT_TRUE(continuity.Begin({from.term, from.vote, 0}, continuity.Draw()).ok());
    ASSERT_TRUE(continuity.End({to.term, to.vote, 0}, to.index).ok());
  }
  std::string Image() { return *files_.ReadAll("/data/quorate/epoch"); }
  void Restore(const std::string& image) {
    ASSERT_TRUE(files_.WriteAtomically("/data/quorate/epoch", image, 0600).ok());
  }

  SimFileSystem files_{1};
  SeededRandom random_{2};
};

TEST_F(ContinuityTest, ACleanRestartIsContinuous) {
  EXPECT_EQ(Examine({1, 1, 5}).finding, Finding::kUnknown);
  Live({1, 1, 5}, {2, 3, 50});
  EXPECT_EQ(Examine({2, 3, 50}).finding, Finding::kContinuous);
  EXPECT_EQ(Examine({2, 3, 51}).finding, Finding::kUnknown) << "etcd ran in between";
  EXPECT_EQ(Examine({3, 0, 50}).finding, Finding::kUnknown);
  EXPECT_EQ(Examine({2, 3, 49}).finding, Finding::kUnknown) << "a tail that was never acknowledged";
  EXPECT_EQ(Examine({1, 1, 50}).finding, Finding::kWentBack);
  EXPECT_EQ(Examine({2, 3, 50}, "boot-2").finding, Finding::kUnknown);
  EXPECT_EQ(Examine({2, 3, 50}, "").finding, Finding::kUnknown);
}

TEST_F(ContinuityTest, AKilledProcessLeavesAContinuousDirectory) {
  Continuity continuity = Make();
  continuity.Examine(kId, {1, 1, 5});
  ASSERT_TRUE(continuity.Begin({1, 1, 0}, continuity.Draw()).ok());
  continuity.SaveWitness({2, 1, 40});
  files_.Kill();
  EXPECT_EQ(Examine({2, 1, 44}).finding, Finding::kContinuous);
  EXPECT_EQ(Examine({3, 0, 30}).finding, Finding::kContinuous) << "a later term may replace its tail";
  EXPECT_EQ(Examine({2, 1, 39}).finding, Finding::kWentBack);
  EXPECT_EQ(Examine({2, 2, 44}).finding, Finding::kWentBack);
  EXPECT_EQ(Examine({1, 1, 44}).finding, Finding::kWentBack);
}

TEST_F(ContinuityTest, AnOldImageIsFoundByItsEpoch) {
  Live({1, 1, 5}, {1, 1, 50});
  const std::string stopped = Image();
  Live({1, 1, 50}, {1, 1, 50});
  Restore(stopped);
  EXPECT_EQ(Examine({1, 1, 50}).finding, Finding::kWentBack);
  EXPECT_EQ(Examine({1, 1, 50}, "boot-2").finding, Finding::kUnknown) << "/run has forgotten";
}

TEST_F(ContinuityTest, AnotherDirectoryOrNoneIsNoProof) {
  Live({1, 1, 5}, {1, 1, 50});
  ASSERT_TRUE(files_.Remove("/data/quorate/epoch").ok());
  EXPECT_EQ(Examine({1, 1, 50}).finding, Finding::kUnknown);
  Restore(EncodeEpoch({1, 1, 1}));
  EXPECT_EQ(Examine({1, 1, 50}).finding, Finding::kUnknown);
  Restore("rubbish");
  EXPECT_EQ(Examine({1, 1, 50}).finding, Finding::kUnknown);
}

TEST_F(ContinuityTest, ACrashAtAnyPointOfAStartIsNoProof) {
  // At each operation that changes anything, of a whole life that follows a clean one.
  for (uint64_t crash_at = 1;; ++crash_at) {
    SimFileSystem files(crash_at);
    SeededRandom random(7);
    const auto make = [&] { return Continuity(&files, &random, "/data/quorate", "/run/q", "boot-1"); };
    {
      Continuity first = make();
      first.Examine(kId, {1, 1, 5});
      ASSERT_TRUE(first.Begin({1, 1, 0}, first.Draw()).ok());
      ASSERT_TRUE(first.End({1, 1, 0}, 5).ok());
    }
    uint64_t changes = 0;
    files.set_before_operation([&](SimOperation op, const std::string&) {
      if (Changes(op) && ++changes == crash_at) {
        files.Kill();
        return Unavailable("killed");
      }
      return changes > crash_at ? Unavailable("killed") : Status();
    });
    Continuity second = make();
    second.Examine(kId, {1, 1, 5});
    (void)second.Begin({1, 1, 0}, second.Draw());
    (void)second.End({1, 1, 0}, 5);
    files.set_before_operation({});
    EXPECT_NE(make().Examine(kId, {1, 1, 5}).finding, Finding::kWentBack) << crash_at;
    if (changes < crash_at) break;
  }
}

TEST(EpochCodecTest, DamagedLinesAreErrors) {
  const RunRecord record{{1, 2, 3}, "boot-id", {4, 5, 6}, 7};
  const std::string line = EncodeRunRecord(record);
  EXPECT_EQ(*DecodeRunRecord(line), record);
  RunRecord running = record;
  running.end_index.reset();
  EXPECT_EQ(*DecodeRunRecord(EncodeRunRecord(running)), running);
  for (size_t i = 0; i < line.size(); ++i) {
    std::string bad = line;
    bad[i] ^= 1;
    EXPECT_FALSE(DecodeRunRecord(bad).ok()) << i;
    EXPECT_FALSE(DecodeRunRecord(line.substr(0, i)).ok()) << i;
  }
  EXPECT_FALSE(DecodeEpoch(line).ok());
}

// ---- probation ----

constexpr int kTicks = 10;
const std::vector<raft::NodeId> kOthers = {2, 3};

Probation Make(bool strict = false, bool needed = true) {
  return Probation({.start_term = 5, .election_ticks = kTicks, .strict = strict, .needed = needed});
}

TEST(ProbationTest, EndsWhenTheLogHasReachedALeadersCommitOfItsOwnTerm) {
  Probation probation = Make();
  probation.OnProgress(5, 100, 5);
  EXPECT_FALSE(probation.over()) << "no leader was heard";
  probation.OnLeaderReport(4, 2, 50);
  probation.OnProgress(5, 100, 5);
  EXPECT_FALSE(probation.over()) << "a leader of an older term";
  probation.OnLeaderReport(6, 2, 0);
  probation.OnProgress(6, 100, 6);
  EXPECT_FALSE(probation.over()) << "a leader that has not probed this log";
  probation.OnLeaderReport(6, 2, 120);
  probation.OnProgress(6, 119, 6);
  EXPECT_FALSE(probation.over());
  probation.OnProgress(6, 120, 5);
  EXPECT_FALSE(probation.over()) << "more may be committed of earlier terms than the leader knows of";
  probation.OnProgress(7, 121, 7);
  EXPECT_FALSE(probation.over()) << "of another leader, who has reported nothing";
  probation.OnLeaderReport(6, 2, 500);
  probation.OnProgress(6, 121, 6);
  EXPECT_EQ(probation.end(), Probation::End::kCaughtUp) << "the first report counts, not a moving one";
}

TEST(ProbationTest, ANewLeaderReportsAnew) {
  Probation probation = Make();
  probation.OnLeaderReport(6, 2, 100);
  probation.OnLeaderReport(7, 3, 200);
  probation.OnProgress(7, 150, 7);
  EXPECT_FALSE(probation.over());
  probation.OnProgress(7, 200, 7);
  EXPECT_TRUE(probation.over());
}

// Ticks until it is over; each question gets `answer(peer)`: true, false, or none.
int64_t TicksToTrust(Probation& probation, const std::function<std::optional<bool>(raft::NodeId)>& answer) {
  for (int64_t tick = 1; tick <= 100 * kTicks; ++tick) {
    for (const raft::NodeId peer : probation.Tick(kOthers)) {
      if (const auto given = answer(peer)) probation.OnAnswer(peer, *given);
    }
    if (probation.over()) return tick;
  }
  return -1;
}

TEST(ProbationTest, EndsInTimeWhoeverAnswers) {
  const int64_t trust = Probation::kTrustElectionTimeouts * kTicks;
  const int64_t latest = trust + Probation::kAnswerElectionTimeouts * kTicks;
  Probation all = Make();
  EXPECT_EQ(TicksToTrust(all, [](raft::NodeId) { return true; }), trust);
  EXPECT_EQ(all.end(), Probation::End::kTrusted);
  EXPECT_EQ(all.answers(), 2u);
  Probation none = Make();
  EXPECT_EQ(TicksToTrust(none, [](raft::NodeId) { return false; }), trust);
  EXPECT_EQ(none.answers(), 0u);
  Probation silent = Make();
  EXPECT_EQ(TicksToTrust(silent, [](raft::NodeId) { return std::nullopt; }), latest);
  Probation half = Make();
  EXPECT_EQ(TicksToTrust(half, [](raft::NodeId id) { return id == 2 ? std::optional(true) : std::nullopt; }),
            latest);
  Probation strict = Make(true);
  EXPECT_EQ(TicksToTrust(strict, [](raft::NodeId) { return true; }), -1);
  Probation unneeded = Make(false, false);
  EXPECT_EQ(unneeded.end(), Probation::End::kNotNeeded);
}

TEST(ProbationTest, AsksWhoHasNotAnsweredAndNotTooOften) {
  for (const bool needed : {true, false}) {
    Probation probation = Make(false, needed);
    EXPECT_EQ(probation.Tick(kOthers), kOthers);
    probation.OnAnswer(2, true);
    EXPECT_TRUE(probation.Tick(kOthers).empty()) << "the question to 3 is open";
    probation.OnAnswer(3, false);
    int asked = 0;
    for (int tick = 0; tick < kTicks; ++tick) asked += static_cast<int>(probation.Tick(kOthers).size());
    EXPECT_EQ(asked, 1);
    probation.OnAnswer(3, false);
    for (int tick = 0; tick < 100 * kTicks; ++tick) {
      for (const raft::NodeId peer : probation.Tick(kOthers)) {
        EXPECT_EQ(peer, 3u);
        probation.OnAnswer(peer, false);
        ++asked;
      }
    }
    EXPECT_EQ(asked, Probation::kFailuresMax - 1);
  }
}

// ---- quarantine ----

TEST(QuarantineTest, TheMarkIsOfOneMemberOnly) {
  SimFileSystem files(1);
  QuarantineFile file(&files, "/data/quorate/quarantine.json");
  EXPECT_EQ(*file.Load(1, 9), std::nullopt);
  const QuarantineMark mark{1, 9, "it \"lost\" its end", 5, 100, 90, 1767225600};
  ASSERT_TRUE(file.Store(mark).ok());
  EXPECT_EQ(*file.Load(1, 9), mark);
  EXPECT_EQ(*file.Load(2, 9), std::nullopt) << "added anew";
  EXPECT_FALSE(files.Exists(file.path()));
}

TEST(QuarantineTest, ADamagedMarkStillCounts) {
  SimFileSystem files(1);
  QuarantineFile file(&files, "/data/quorate/quarantine.json");
  ASSERT_TRUE(file.Store({1, 9, "p", 5, 100, 90, 1}).ok());
  ASSERT_TRUE(files.WriteAtomically(file.path(), "{\"member\":", 0600).ok());
  const auto mark = file.Load(1, 9);
  ASSERT_TRUE(mark.ok() && mark->has_value());
  EXPECT_EQ((*mark)->member_id, 1u);
}

TEST(QuarantineTest, TheWayOutIsTheRunbooks) {
  const auto lines = WayOut(0xe767162297c84b1e, "etcd_2", {"https://10.10.1.12:2380"}, "/var/lib/etcd");
  ASSERT_EQ(lines.size(), 5u);
  EXPECT_TRUE(lines[1].starts_with("etcdctl member remove e767162297c84b1e"));
  EXPECT_TRUE(lines[2].starts_with("etcdctl member add etcd_2 --peer-urls https://10.10.1.12:2380"));
  EXPECT_TRUE(lines[3].starts_with("mv /var/lib/etcd /var/lib/etcd.bak"));
  const std::string reason = QuarantineReason({0xab, 9, "it lost its end", 5, 100, 90, 1});
  EXPECT_EQ(reason.find('\n'), std::string::npos);
  EXPECT_EQ(
      reason,
      "member ab is quarantined, its log went back in time: it lost its end (term 5, commit 100, last index "
      "90); remove the member and add it again with an empty data directory");
  EXPECT_TRUE(absl::IsUnavailable(ErrQuarantined(reason)));
}

}  // namespace
}  // namespace quorate::server
