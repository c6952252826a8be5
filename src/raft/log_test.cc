#include "raft/log.h"

#include <gtest/gtest.h>

#include <random>

#include "absl/strings/str_format.h"
#include "base/test_seed.h"
#include "raft/confchange_codec.h"

namespace quorate::raft {
namespace {

struct NoLog : Logger {
  bool Enabled(LogLevel) const override { return false; }
  void Write(LogLevel, std::string_view) override {}
};
NoLog no_log;

std::vector<Entry> Entries(Index first, std::initializer_list<Term> terms) {
  std::vector<Entry> entries;
  for (Term term : terms)
    entries.push_back({.term = term, .index = first++, .data = absl::StrFormat("%d", term)});
  return entries;
}

std::vector<Term> Terms(const std::vector<Entry>& entries) {
  std::vector<Term> terms;
  for (const Entry& entry : entries) terms.push_back(entry.term);
  return terms;
}

std::shared_ptr<const Snapshot> SnapshotAt(Index index, Term term) {
  auto snapshot = std::make_shared<Snapshot>();
  snapshot->metadata.index = index;
  snapshot->metadata.term = term;
  snapshot->metadata.conf_state.voters = {1};
  return snapshot;
}

TEST(MemoryStorageTest, StartsEmpty) {
  MemoryStorage storage;
  EXPECT_EQ(storage.FirstIndex(), 1u);
  EXPECT_EQ(storage.LastIndex(), 0u);
  EXPECT_EQ(storage.TermAt(0), Term{0});
  EXPECT_EQ(storage.TermAt(1), std::nullopt);
  EXPECT_TRUE(storage.LatestSnapshot()->empty());
}

TEST(MemoryStorageTest, AppendReplacesFromItsFirstIndexOn) {
  struct Case {
    std::vector<Entry> append;
    std::vector<Term> expected;  // From index 4 on.
  };
  const Case cases[] = {
      {Entries(4, {4, 5}), {4, 5}},
      {Entries(4, {4, 6, 6}), {4, 6, 6}},
      {Entries(5, {9}), {4, 9}},
      {Entries(6, {5}), {4, 5, 5}},
      {Entries(2, {3, 3, 5}), {5}},
      {Entries(1, {1, 1}), {4, 5}},
      {Entries(2, {3, 3, 4, 5, 6}), {4, 5, 6}},
  };
  for (const Case& c : cases) {
    MemoryStorage storage;
    ASSERT_TRUE(storage.ApplySnapshot(SnapshotAt(3, 3)).ok());
    storage.Append(Entries(4, {4, 5}));
    storage.Append(c.append);
    std::vector<Entry> all;
    ASSERT_TRUE(storage.Entries(4, storage.LastIndex() + 1, kNoLimit, &all));
    EXPECT_EQ(Terms(all), c.expected);
  }
}

TEST(MemoryStorageTest, ReadsWithinALimitButAtLeastOne) {
  MemoryStorage storage;
  const std::vector<Entry> entries = Entries(1, {1, 2, 3});
  storage.Append(entries);
  const uint64_t size = EncodedSize(entries[0]);
  for (const auto& [limit, count] : {std::pair<uint64_t, size_t>{0, 1},
                                     {size, 1},
                                     {2 * size - 1, 1},
                                     {2 * size, 2},
                                     {3 * size, 3},
                                     {kNoLimit, 3}}) {
    std::vector<Entry> out;
    ASSERT_TRUE(storage.Entries(1, 4, limit, &out));
    EXPECT_EQ(out.size(), count) << "limit " << limit;
  }
}

TEST(MemoryStorageTest, CompactionKeepsTheTermBeforeTheFirst) {
  MemoryStorage storage;
  storage.Append(Entries(1, {1, 2, 3}));
  ASSERT_TRUE(storage.Compact(2).ok());
  EXPECT_EQ(storage.FirstIndex(), 3u);
  EXPECT_EQ(storage.TermAt(2), Term{2});
  EXPECT_EQ(storage.TermAt(1), std::nullopt);
  std::vector<Entry> out;
  EXPECT_FALSE(storage.Entries(2, 3, kNoLimit, &out));
  EXPECT_TRUE(absl::IsFailedPrecondition(storage.Compact(2)));
  EXPECT_TRUE(absl::IsOutOfRange(storage.Compact(4)));
  ASSERT_TRUE(storage.Compact(3).ok());
  EXPECT_EQ(storage.LastIndex(), 3u);
}

TEST(MemoryStorageTest, Snapshots) {
  MemoryStorage storage;
  storage.Append(Entries(1, {1, 2, 3}));
  const ConfState members{.voters = {7}, .learners = {}, .voters_outgoing = {}, .learners_next = {}};
  ASSERT_TRUE(storage.CreateSnapshot(2, &members, "state").ok());
  EXPECT_EQ(storage.LatestSnapshot()->metadata, (SnapshotMetadata{members, 2, 2}));
  EXPECT_TRUE(absl::IsFailedPrecondition(storage.CreateSnapshot(2, nullptr, "")));
  EXPECT_TRUE(absl::IsOutOfRange(storage.CreateSnapshot(4, nullptr, "")));
  EXPECT_TRUE(absl::IsFailedPrecondition(storage.ApplySnapshot(SnapshotAt(2, 2))));
  ASSERT_TRUE(storage.ApplySnapshot(SnapshotAt(9, 4)).ok());
  EXPECT_EQ(storage.FirstIndex(), 10u);
  EXPECT_EQ(storage.LastIndex(), 9u);
}

TEST(UnstableTest, TruncatesAndKeepsWhatIsOnItsWay) {
  Unstable unstable(5, no_log);
  std::vector<Entry> a = Entries(5, {1, 1, 1});
  unstable.TruncateAndAppend(a);
  unstable.AcceptInProgress();
  EXPECT_FALSE(unstable.HasNextEntries());
  std::vector<Entry> b = Entries(7, {2, 2});
  unstable.TruncateAndAppend(b);
  EXPECT_EQ(unstable.offset_in_progress(), 7u);
  EXPECT_EQ(Terms(unstable.NextEntries()), (std::vector<Term>{2, 2}));
  unstable.StableTo({1, 7});
  EXPECT_EQ(unstable.offset(), 5u) << "the entry on disk is not the one here any more";
  unstable.StableTo({1, 6});
  EXPECT_EQ(unstable.offset(), 7u);
  std::vector<Entry> c = Entries(4, {3});
  unstable.TruncateAndAppend(c);
  EXPECT_EQ(unstable.offset(), 4u) << "replaces what is stored";
  EXPECT_EQ(Terms(unstable.NextEntries()), (std::vector<Term>{3}));
}

TEST(UnstableTest, Snapshot) {
  Unstable unstable(1, no_log);
  unstable.Restore(SnapshotAt(8, 2));
  EXPECT_EQ(unstable.LastIndex(), Index{8});
  EXPECT_EQ(unstable.FirstIndex(), Index{9});
  EXPECT_EQ(unstable.TermAt(8), Term{2});
  EXPECT_NE(unstable.NextSnapshot(), nullptr);
  unstable.AcceptInProgress();
  EXPECT_EQ(unstable.NextSnapshot(), nullptr);
  unstable.StableSnapshotTo(7);
  EXPECT_NE(unstable.snapshot(), nullptr);
  unstable.StableSnapshotTo(8);
  EXPECT_EQ(unstable.snapshot(), nullptr);
  EXPECT_EQ(unstable.offset(), 9u);
}

TEST(LogTest, FindConflictByTerm) {
  // index:  0 1 2 3 4 5 6 7
  // term:   0 1 2 2 4 5 5 6
  MemoryStorage storage;
  storage.Append(Entries(1, {1, 2, 2, 4, 5, 5, 6}));
  const Log log(storage, no_log, kNoLimit);
  struct Case {
    Index index;
    Term term;
    EntryId expected;
  };
  for (const Case& c : {Case{7, 6, {6, 7}}, Case{7, 5, {5, 6}}, Case{7, 4, {4, 4}}, Case{7, 3, {2, 3}},
                        Case{7, 1, {1, 1}}, Case{7, 0, {0, 0}}, Case{9, 9, {0, 9}}, Case{3, 2, {2, 3}}}) {
    const EntryId found = log.FindConflictByTerm(c.index, c.term);
    EXPECT_EQ(found.index, c.expected.index) << c.index << " " << c.term;
    EXPECT_EQ(found.term, c.expected.term) << c.index << " " << c.term;
  }
}

TEST(LogTest, CommitsOnlyEntriesOfTheTermThatCounts) {
  MemoryStorage storage;
  storage.Append(Entries(1, {1, 2}));
  Log log(storage, no_log, kNoLimit);
  EXPECT_FALSE(log.MaybeCommit({2, 1}));
  EXPECT_FALSE(log.MaybeCommit({0, 2}));
  EXPECT_FALSE(log.MaybeCommit({2, 3}));
  EXPECT_TRUE(log.MaybeCommit({2, 2}));
  EXPECT_FALSE(log.MaybeCommit({2, 2}));
}

TEST(LogTest, ApplyingPausesAtItsLimit) {
  MemoryStorage storage;
  const std::vector<Entry> entries = Entries(1, {1, 1, 1});
  storage.Append(entries);
  const uint64_t size = EncodedSize(entries[0]);
  Log log(storage, no_log, 2 * size);
  log.CommitTo(3);
  EXPECT_EQ(log.NextCommitted(false).size(), 2u);
  log.AcceptApplying(2, 2 * size, false);
  EXPECT_FALSE(log.HasNextCommitted(false));
  log.AppliedTo(2, 2 * size);
  ASSERT_EQ(log.NextCommitted(false).size(), 1u);
  log.AcceptApplying(3, size, false);
  log.AppliedTo(3, size);
  EXPECT_FALSE(log.HasNextCommitted(false));
}

// Against a plain vector of terms: appends with conflicts, writes that end late, commits, compaction.
TEST(LogTest, AgreesWithAPlainVector) {
  const uint64_t seed = TestSeed(3);
  SCOPED_TRACE(absl::StrFormat("QUORATE_TEST_SEED=%d", seed));
  std::mt19937_64 random(seed);
  for (int run = 0; run < 50; ++run) {
    MemoryStorage storage;
    Log log(storage, no_log, kNoLimit);
    std::vector<Term> model{0};
    Term term = 1;
    for (int step = 0; step < 200; ++step) {
      const Index committed = log.committed();
      switch (random() % 6) {
        case 0:
        case 1: {  // An append that may replace a tail not committed.
          const Index from = committed + 1 + random() % (model.size() - committed);
          if (from < model.size() || random() % 4 == 0) ++term;
          model.resize(from);
          std::vector<Entry> entries;
          for (uint64_t i = 1 + random() % 4; i > 0; --i) {
            entries.push_back({.term = term, .index = model.size(), .data = "x"});
            model.push_back(term);
          }
          log.Append(entries);
          break;
        }
        case 2: {  // Everything is written.
          storage.Append(log.unstable().NextEntries());
          log.unstable().AcceptInProgress();
          if (random() % 2 == 0 && !log.unstable().entries().empty()) log.unstable().StableTo(log.Last());
          break;
        }
        case 3:
          if (model.size() - 1 > committed)
            log.CommitTo(committed + 1 + random() % (model.size() - 1 - committed));
          break;
        case 4: {
          const std::vector<Entry> batch = log.NextCommitted(false);
          if (batch.empty()) break;
          log.AcceptApplying(batch.back().index, 0, false);
          log.AppliedTo(batch.back().index, 0);
          break;
        }
        case 5:
          if (log.applied() >= storage.FirstIndex()) {
            ASSERT_TRUE(storage.Compact(log.applied()).ok());
          }
          break;
      }
      ASSERT_EQ(log.LastIndex(), model.size() - 1) << "run " << run << " step " << step;
      for (Index i = log.FirstIndex() - 1; i <= log.LastIndex(); ++i) ASSERT_EQ(log.TermAt(i), model[i]);
      std::vector<Entry> all;
      ASSERT_TRUE(log.Slice(log.FirstIndex(), log.LastIndex() + 1, kNoLimit, &all));
      ASSERT_EQ(all.size(), log.LastIndex() + 1 - log.FirstIndex());
    }
  }
}

}  // namespace
}  // namespace quorate::raft
