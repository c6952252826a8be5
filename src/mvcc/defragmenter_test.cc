#include "mvcc/defragmenter.h"

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/test_seed.h"
#include "bolt/check.h"
#include "bolt/tail_pages.h"
#include "mvcc/store_harness_test.h"

namespace quorate::mvcc {
namespace {

void PutOne(World& world, const std::string& key, const std::string& value) {
  WriteTxn txn = world.store->BeginWrite();
  txn.Put(key, value, 0);
  txn.End();
}

void CompactAll(World& world) {
  ASSERT_TRUE(world.store->Compact(world.store->current_revision(), {}).ok());
  world.Settle();
  // What the last deletions freed is free from the next commit on.
  PutOne(world, "next", "");
  world.backend->Commit({});
  world.executor.RunUntilIdle();
}

// Half of the file is free, and its pages are single ones.
void FillWithSmall(World& world, int records) {
  for (int i = 0; i < records; ++i) PutOne(world, "gone", std::string(300, 'v'));
  for (int i = 0; i < records; ++i) PutOne(world, "k" + std::to_string(i), std::string(300, 'v'));
  CompactAll(world);
}

// Half of the file is free, but its pages grow towards the end, so that none fits where an earlier one was.
void FillWithGrowing(World& world, int records) {
  for (int i = 0; i < records; ++i) {
    const std::string key = i / 2 % 2 == 0 ? "gone" : "k" + std::to_string(i);
    PutOne(world, key, std::string(static_cast<size_t>(4000 + i * 500), 'v'));
  }
  PutOne(world, "gone", "");
  CompactAll(world);
}

// No page is free, but each is half empty.
void FillHalfEmpty(World& world, int records) {
  for (int i = 0; i < records; ++i) {
    PutOne(world, i % 2 == 0 ? "gone" : "k" + std::to_string(i), std::string(300, 'v'));
  }
  CompactAll(world);
}

std::map<std::string, std::string> Leases(const Backend& backend) {
  std::map<std::string, std::string> found;
  const Status status = backend.ForEach(
      Bucket::kLease, [&found](std::string_view key, std::string_view value) { found.emplace(key, value); });
  EXPECT_TRUE(status.ok()) << status;
  return found;
}

size_t Files(World& world) { return world.files.List(".")->size(); }

using Fill = void (*)(World&, int);
struct Shape {
  const char* name;
  Fill fill;
  int records;
};
constexpr Shape kShapes[] = {{"moving", FillWithSmall, 900}, {"copying", FillWithGrowing, 40}};

TEST(DefragmenterTest, ReturnsTheFreeBytesAndKeepsEverything) {
  World world(1, InlineExecutor::Mode::kQueued);
  ASSERT_TRUE(world.Open().ok());
  FillWithSmall(world, 3000);
  world.backend->Put(Bucket::kAuth, "a", "1");
  world.Turn();
  const ReadView view = world.backend->View();
  const auto expected = Records(*world.backend);
  const Backend::Stats before = world.backend->stats();
  const uint64_t free = before.size_bytes - before.size_in_use_bytes;
  ASSERT_GT(free, before.size_bytes / 4);
  int64_t observed = -1;
  world.backend->set_defragment_observer([&observed](int64_t nanos) { observed = nanos; });
  bool seen_copy = false;
  int puts = 0;
  const Status result = world.Defragment([&] {
    EXPECT_TRUE(world.backend->defragmenting());
    seen_copy = seen_copy || Files(world) > 1;
    PutOne(world, "meanwhile", std::to_string(++puts));
    // Gone when it is in the way, which is what a view is for.
    EXPECT_TRUE(view.GetKeyValue(expected.begin()->first).ok());
  });
  ASSERT_TRUE(result.ok()) << result;
  EXPECT_FALSE(world.backend->defragmenting());
  EXPECT_FALSE(seen_copy);
  EXPECT_GT(observed, 0);
  EXPECT_GT(puts, 3);
}

TEST(DefragmenterTest, NineTenthsGoBackUnderLoad) {
  for (const Shape& shape : kShapes) {
    SCOPED_TRACE(shape.name);
    const bool copying = shape.fill == FillWithGrowing;
    World world(1, InlineExecutor::Mode::kQueued);
    ASSERT_TRUE(world.Open().ok());
    shape.fill(world, copying ? 150 : 3000);
    const auto expected = Records(*world.backend);
    const Backend::Stats before = world.backend->stats();
    const uint64_t free = before.size_bytes - before.size_in_use_bytes;
    ASSERT_GT(free, before.size_bytes / 4);
    bool seen_copy = false;
    world.files.set_before_operation([&seen_copy](SimOperation, const std::string& path) -> Status {
      seen_copy = seen_copy || path.starts_with("db.tmp.");
      return {};
    });
    size_t puts = 0;
    const Status result = world.Defragment([&] {
      PutOne(world, "meanwhile", std::to_string(++puts));
      world.backend->Put(Bucket::kLease, std::to_string(puts % 3), "x");
      world.backend->SetConsistentIndex(puts, 1);
    });
    ASSERT_TRUE(result.ok()) << result;
    EXPECT_EQ(seen_copy, copying);
    EXPECT_EQ(Files(world), 1u);
    EXPECT_LE(world.backend->size_bytes(), before.size_bytes - free * 9 / 10);
    EXPECT_EQ(world.files.Stat("db")->size, world.backend->size_bytes());
    EXPECT_EQ(Records(*world.backend).size(), expected.size() + puts);
    ASSERT_TRUE(world.Close().ok());
    ASSERT_TRUE(world.Open().ok());
    EXPECT_EQ(Records(*world.backend).size(), expected.size() + puts);
    EXPECT_EQ(world.backend->consistent_index(), puts);
    EXPECT_EQ(*world.backend->Get(Bucket::kLease, "1"), "x");
  }
}

// As the original's copy does.
TEST(DefragmenterTest, HalfEmptyPagesArePacked) {
  World world(1);
  ASSERT_TRUE(world.Open().ok());
  FillHalfEmpty(world, 20'000);
  const auto expected = Records(*world.backend);
  const Backend::Stats before = world.backend->stats();
  ASSERT_LT(before.size_bytes - before.size_in_use_bytes, before.size_bytes / 5);
  ASSERT_TRUE(world.Defragment().ok());
  EXPECT_LT(world.backend->size_bytes(), before.size_bytes * 6 / 10);
  EXPECT_EQ(Records(*world.backend), expected);
}

// A copy that does not fit would end in a full disk, and that in the alarm NOSPACE: none is begun, and what
// moving can return is returned.
TEST(DefragmenterTest, NoCopyWhereTheDiskHasNoRoom) {
  constexpr uint64_t kSpare = uint64_t{64} << 20;
  for (const Fill fill : {FillWithGrowing, FillHalfEmpty}) {
    World world(1);
    ASSERT_TRUE(world.Open().ok());
    fill(world, fill == FillWithGrowing ? 40 : 20'000);
    const auto expected = Records(*world.backend);
    const Backend::Stats before = world.backend->stats();
    const uint64_t needed = before.size_in_use_bytes + before.size_in_use_bytes / 10 + kSpare;
    bool seen_copy = false;
    world.files.set_before_operation([&](SimOperation, const std::string& path) -> Status {
      seen_copy = seen_copy || path.starts_with("db.tmp.");
      return {};
    });
    world.files.set_capacity_bytes(world.files.used_bytes() + needed - kSpare / 2);
    const Status refused = world.Defragment();
    EXPECT_FALSE(seen_copy);
    EXPECT_TRUE(absl::IsResourceExhausted(refused)) << refused;
    EXPECT_NE(Message(refused).find("bytes of free space"), std::string_view::npos) << refused;
    EXPECT_LE(world.backend->size_bytes(), before.size_bytes);
    EXPECT_EQ(Records(*world.backend), expected);

    world.files.set_capacity_bytes(world.files.used_bytes() + needed + kSpare);
    EXPECT_TRUE(world.Defragment().ok());
    EXPECT_TRUE(seen_copy);
    EXPECT_LT(world.backend->size_bytes(), before.size_bytes);
    EXPECT_EQ(Records(*world.backend), expected);
  }
}

// Whatever operation fails or is the last before a crash: nothing that was committed is missing.
void StopAtEveryOperation(const Shape& shape, bool crash) {
  bool through = false;
  for (uint64_t n = 1; !through; ++n) {
    SCOPED_TRACE(std::string(shape.name) + (crash ? ", crash" : ", error") + " at operation " +
                 std::to_string(n));
    World world(n);
    ASSERT_TRUE(world.Open().ok());
    shape.fill(world, shape.records);
    auto expected = Records(*world.backend);
    uint64_t operations = 0;
    bool hit = false;
    bool seen_copy = false;
    world.files.set_before_operation([&](SimOperation operation, const std::string& path) -> Status {
      seen_copy = seen_copy || path.starts_with("db.tmp.");
      if (hit || !Changes(operation) || ++operations != n) return {};
      hit = true;
      if (!crash) return DataLoss("injected");
      world.files.Crash();
      return {};
    });
    const Status result = world.Defragment([&] {
      if (hit) return;
      bool committed = false;
      PutOne(world, "meanwhile", "x");
      world.backend->Commit([&committed] { committed = true; });
      world.executor.RunUntilIdle();
      if (committed && !hit) expected = Records(*world.backend);
    });
    through = !hit;
    world.files.set_before_operation({});
    EXPECT_TRUE(hit || (result.ok() && seen_copy == (shape.fill == FillWithGrowing))) << result;
    if (!crash && world.fatal.ok()) {
      PutOne(world, "after", "x");  // Life goes on.
      expected = Records(*world.backend);
      ASSERT_TRUE(world.Close().ok());
      EXPECT_EQ(Files(world), 1u);
    }
    world.Forget();
    ASSERT_TRUE(world.Open().ok());
    EXPECT_EQ(Files(world), 1u);
    const auto found = Records(*world.backend);
    // The put that was under way may be there.
    EXPECT_LE(found.size(), expected.size() + 1);
    for (const auto& [revision, record] : expected) {
      const auto it = found.find(revision);
      ASSERT_TRUE(it != found.end() && it->second == record) << revision.main;
    }
    ASSERT_FALSE(testing::Test::HasFailure());
  }
}

TEST(DefragmenterTest, ACrashAtAnyOperationLosesNothing) {
  for (const Shape& shape : kShapes) StopAtEveryOperation(shape, true);
}
TEST(DefragmenterTest, AnErrorAtAnyOperationLosesNothing) {
  for (const Shape& shape : kShapes) StopAtEveryOperation(shape, false);
}

// Milliseconds of the loop's time until the end, with so many changes in each, and a commit of them.
int MillisecondsUnder(const Shape& shape, int changes) {
  World world(1, InlineExecutor::Mode::kQueued);
  EXPECT_TRUE(world.Open().ok());
  shape.fill(world, shape.records);
  bool ended = false;
  world.backend->Defragment([&ended](const Status& status) { ended = status.ok(); });
  int milliseconds = 0;
  for (; !ended && milliseconds < 10'000; ++milliseconds) {
    for (int i = 0; i < changes; ++i) PutOne(world, "meanwhile", "x");
    if (changes > 0) world.backend->Commit({});
    world.executor.RunUntilIdle();
    world.clock.Advance(1'000'000);
    world.backend->MaybeCommit(world.clock.MonotonicNanos());
    world.executor.RunUntilIdle();
  }
  EXPECT_TRUE(ended);
  return milliseconds;
}

TEST(DefragmenterTest, IsFasterWhereFewWrite) {
  for (const Shape& shape : kShapes) {
    SCOPED_TRACE(shape.name);
    const int idle = MillisecondsUnder(shape, 0);
    EXPECT_LE(MillisecondsUnder(shape, 1), idle + 5);
    EXPECT_GE(MillisecondsUnder(shape, 200), idle + 20);
  }
}

// The reader is answered for as long as it stays; the file is cut when it has left.
TEST(DefragmenterTest, ALongReaderDelaysTheCutOnly) {
  World world(1);
  ASSERT_TRUE(world.Open().ok());
  FillWithSmall(world, 3000);
  ReadView view = world.backend->View();
  const auto expected = Records(*world.backend);
  const Backend::Stats before = world.backend->stats();
  const uint64_t free = before.size_bytes - before.size_in_use_bytes;
  ASSERT_TRUE(world.Defragment().ok());
  EXPECT_GE(world.files.Stat("db")->size, before.size_bytes);
  for (const auto& [revision, record] : expected) {
    ASSERT_EQ(view.GetKeyValue(revision)->has_value(), record[0] == 'p');
  }
  view = ReadView();
  for (int i = 0; i < 50; ++i) {
    if (i % 5 == 0) PutOne(world, "after", "x");
    world.Turn();
  }
  EXPECT_LE(world.files.Stat("db")->size, before.size_bytes - free * 9 / 10);
  EXPECT_EQ(world.files.Stat("db")->size, world.backend->size_bytes());
}

TEST(DefragmenterTest, ASecondOneJoins) {
  World world(1, InlineExecutor::Mode::kQueued);
  ASSERT_TRUE(world.Open().ok());
  FillWithSmall(world, 900);
  bool second = false;
  bool asked = false;
  ASSERT_TRUE(world
                  .Defragment([&] {
                    if (std::exchange(asked, true)) return;
                    world.backend->Defragment([&second](const Status& status) { second = status.ok(); });
                  })
                  .ok());
  EXPECT_TRUE(second);
  // And another one finds nothing to do.
  EXPECT_TRUE(world.Defragment().ok());
}

TEST(DefragmenterTest, EndsWhenTold) {
  for (const Shape& shape : kShapes) {
    bool ended_by_itself = false;
    for (int turns = 0; !ended_by_itself; ++turns) {
      SCOPED_TRACE(std::string(shape.name) + " after " + std::to_string(turns));
      World world(1, InlineExecutor::Mode::kQueued);
      ASSERT_TRUE(world.Open().ok());
      shape.fill(world, shape.records);
      const auto expected = Records(*world.backend);
      Status result = Unknown("not answered");
      world.backend->Defragment([&result](const Status& status) { result = status; });
      for (int i = 0; i < turns; ++i) {
        world.executor.Step();
        if (i % 3 == 2) world.executor.RunCompletions();
        world.clock.Advance(25'000'000);
        world.backend->MaybeCommit(world.clock.MonotonicNanos());
      }
      ended_by_itself = !world.backend->defragmenting();
      world.backend->RefuseDefragmentation(Unavailable("enough"));
      EXPECT_FALSE(world.backend->defragmenting());
      EXPECT_EQ(result.code(), ended_by_itself ? absl::StatusCode::kOk : absl::StatusCode::kUnavailable);
      Status refused;
      world.backend->Defragment([&refused](const Status& status) { refused = status; });
      EXPECT_EQ(Message(refused), "enough");
      if (turns % 2 == 0) world.executor.RunUntilIdle();
      PutOne(world, "after", "x");
      ASSERT_TRUE(world.Close().ok());
      EXPECT_EQ(Files(world), 1u);
      ASSERT_TRUE(world.Open().ok());
      EXPECT_EQ(Records(*world.backend).size(), expected.size() + 1);
    }
  }
}

// The leader's snapshot: whatever was under way, nothing of the old database takes the name after it.
TEST(DefragmenterTest, NoCopyTakesTheNameOfAFileThatCameAfter) {
  for (const Shape& shape : kShapes) {
    bool ended_by_itself = false;
    for (int turns = 0; !ended_by_itself; ++turns) {
      SCOPED_TRACE(std::string(shape.name) + " after " + std::to_string(turns));
      World world(1, InlineExecutor::Mode::kQueued);
      ASSERT_TRUE(world.Open().ok());
      shape.fill(world, shape.records);
      ASSERT_TRUE(world.files.WriteAtomically("received", "the other file", 0600).ok());
      world.backend->Defragment([](const Status&) {});
      for (int i = 0; i < turns; ++i) {
        world.executor.Step();
        if (i % 3 == 2) world.executor.RunCompletions();
        world.clock.Advance(25'000'000);
        world.backend->MaybeCommit(world.clock.MonotonicNanos());
      }
      ended_by_itself = !world.backend->defragmenting();
      world.backend->RefuseDefragmentation(Unavailable("another file comes"));
      world.executor.Submit(
          Lane::kDb, [&world] { ASSERT_TRUE(world.files.Rename("received", "db").ok()); }, [] {});
      PutOne(world, "after", "x");
      world.backend->Commit({});
      world.executor.RunUntilIdle();
      EXPECT_EQ(*world.files.ReadAll("db"), "the other file");
      EXPECT_EQ(Files(world), 1u);
    }
  }
}

// The copy comes nearer to the end though each batch brings more than a step copies.
TEST(DefragmenterTest, ACopyOvertakesItsWriters) {
  World world(1, InlineExecutor::Mode::kQueued);
  ASSERT_TRUE(world.Open().ok());
  FillWithGrowing(world, 200);
  bool ended = false;
  world.backend->Defragment([&ended](const Status& status) { ended = status.ok(); });
  for (int turns = 0; !ended; ++turns) {
    ASSERT_LT(turns, 50);
    for (int i = 0; i < 3; ++i) PutOne(world, "meanwhile", std::string(1'000'000, 'v'));
    world.Turn();
  }
  EXPECT_EQ(Files(world), 1u);
}

// What the store and its clients may do at any time, chosen by `random` alone.
void ChangeSomething(World& world, SeededRandom& random) {
  const std::string key = "k" + std::to_string(random.Below(60));
  switch (random.Below(12)) {
    case 0: {
      WriteTxn txn = world.store->BeginWrite();
      txn.DeleteRange(key, key + "~");
      txn.End();
      return;
    }
    case 1:
      return world.backend->Put(Bucket::kLease, key, std::string(random.Below(300), 'l'));
    case 2:
      return world.backend->Delete(Bucket::kLease, key);
    case 3:
      return world.backend->SetConsistentIndex(world.backend->consistent_index() + 1 + random.Below(9), 1);
    default: {
      const uint64_t bytes_max = random.Below(8) == 0 ? 20'000 : 400;
      return PutOne(world, key,
                    std::string(random.Below(bytes_max), static_cast<char>('a' + random.Below(26))));
    }
  }
}

// A world that is never defragmented has the same contents, after a start too.
TEST(DefragmenterTest, RandomContentsAreThoseOfAnUndefragmentedTwin) {
  const uint64_t first_seed = TestSeed(1);
  for (uint64_t seed = first_seed; seed < first_seed + 8; ++seed) {
    SCOPED_TRACE("QUORATE_TEST_SEED=" + std::to_string(seed));
    World worlds[] = {World(seed, InlineExecutor::Mode::kQueued), World(seed)};
    SeededRandom choices[] = {SeededRandom(seed), SeededRandom(seed)};
    int defragmented = 0;
    for (const int which : {0, 1}) {
      World& world = worlds[which];
      SeededRandom& random = choices[which];
      ASSERT_TRUE(world.Open().ok());
      for (int i = 0; i < 40; ++i) {
        for (uint64_t n = random.Below(60); n > 0; --n) ChangeSomething(world, random);
        if (random.Below(4) == 0) {
          const int64_t current = world.store->current_revision();
          // Refused where it is compacted already, in both alike.
          static_cast<void>(world.store->Compact(
              1 + static_cast<int64_t>(random.Below(static_cast<uint64_t>(current))), {}));
          if (random.Below(2) == 0) world.Settle();
        }
        if (random.Below(3) == 0 && which == 0) {
          world.backend->Defragment([&defragmented](const Status& status) { defragmented += status.ok(); });
        }
        for (int turns = 0; turns < 5; ++turns) world.Turn();
        if (random.Below(10) == 0) {
          world.Settle();
          ASSERT_TRUE(world.Close().ok());
          ASSERT_TRUE(world.Open().ok());
        }
      }
      world.Settle();
      while (world.backend->defragmenting()) world.Turn();
    }
    EXPECT_GT(defragmented, 0);
    const int64_t revision = worlds[1].store->current_revision();
    ASSERT_EQ(worlds[0].store->current_revision(), revision);
    EXPECT_EQ(worlds[0].HashKv(revision)->hash, worlds[1].HashKv(revision)->hash);
    for (World& world : worlds) {
      ASSERT_TRUE(world.Close().ok());
      bolt::Options options;
      options.read_only = true;
      options.lock = LockKind::kNone;
      const auto file = *bolt::Db::Open(world.files, "db", options);
      EXPECT_TRUE(bolt::Check(*file->BeginRead()).ok());
      ASSERT_TRUE(world.Open().ok());
    }
    EXPECT_EQ(Records(*worlds[0].backend), Records(*worlds[1].backend));
    EXPECT_EQ(Leases(*worlds[0].backend), Leases(*worlds[1].backend));
    EXPECT_EQ(worlds[0].backend->consistent_index(), worlds[1].backend->consistent_index());
    ASSERT_FALSE(testing::Test::HasFailure());
  }
}

TEST(DefragmenterTest, ADamagedPageEndsItAndNothingElse) {
  World world(1);
  ASSERT_TRUE(world.Open().ok());
  FillWithSmall(world, 3000);
  bolt::PageId page = 0;
  {
    bolt::Options options;
    options.read_only = true;
    options.lock = LockKind::kNone;
    const auto file = *bolt::Db::Open(world.files, "db", options);
    // Not the last leaf, where the next commit appends.
    const auto tail = *bolt::FindTailPages(*file->BeginRead(), 0, 100);
    page = tail[5].page;
  }
  // Its header says that it is something else.
  ASSERT_TRUE(world.files.FlipBit("db", page * 4096 + 8, 6).ok());
  const Status result = world.Defragment();
  EXPECT_EQ(result.code(), absl::StatusCode::kDataLoss);
  EXPECT_NE(std::string(Message(result)).find("db file db: page " + std::to_string(page)), std::string::npos)
      << result;
  EXPECT_TRUE(world.fatal.ok());
  PutOne(world, "after", "x");
  bool committed = false;
  world.backend->Commit([&committed] { committed = true; });
  world.executor.RunUntilIdle();
  EXPECT_TRUE(committed);
}

}  // namespace
}  // namespace quorate::mvcc
