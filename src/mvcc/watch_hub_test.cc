#include "mvcc/watch_hub.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <optional>

#include "base/env_sim.h"
#include "mvcc/watch_test_history.h"
#include "mvcc/watch_test_sink.h"

namespace quorate::mvcc {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class WatchHubTest : public ::testing::Test {
 protected:
  WatchHubTest() { hub_.emplace(Env(), &history_, WatchHubOptions{}); }

  quorate::Env Env() { return {nullptr, &clock_, &random_, &executor_}; }
  void Put(const std::string& key, const std::string& value = "v") {
    hub_->Notify(history_.Commit({{key, value}}));
  }
  void Delete(const std::string& key) { hub_->Notify(history_.Commit({{key, std::nullopt}})); }
  void Settle() {
    for (int i = 0; i < 50; ++i) {
      hub_->Flush();
      executor_.RunUntilIdle();
    }
    hub_->CheckInvariants();
  }

  SimClock clock_;
  SeededRandom random_{1};
  InlineExecutor executor_{InlineExecutor::Mode::kQueued};
  TestHistory history_;
  std::optional<WatchHub> hub_;
};

TEST_F(WatchHubTest, IdsArePickedFromZeroAndAroundTakenOnes) {
  TestSink sink;
  auto stream = hub_->OpenStream(&sink);
  EXPECT_EQ(*stream->Create({.key = "a"}), 0);
  EXPECT_EQ(*stream->Create({.id = 1, .key = "a"}), 1);
  EXPECT_EQ(*stream->Create({.key = "a"}), 2);
  const auto taken = stream->Create({.id = 2, .key = "a"});
  EXPECT_EQ(Message(taken.status()), "mvcc: duplicate watch ID provided on the WatchStream");
  EXPECT_TRUE(stream->Cancel(1));
  EXPECT_FALSE(stream->Cancel(1));
  EXPECT_EQ(*stream->Create({.key = "a"}), 3);
  hub_->CheckInvariants();
}

TEST_F(WatchHubTest, BadRequestsHaveTheOriginalsTexts) {
  TestSink sink;
  auto stream = hub_->OpenStream(&sink);
  EXPECT_EQ(Message(stream->Create({.key = "b", .range_end = "a"}).status()), "mvcc: watcher range is empty");
  EXPECT_EQ(Message(stream->Create({.key = "b", .range_end = "b"}).status()), "mvcc: watcher range is empty");
  EXPECT_EQ(Message(stream->Create({.key = "b", .start_revision = -1}).status()),
            "etcdserver: mvcc: required revision has been compacted");
  EXPECT_EQ(stream->watcher_count(), 0u);
}

TEST_F(WatchHubTest, KeysRangesAndEverything) {
  TestSink sink;
  auto stream = hub_->OpenStream(&sink);
  const WatchId key = *stream->Create({.key = "b"});
  const WatchId range = *stream->Create({.key = "b", .range_end = "c"});
  const WatchId from = *stream->Create({.key = "b", .range_end = std::string(1, '\0')});
  const WatchId all = *stream->Create({.range_end = std::string(1, '\0')});
  for (const char* k : {"a", "b", "bb", "c"}) Put(k);  // 2 3 4 5
  Settle();
  EXPECT_THAT(sink.Revisions(key), ElementsAre(3));
  EXPECT_THAT(sink.Revisions(range), ElementsAre(3, 4));
  EXPECT_THAT(sink.Revisions(from), ElementsAre(3, 4, 5));
  EXPECT_THAT(sink.Revisions(all), ElementsAre(2, 3, 4, 5));
  EXPECT_EQ(sink.headers[key], 3);
}

TEST_F(WatchHubTest, PastPresentAndFutureStarts) {
  for (int i = 0; i < 4; ++i) Put("k");  // 2..5
  TestSink sink;
  auto stream = hub_->OpenStream(&sink);
  const WatchId now = *stream->Create({.key = "k"});
  const WatchId past = *stream->Create({.key = "k", .start_revision = 3});
  const WatchId future = *stream->Create({.key = "k", .start_revision = 8});
  EXPECT_THAT(sink.received, IsEmpty()) << "Create must not call the sink";
  Settle();
  EXPECT_THAT(sink.Revisions(past), ElementsAre(3, 4, 5));
  EXPECT_EQ(sink.headers[past], 5);
  for (int i = 0; i < 4; ++i) Put("k");  // 6..9
  Settle();
  EXPECT_THAT(sink.Revisions(now), ElementsAre(6, 7, 8, 9));
  EXPECT_THAT(sink.Revisions(past), ElementsAre(3, 4, 5, 6, 7, 8, 9));
  EXPECT_THAT(sink.Revisions(future), ElementsAre(8, 9));
}

TEST_F(WatchHubTest, FiltersAndPreviousValues) {
  Put("k", "one");  // 2
  TestSink sink;
  auto stream = hub_->OpenStream(&sink);
  const WatchId no_put = *stream->Create({.key = "k", .start_revision = 2, .no_put = true, .prev_kv = true});
  const WatchId no_delete = *stream->Create({.key = "k", .no_delete = true, .prev_kv = true});
  const WatchId none = *stream->Create({.key = "k", .no_put = true, .no_delete = true});
  Put("k", "two");    // 3
  Delete("k");        // 4
  Put("k", "three");  // 5
  Settle();
  EXPECT_THAT(sink.Revisions(no_put), ElementsAre(4));
  EXPECT_EQ(sink.received[no_put][0].previous, history_.Visible("k", 3)->key_value);
  EXPECT_THAT(sink.Revisions(no_delete), ElementsAre(3, 5));
  EXPECT_EQ(sink.received[no_delete][0].previous, history_.Visible("k", 2)->key_value);
  EXPECT_EQ(sink.received[no_delete][1].previous, "");
  EXPECT_THAT(sink.received[none], IsEmpty());
}

TEST_F(WatchHubTest, PreviousValueThatIsNotInMemoryIsReadElsewhere) {
  Put("k", "one");
  TestSink sink;
  auto stream = hub_->OpenStream(&sink);
  const WatchId id = *stream->Create({.key = "k", .prev_kv = true});
  const WatchId plain = *stream->Create({.key = "k"});
  history_.set_resident(false);
  Put("k", "two");  // 3
  hub_->Flush();
  EXPECT_THAT(sink.Revisions(plain), ElementsAre(3));
  EXPECT_THAT(sink.Revisions(id), IsEmpty());
  Settle();
  EXPECT_THAT(sink.Revisions(id), ElementsAre(3));
  EXPECT_EQ(sink.received[id][0].previous, history_.Visible("k", 2)->key_value);
  EXPECT_EQ(hub_->stats().slow_watchers, 0u);
}

TEST_F(WatchHubTest, WatchersOfOneKeyShareOneEncoding) {
  TestSink sink;
  auto stream = hub_->OpenStream(&sink);
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(stream->Create({.key = "k"}).ok());
  Put("k");
  Put("k");
  Settle();
  ASSERT_EQ(sink.shared.size(), 100u) << "the round's revisions go into one response";
  for (const auto& events : sink.shared) EXPECT_EQ(events, sink.shared[0]);
}

TEST_F(WatchHubTest, CompactedStartIsEndedAndKeepsItsId) {
  for (int i = 0; i < 9; ++i) Put("k");  // 2..10
  history_.Compact(6);
  TestSink sink;
  auto stream = hub_->OpenStream(&sink);
  std::string watched;
  sink.on_compacted = [&](WatchId id) { watched = stream->FindWatched(id)->key; };
  const WatchId below = *stream->Create({.id = 7, .key = "k", .start_revision = 5});
  const WatchId at = *stream->Create({.key = "k", .start_revision = 6});
  Settle();
  EXPECT_THAT(sink.compacted, ElementsAre(std::pair(below, 6)));
  EXPECT_EQ(watched, "k");
  EXPECT_FALSE(stream->FindWatched(below).has_value());
  EXPECT_THAT(sink.Revisions(at), ElementsAre(6, 7, 8, 9, 10));
  EXPECT_FALSE(stream->Create({.id = 7, .key = "k"}).ok());
  EXPECT_EQ(hub_->stats().watchers, 1u);
  stream->RequestProgress();
  EXPECT_THAT(sink.progress, ElementsAre(std::pair(kInvalidWatchId, 10)));
  EXPECT_TRUE(stream->Cancel(7));
  EXPECT_TRUE(stream->Create({.id = 7, .key = "k"}).ok());
}

TEST_F(WatchHubTest, ProgressIsAnsweredOnlyWhenAllAreSynced) {
  for (int i = 0; i < 4; ++i) Put("k");  // 2..5
  TestSink sink;
  auto stream = hub_->OpenStream(&sink);
  stream->RequestProgress();
  EXPECT_THAT(sink.progress, IsEmpty()) << "no watchers";
  const WatchId past = *stream->Create({.key = "k", .start_revision = 2});
  stream->RequestProgress();
  EXPECT_THAT(sink.progress, IsEmpty());
  Settle();
  Put("k");  // Notified, not flushed: the request flushes first.
  sink.on_progress = [&](WatchId, int64_t) { EXPECT_THAT(sink.Revisions(past), ElementsAre(2, 3, 4, 5, 6)); };
  stream->RequestProgress();
  EXPECT_THAT(sink.progress, ElementsAre(std::pair(kInvalidWatchId, 6)));
  // A start that the store has not reached.
  ASSERT_TRUE(stream->Create({.key = "other", .start_revision = 8}).ok());
  sink.on_progress = nullptr;
  stream->RequestProgress();
  EXPECT_EQ(sink.progress.size(), 1u);
  Put("k");
  Put("k");
  stream->RequestProgress();
  EXPECT_EQ(sink.progress.back(), std::pair(kInvalidWatchId, int64_t{8}));
}

// Each request costs the same, however many watchers the stream has: a client may have a hundred thousand of
// them, and send thousands of requests at once.
TEST_F(WatchHubTest, ProgressIsAnsweredWithoutALookAtEachWatcher) {
  constexpr size_t kMany = 1000;
  Put("k");  // 2
  TestSink sink;
  auto stream = hub_->OpenStream(&sink);
  // Those that have waited for their start without an event are asked about the present revision.
  for (size_t i = 0; i < kMany; ++i)
    ASSERT_TRUE(stream->Create({.key = "other", .start_revision = 3 + static_cast<int64_t>(i % 2)}).ok());
  Put("k");  // 3
  Settle();
  size_t asked = history_.times_asked();
  for (size_t i = 0; i < kMany; ++i) stream->RequestProgress();
  EXPECT_LE(history_.times_asked() - asked, 2 * kMany);
  EXPECT_THAT(sink.progress, IsEmpty()) << "half of them wait for revision 4";
  Put("k");  // 4
  Settle();
  asked = history_.times_asked();
  for (size_t i = 0; i < kMany; ++i) stream->RequestProgress();
  EXPECT_LE(history_.times_asked() - asked, 2 * kMany);
  EXPECT_EQ(sink.progress.size(), kMany);
  EXPECT_EQ(sink.progress.back(), std::pair(kInvalidWatchId, int64_t{4}));
  // One that waits, and goes again: with it went what it was waiting for.
  const WatchId late = *stream->Create({.key = "other", .start_revision = 100});
  stream->RequestProgress();
  EXPECT_EQ(sink.progress.size(), kMany);
  EXPECT_TRUE(stream->Cancel(late));
  stream->RequestProgress();
  EXPECT_EQ(sink.progress.size(), kMany + 1);
  hub_->CheckInvariants();
}

TEST_F(WatchHubTest, PeriodicProgressIsLeftOutAfterEvents) {
  constexpr int64_t kInterval = 660'000'000'000;  // With all of the jitter.
  TestSink sink;
  auto stream = hub_->OpenStream(&sink);
  const WatchId quiet = *stream->Create({.key = "q", .progress_notify = true});
  const WatchId busy = *stream->Create({.key = "b", .progress_notify = true});
  ASSERT_TRUE(stream->Create({.key = "b"}).ok());
  Put("b");
  Settle();
  EXPECT_THAT(sink.progress, IsEmpty());
  const int64_t deadline = hub_->NextDeadlineNanos();
  EXPECT_GE(deadline, clock_.MonotonicNanos() + 600'000'000'000);
  EXPECT_LT(deadline, clock_.MonotonicNanos() + kInterval);
  clock_.Advance(kInterval);
  Settle();
  EXPECT_THAT(sink.progress, ElementsAre(std::pair(quiet, 2)));
  clock_.Advance(kInterval);
  Settle();
  EXPECT_THAT(sink.progress, ElementsAre(std::pair(quiet, 2), std::pair(quiet, 2), std::pair(busy, 2)));
  EXPECT_TRUE(stream->Cancel(quiet));
  EXPECT_TRUE(stream->Cancel(busy));
  clock_.Advance(kInterval);
  Settle();
  EXPECT_EQ(sink.progress.size(), 3u);
  EXPECT_EQ(hub_->NextDeadlineNanos(), INT64_MAX);
}

TEST_F(WatchHubTest, FullSinkIsOwedARevisionAndCostsOthersNothing) {
  TestSink slow;
  TestSink quick;
  auto slow_stream = hub_->OpenStream(&slow);
  auto quick_stream = hub_->OpenStream(&quick);
  const WatchId a = *slow_stream->Create({.key = "k", .fragment = true});
  const WatchId b = *quick_stream->Create({.key = "k"});
  slow.set_room(1);
  for (int i = 0; i < 10; ++i) {
    Put("k");
    Settle();
  }
  EXPECT_EQ(quick.received[b].size(), 10u);
  EXPECT_THAT(slow.Revisions(a), ElementsAre(2));
  EXPECT_EQ(hub_->stats().slow_watchers, 1u);
  EXPECT_NE(hub_->NextDeadlineNanos(), INT64_MAX);
  slow.set_room(-1);
  slow_stream->Resume();
  Settle();
  EXPECT_EQ(slow.received[a], quick.received[b]);
  EXPECT_TRUE(slow.fragments[a]);
  EXPECT_EQ(hub_->stats().slow_watchers, 0u);
  EXPECT_EQ(hub_->NextDeadlineNanos(), INT64_MAX);
  // Without Resume the hub looks for itself.
  slow.set_room(0);
  Put("k");
  Settle();
  slow.set_room(-1);
  Settle();
  EXPECT_EQ(slow.received[a].size(), 10u);
  clock_.Advance(100'000'000);
  Settle();
  EXPECT_EQ(slow.received[a].size(), 11u);
}

TEST_F(WatchHubTest, CatchUpEndsAtThePresentThoughWritesGoOn) {
  for (int i = 0; i < 50; ++i) Put("k");
  TestSink sink;
  auto stream = hub_->OpenStream(&sink);
  const WatchId id = *stream->Create({.key = "k", .start_revision = 2});
  hub_->Flush();
  for (int i = 0; i < 20; ++i) {  // While the step reads.
    Put("k");
    hub_->Flush();
  }
  executor_.RunUntilIdle();
  EXPECT_EQ(sink.received[id].size(), 70u);
  EXPECT_EQ(hub_->stats().slow_watchers, 0u);
}

TEST_F(WatchHubTest, ReadErrorIsRetried) {
  Put("k");
  TestSink sink;
  auto stream = hub_->OpenStream(&sink);
  const WatchId id = *stream->Create({.key = "k", .start_revision = 2});
  history_.set_failing(true);
  Settle();
  EXPECT_THAT(sink.Revisions(id), IsEmpty());
  EXPECT_GT(hub_->NextDeadlineNanos(), clock_.MonotonicNanos());
  EXPECT_NE(hub_->NextDeadlineNanos(), INT64_MAX);
  history_.set_failing(false);
  clock_.Advance(1'000'000'000);
  Settle();
  EXPECT_THAT(sink.Revisions(id), ElementsAre(2));
}

TEST_F(WatchHubTest, RestoredStoreIsReadFromWhereEachWatcherStood) {
  for (int i = 0; i < 4; ++i) Put("k");  // 2..5
  TestSink sink;
  auto stream = hub_->OpenStream(&sink);
  const WatchId past = *stream->Create({.key = "k", .start_revision = 4});
  Settle();
  const WatchId now = *stream->Create({.key = "k"});
  const WatchId future = *stream->Create({.key = "k", .start_revision = 9});
  TestHistory newer = history_;
  for (int i = 0; i < 5; ++i) newer.Commit({{"k", "v"}});  // 6..10
  newer.Compact(6);
  hub_->Restored(&newer);
  Settle();
  EXPECT_THAT(sink.Revisions(past), ElementsAre(4, 5, 6, 7, 8, 9, 10));
  EXPECT_THAT(sink.Revisions(now), ElementsAre(6, 7, 8, 9, 10));
  EXPECT_THAT(sink.Revisions(future), ElementsAre(9, 10));
  EXPECT_THAT(sink.compacted, IsEmpty());
  stream.reset();
  hub_.reset();
}

TEST_F(WatchHubTest, HubMayGoWhileAStepRuns) {
  Put("k");
  TestSink sink;
  auto stream = hub_->OpenStream(&sink);
  ASSERT_TRUE(stream->Create({.key = "k", .start_revision = 2}).ok());
  hub_->Flush();
  stream.reset();
  hub_.reset();
  executor_.RunUntilIdle();
  EXPECT_THAT(sink.received, IsEmpty());
}

}  // namespace
}  // namespace quorate::mvcc
