#include "mvcc/backend.h"

#include <gtest/gtest.h>

#include <atomic>
#include <map>
#include <memory>
#include <optional>
#include <semaphore>
#include <string>
#include <vector>

#include "base/thread_executor.h"
#include "mvcc/store_harness_test.h"

namespace quorate::mvcc {
namespace {

using Pairs = std::map<std::string, std::string>;

Pairs All(const Backend& backend, Bucket bucket) {
  Pairs pairs;
  std::string last;
  const Status status = backend.ForEach(bucket, [&](std::string_view key, std::string_view value) {
    EXPECT_GT(key, last);
    last = key;
    pairs[last] = value;
  });
  EXPECT_TRUE(status.ok()) << status;
  return pairs;
}

// Changes show through all three layers: open batch, batch in flight, file.
TEST(BackendTest, SmallBucketsShowPendingChanges) {
  World world(1, InlineExecutor::Mode::kQueued);
  ASSERT_TRUE(world.Open().ok());
  Backend& backend = *world.backend;
  const auto commit = [&] {
    backend.Commit({});
    world.executor.RunUntilIdle();
  };
  backend.Put(Bucket::kLease, "a", "file");
  backend.Put(Bucket::kLease, "b", "file");
  backend.Put(Bucket::kLease, "c", "file");
  commit();
  backend.Put(Bucket::kLease, "b", "in flight");
  backend.Delete(Bucket::kLease, "c");
  backend.Put(Bucket::kLease, "d", "in flight");
  backend.Put(Bucket::kLease, "e", "in flight");
  backend.Commit({});  // Its work has not run.
  backend.Delete(Bucket::kLease, "a");
  backend.Put(Bucket::kLease, "c", "open");
  backend.Delete(Bucket::kLease, "e");
  const Pairs expected = {{"b", "in flight"}, {"c", "open"}, {"d", "in flight"}};
  EXPECT_EQ(All(backend, Bucket::kLease), expected);
  EXPECT_EQ(*backend.Get(Bucket::kLease, "a"), std::nullopt);
  EXPECT_EQ(*backend.Get(Bucket::kLease, "b"), "in flight");
  EXPECT_EQ(*backend.Get(Bucket::kLease, "c"), "open");
  commit();
  EXPECT_EQ(All(backend, Bucket::kLease), expected);
  EXPECT_TRUE(All(backend, Bucket::kAlarm).empty());
}

TEST(BackendTest, CommitsByIntervalAndByNumber) {
  World world(1);
  world.backend_options.batch_operations = 3;
  ASSERT_TRUE(world.Open().ok());
  Backend& backend = *world.backend;
  EXPECT_EQ(backend.next_commit_nanos(), INT64_MAX);
  backend.Put(Bucket::kAuth, "a", "1");
  const int64_t due = world.clock.MonotonicNanos() + world.backend_options.batch_interval_nanos;
  EXPECT_EQ(backend.next_commit_nanos(), due);
  backend.MaybeCommit(due - 1);
  EXPECT_EQ(backend.stats().pending_operations, 1u);
  backend.MaybeCommit(due);
  world.executor.RunUntilIdle();
  EXPECT_EQ(backend.stats().pending_operations, 0u);
  EXPECT_EQ(backend.stats().commits, 1u);
  for (const char* key : {"b", "c", "d"}) backend.Put(Bucket::kAuth, key, "1");
  backend.MaybeCommit(world.clock.MonotonicNanos());
  world.executor.RunUntilIdle();
  EXPECT_EQ(backend.stats().commits, 2u);
}

TEST(BackendTest, ConsistentIndexComesWithAChangeOrWhenAsked) {
  World world(1);
  const auto reopened_index = [&world] {
    world.Forget();
    EXPECT_TRUE(world.Open().ok());
    return world.backend->consistent_index();
  };
  ASSERT_TRUE(world.Open().ok());
  world.backend->SetConsistentIndex(5, 2);
  world.clock.Advance(1'000'000'000);
  world.backend->MaybeCommit(world.clock.MonotonicNanos());
  world.executor.RunUntilIdle();
  EXPECT_EQ(reopened_index(), 0u);  // No change, so nothing was written.
  world.backend->SetConsistentIndex(6, 2);
  world.backend->Put(Bucket::kAlarm, "a", "");
  world.backend->SetConsistentIndex(4, 2);  // Older: ignored.
  world.clock.Advance(1'000'000'000);
  world.backend->MaybeCommit(world.clock.MonotonicNanos());
  world.executor.RunUntilIdle();
  EXPECT_EQ(reopened_index(), 6u);
  EXPECT_EQ(*world.backend->Get(Bucket::kMeta, kTermKey), std::nullopt);
  world.backend->set_write_term(true);
  world.backend->SetConsistentIndex(7, 3);
  world.backend->Commit({});
  world.executor.RunUntilIdle();
  EXPECT_EQ(reopened_index(), 7u);
  EXPECT_EQ(world.backend->consistent_term(), 3u);
}

TEST(BackendTest, CloseWritesEverythingAlsoWhatWasInFlight) {
  World world(1, InlineExecutor::Mode::kQueued);
  ASSERT_TRUE(world.Open().ok());
  world.backend->Put(Bucket::kAuth, "a", "1");
  world.backend->Commit({});
  world.backend->Put(Bucket::kAuth, "b", "2");
  ASSERT_TRUE(world.Close().ok());
  ASSERT_TRUE(world.Open().ok());
  EXPECT_EQ(All(*world.backend, Bucket::kAuth), (Pairs{{"a", "1"}, {"b", "2"}}));
}

TEST(BackendTest, AFailedSyncIsFatal) {
  World world(1);
  ASSERT_TRUE(world.Open().ok());
  world.backend->Put(Bucket::kAuth, "a", "1");
  world.files.InjectError(SimOperation::kSync, 1, "db");
  bool done = false;
  world.backend->Commit([&done] { done = true; });
  world.executor.RunUntilIdle();
  EXPECT_FALSE(done);
  EXPECT_FALSE(world.fatal.ok());
  world.fatal = {};
  world.backend->Put(Bucket::kAuth, "b", "1");
  world.backend->Commit([&done] { done = true; });
  world.executor.RunUntilIdle();
  EXPECT_FALSE(done);
  EXPECT_TRUE(world.fatal.ok());  // Told once.
}

void PutOne(World& world, const std::string& key, const std::string& value) {
  WriteTxn txn = world.store->BeginWrite();
  txn.Put(key, value, 0);
  txn.End();
}

TEST(BackendTest, AViewStaysAsItWas) {
  World world(1, InlineExecutor::Mode::kQueued);
  ASSERT_TRUE(world.Open().ok());
  std::vector<std::pair<ReadView, std::map<Revision, std::string>>> views;
  const auto records = [](const ReadView& view) {
    std::map<Revision, std::string> result;
    EXPECT_TRUE(view.Scan({0, 0}, {INT64_MAX, 0},
                          [&](Revision revision, bool, std::string_view value) {
                            result[revision] = std::string(value);
                            return true;
                          })
                    .ok());
    return result;
  };
  for (int i = 0; i < 2000; ++i) {
    PutOne(world, "k" + std::to_string(i % 7), std::string(static_cast<size_t>(i), 'v'));
    if (i % 100 == 50) world.backend->Commit({});
    if (i % 100 == 80) world.executor.RunUntilIdle();
    if (i % 40 == 0) {
      views.emplace_back(world.backend->View(), records(world.backend->View()));
      EXPECT_EQ(views.back().second.size(), static_cast<size_t>(i + 1));
    }
  }
  for (const auto& [view, expected] : views) {
    EXPECT_EQ(records(view), expected);
    EXPECT_EQ(*view.GetKeyValue(expected.rbegin()->first), expected.rbegin()->second);
    EXPECT_EQ(*view.GetKeyValue({expected.rbegin()->first.main + 1, 0}), std::nullopt);
  }
}

// Readers on their threads, the db lane on its own, the core writing all the while: what ThreadSanitizer
// wants to see.
TEST(BackendTest, ReadersRunBesideTheCore) {
  World world(1);
  std::counting_semaphore<> woken(0);
  ThreadExecutor threads(2, [&woken] { woken.release(); });
  Env env = world.env();
  env.executor = &threads;
  auto backend = *Backend::Open(env, "db", world.backend_options);
  auto store = *Store::Open(env, backend.get(), &world.leases, {});
  int reading = 0;
  std::atomic<int> wrong = 0;
  for (int i = 0; i < 3000; ++i) {
    WriteTxn txn = store->BeginWrite();
    txn.Put("k" + std::to_string(i % 50), std::string(static_cast<size_t>(i % 700), 'v'), 0);
    const int64_t revision = txn.End();
    if (i % 100 == 0) backend->Commit({});
    if (i % 50 == 0) {
      ++reading;
      auto plan = std::make_shared<RangePlan>(*store->PlanRange({.key = "k", .range_end = "l"}));
      threads.Submit(
          Lane::kRead,
          [plan, view = store->History(), revision, &wrong] {
            int64_t seen = 1;
            const Status scanned = view.Scan(
                2, INT64_MAX, [&seen](const Event& event) { return event.revision.main == ++seen; });
            const auto result = plan->Finish();
            if (!scanned.ok() || seen != revision || !result.ok()) ++wrong;
          },
          [&reading] { --reading; });
    }
    threads.RunCompletions();
  }
  while (reading > 0) {
    woken.acquire();
    threads.RunCompletions();
  }
  EXPECT_EQ(wrong, 0);
  store.reset();
  EXPECT_TRUE(backend->Close().ok());
  threads.Shutdown();
}

// A copy made after another file has taken the place would put the old state there again.
TEST(BackendTest, NoDefragmentationOfAFileThatIsReplaced) {
  World world(1, InlineExecutor::Mode::kQueued);
  ASSERT_TRUE(world.Open().ok());
  PutOne(world, "k", "v");
  world.backend->Commit({});  // Its work has not run, so the defragmentation has to wait for it.
  Status waiting;
  world.backend->Defragment([&waiting](const Status& status) { waiting = status; });
  world.backend->RefuseDefragmentation(Unavailable("another file comes"));
  EXPECT_EQ(waiting.code(), absl::StatusCode::kUnavailable);
  EXPECT_FALSE(world.backend->defragmenting());
  Status later;
  world.backend->Defragment([&later](const Status& status) { later = status; });
  EXPECT_EQ(later.code(), absl::StatusCode::kUnavailable);
  world.executor.RunUntilIdle();
  EXPECT_EQ(world.backend->stats().commits, 1u);
}

// The step that such a commit takes along would go on with a copy that has the file's name already.
TEST(BackendTest, ACommitThatAWaiterWantsBeginsAfterTheStepHasEnded) {
  World world(1, InlineExecutor::Mode::kQueued);
  ASSERT_TRUE(world.Open().ok());
  // No page is free, but each is half empty: that calls for a copy.
  for (int i = 0; i < 900; ++i)
    PutOne(world, i % 2 == 0 ? "gone" : "k" + std::to_string(i), std::string(300, 'v'));
  ASSERT_TRUE(world.store->Compact(world.store->current_revision(), {}).ok());
  world.Settle();
  PutOne(world, "next", "");
  world.Turn();
  bool seen_copy = false;
  world.files.set_before_operation([&seen_copy](SimOperation, const std::string& path) -> Status {
    seen_copy = seen_copy || path.starts_with("db.tmp.");
    return {};
  });
  std::optional<Status> result;
  world.backend->Defragment([&result](const Status& status) { result = status; });
  for (int turns = 0; !result && turns < 10'000; ++turns) {
    world.backend->Commit([&world] { world.backend->Commit({}); });
    world.executor.Step();
    world.executor.RunCompletions();
    world.clock.Advance(1'000'000);
  }
  world.executor.RunUntilIdle();
  ASSERT_TRUE(result);
  EXPECT_TRUE(result->ok()) << *result;
  EXPECT_TRUE(world.fatal.ok()) << world.fatal;
  EXPECT_TRUE(seen_copy);
}

TEST(BackendTest, ASnapshotIsADbFileOfItsOwn) {
  World world(1);
  ASSERT_TRUE(world.Open().ok());
  for (int i = 0; i < 500; ++i) PutOne(world, "k" + std::to_string(i), "v");
  const auto expected = Records(*world.backend);
  std::string bytes;
  world.backend->BeginSnapshot([&](StatusOr<std::shared_ptr<Backend::Snapshot>> snapshot) {
    ASSERT_TRUE(snapshot.ok()) << snapshot.status();
    ASSERT_TRUE((*snapshot)
                    ->CopyTo([&bytes](std::string_view chunk) {
                      bytes += chunk;
                      return Status();
                    })
                    .ok());
    EXPECT_EQ(bytes.size(), (*snapshot)->size_bytes());
  });
  world.executor.RunUntilIdle();
  World other(2);
  ASSERT_TRUE(other.files.WriteAtomically("db", bytes, 0600).ok());
  ASSERT_TRUE(other.Open().ok());
  EXPECT_EQ(Records(*other.backend), expected);
}

// A commit under way is waited for, and what is changed meanwhile is in the snapshot; what comes later is
// not.
TEST(BackendTest, ASnapshotShowsTheMomentThatItWasTold) {
  World world(1, InlineExecutor::Mode::kQueued);
  ASSERT_TRUE(world.Open().ok());
  PutOne(world, "before", "v");
  world.backend->Commit({});
  PutOne(world, "asked", "v");
  size_t at_freeze = 0;
  std::string bytes;
  world.backend->BeginSnapshot([&] { at_freeze = Records(*world.backend).size(); },
                               [&](StatusOr<std::shared_ptr<Backend::Snapshot>> snapshot) {
                                 ASSERT_TRUE(snapshot.ok()) << snapshot.status();
                                 ASSERT_TRUE((*snapshot)
                                                 ->CopyTo([&bytes](std::string_view chunk) {
                                                   bytes += chunk;
                                                   return Status();
                                                 })
                                                 .ok());
                               });
  EXPECT_EQ(at_freeze, 0u);  // The commit is under way.
  PutOne(world, "meanwhile", "v");
  while (at_freeze == 0) {
    world.executor.Step();
    world.executor.RunCompletions();
  }
  EXPECT_EQ(at_freeze, 3u);
  PutOne(world, "later", "v");
  world.executor.RunUntilIdle();
  World other(2);
  ASSERT_TRUE(other.files.WriteAtomically("db", bytes, 0600).ok());
  ASSERT_TRUE(other.Open().ok());
  EXPECT_EQ(Records(*other.backend).size(), at_freeze);
}

}  // namespace
}  // namespace quorate::mvcc
