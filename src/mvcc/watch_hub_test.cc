#include "mvcc/watch_hub.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <map>
#include <random>
#include <set>

#include "base/env_sim.h"
#include "mvcc/test_seed.h"
#include "mvcc/watch_test_history.h"

namespace quorate::mvcc {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

struct Received {
  EventType type = EventType::kPut;
  int64_t revision = 0;
  std::string key;
  std::string key_value;
  std::string previous;

  auto operator<=>(const Received&) const = default;
};

int64_t ModRevision(std::string_view key_value, std::string* key) {
  wire::Reader kv(key_value);
  int64_t revision = 0;
  while (kv.Next()) {
    if (kv.field() == 1) *key = kv.bytes();
    if (kv.field() == 3) revision = kv.int64();
  }
  return revision;
}

std::vector<Received> Decode(const WatchEvents& events) {
  std::vector<Received> out;
  wire::Reader response(events.bytes);
  while (response.Next()) {
    EXPECT_TRUE(response.Is(11, wire::Type::kBytes));
    Received received;
    wire::Reader event(response.bytes());
    while (event.Next()) {
      if (event.field() == 1) received.type = static_cast<EventType>(event.varint());
      if (event.field() == 2) received.key_value = event.bytes();
      if (event.field() == 3) received.previous = event.bytes();
    }
    EXPECT_TRUE(event.ok());
    received.revision = ModRevision(received.key_value, &received.key);
    out.push_back(std::move(received));
  }
  EXPECT_TRUE(response.ok());
  EXPECT_EQ(out.size(), events.count());
  EXPECT_EQ(events.ends.back(), events.bytes.size());
  EXPECT_EQ(out.front().revision, events.first_revision);
  EXPECT_EQ(out.back().revision, events.last_revision);
  return out;
}

class TestSink final : public WatchSink {
 public:
  bool full() const override { return room_ == 0; }
  void OnEvents(WatchId id, int64_t header_revision, std::shared_ptr<const WatchEvents> events,
                bool fragment) override {
    EXPECT_FALSE(full()) << "handed over to a full sink";
    if (room_ > 0) --room_;
    EXPECT_GE(header_revision, events->last_revision);
    auto& log = received[id];
    // Whole revisions: the next response starts after the last.
    if (!log.empty()) {
      EXPECT_GT(events->first_revision, log.back().revision);
    }
    for (Received& event : Decode(*events)) log.push_back(std::move(event));
    headers[id] = header_revision;
    fragments[id] = fragment;
    shared.push_back(std::move(events));
  }
  void OnCompacted(WatchId id, int64_t compact_revision) override {
    EXPECT_TRUE(compacted.emplace(id, compact_revision).second);
  }
  void OnProgress(WatchId id, int64_t header_revision) override {
    progress.emplace_back(id, header_revision);
    if (on_progress) on_progress(id, header_revision);
  }

  void set_room(int room) { room_ = room; }
  std::vector<int64_t> Revisions(WatchId id) {
    std::vector<int64_t> out;
    for (const Received& event : received[id]) out.push_back(event.revision);
    return out;
  }

  std::map<WatchId, std::vector<Received>> received;
  std::map<WatchId, int64_t> headers;
  std::map<WatchId, bool> fragments;
  std::vector<std::shared_ptr<const WatchEvents>> shared;
  std::map<WatchId, int64_t> compacted;
  std::vector<std::pair<WatchId, int64_t>> progress;
  std::function<void(WatchId, int64_t)> on_progress;

 private:
  int room_ = -1;  // -1: without end.
};

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
  const WatchId below = *stream->Create({.id = 7, .key = "k", .start_revision = 5});
  const WatchId at = *stream->Create({.key = "k", .start_revision = 6});
  Settle();
  EXPECT_THAT(sink.compacted, ElementsAre(std::pair(below, 6)));
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

// --- against the model
// ------------------------------------------------------------------------------------------------

struct ModelWatcher {
  WatchOptions options;
  int64_t start = 0;
  bool cancelled = false;
  size_t known = 0;  // Events received when it was cancelled.

  bool Wants(const TestChange& change) const {
    if (change.revision.main < start) return false;
    if (change.type == EventType::kPut ? options.no_put : options.no_delete) return false;
    if (options.range_end.empty()) return change.key == options.key;
    if (change.key < options.key) return false;
    return options.range_end == std::string(1, '\0') || change.key < options.range_end;
  }
};

struct ModelStream {
  TestSink sink;
  std::unique_ptr<WatchStream> stream;
  std::map<WatchId, ModelWatcher> watchers;  // Ids are not used twice.
};

class RandomRun {
 public:
  explicit RandomRun(uint64_t seed)
      : random_(seed), env_random_(seed), executor_(InlineExecutor::Mode::kQueued, &env_random_) {
    WatchHubOptions options;
    options.progress_interval_nanos = 1'000'000'000;
    options.response_bytes_max = 1 + random_() % 400;
    options.response_revisions_max = 1 + random_() % 20;
    options.read_bytes_max = 1 + random_() % 3000;
    options.read_watchers_max = 1 + random_() % 8;
    options.read_window = static_cast<int64_t>(random_() % 60);
    options.tail_bytes_max = 1 + random_() % 3000;
    hub_.emplace(Env{nullptr, &clock_, &env_random_, &executor_}, &history_, options);
  }

  ~RandomRun() {
    for (auto& stream : streams_) stream->stream.reset();
  }

  void Go(int steps) {
    for (int i = 0; i < steps && !::testing::Test::HasFailure(); ++i) {
      Step();
      if (i % 20 == 0) hub_->CheckInvariants();
    }
    history_.set_resident(true);
    for (auto& stream : streams_) stream->sink.set_room(-1);
    clock_.Advance(200'000'000);
    for (int i = 0; i < 3000; ++i) {
      hub_->Flush();
      executor_.RunUntilIdle();
    }
    EXPECT_EQ(hub_->stats().slow_watchers, 0u);
    hub_->CheckInvariants();
    for (auto& stream : streams_)
      for (auto& [id, watcher] : stream->watchers) CheckWatcher(*stream, id, watcher, true, INT64_MAX);
  }

 private:
  std::string Key() { return std::string(1 + random_() % 2, static_cast<char>('a' + random_() % 5)); }

  void Step() {
    switch (random_() % 16) {
      case 0:
        return OpenOrClose();
      case 1:
      case 2:
        return Create();
      case 3:
        return Cancel();
      case 4:
        if (random_() % 8 == 0 && history_.current_revision() > 3) {
          const int64_t low = std::max<int64_t>(history_.compacted_revision(), 1);
          history_.Compact(
              low +
              static_cast<int64_t>(random_() % static_cast<uint64_t>(history_.current_revision() - low + 1)));
        }
        return;
      case 5:
        if (!streams_.empty()) {
          ModelStream& stream = *streams_[random_() % streams_.size()];
          stream.sink.set_room(random_() % 2 == 0 ? -1 : static_cast<int>(random_() % 4));
          if (random_() % 2 == 0) stream.stream->Resume();
        }
        return;
      case 6:
        if (!streams_.empty()) streams_[random_() % streams_.size()]->stream->RequestProgress();
        return;
      case 7:
        clock_.Advance(static_cast<int64_t>(random_() % 200'000'000));
        return;
      case 8:
        history_.set_resident(random_() % 3 != 0);
        return;
      case 9:
      case 10:
        executor_.Step();
        return;
      case 11:
        executor_.RunCompletions();
        hub_->Flush();
        return;
      case 12:
        return hub_->Flush();
      default:
        return Write();
    }
  }

  void Write() {
    std::vector<std::pair<std::string, std::optional<std::string>>> writes;
    std::set<std::string> seen;
    for (uint64_t n = 1 + random_() % 3; n > 0; --n) {
      const std::string key = Key();
      if (!seen.insert(key).second) continue;
      if (history_.Exists(key) && random_() % 3 == 0) {
        writes.emplace_back(key, std::nullopt);
        if (random_() % 4 == 0) writes.emplace_back(key, "again");
      } else {
        writes.emplace_back(key, std::string(random_() % 40, 'x'));
      }
    }
    hub_->Notify(history_.Commit(writes));
  }

  void OpenOrClose() {
    if (streams_.size() < 4) {
      auto stream = std::make_unique<ModelStream>();
      ModelStream* raw = stream.get();
      raw->stream = hub_->OpenStream(&raw->sink);
      raw->sink.on_progress = [this, raw](WatchId id, int64_t revision) {
        CheckProgress(*raw, id, revision);
      };
      streams_.push_back(std::move(stream));
    } else if (random_() % 4 == 0) {
      const size_t at = random_() % streams_.size();
      for (auto& [id, watcher] : streams_[at]->watchers)
        CheckWatcher(*streams_[at], id, watcher, false, INT64_MAX);
      streams_[at]->stream.reset();
      streams_.erase(streams_.begin() + static_cast<ptrdiff_t>(at));
    }
  }

  void Create() {
    if (streams_.empty()) return;
    ModelStream& stream = *streams_[random_() % streams_.size()];
    if (stream.watchers.size() > 40) return;
    WatchOptions options;
    options.key = Key();
    const uint64_t kind = random_() % 4;
    if (kind == 0) options.range_end = options.key + static_cast<char>('b' + random_() % 4);
    if (kind == 1) options.range_end = std::string(1, '\0');
    const int64_t current = history_.current_revision();
    if (random_() % 2 == 0)
      options.start_revision = 1 + static_cast<int64_t>(random_() % static_cast<uint64_t>(current + 10));
    options.no_put = random_() % 6 == 0;
    options.no_delete = random_() % 6 == 0;
    options.prev_kv = random_() % 3 == 0;
    options.progress_notify = random_() % 3 == 0;
    const auto id = stream.stream->Create(options);
    ASSERT_TRUE(id.ok());
    ModelWatcher watcher{.options = options};
    watcher.start = options.start_revision == 0 ? current + 1 : options.start_revision;
    ASSERT_TRUE(stream.watchers.emplace(*id, watcher).second);
  }

  void Cancel() {
    if (streams_.empty()) return;
    ModelStream& stream = *streams_[random_() % streams_.size()];
    if (stream.watchers.empty()) return;
    auto it = stream.watchers.begin();
    std::advance(it, random_() % stream.watchers.size());
    ASSERT_EQ(stream.stream->Cancel(it->first), !it->second.cancelled);
    if (it->second.cancelled) return;
    it->second.cancelled = true;
    it->second.known = stream.sink.received[it->first].size();
  }

  // What it got is the start of what it is owed; and all of it up to `revision` where `complete`.
  void CheckWatcher(ModelStream& stream, WatchId id, ModelWatcher& watcher, bool complete, int64_t revision) {
    const std::vector<Received>& got = stream.sink.received[id];
    if (watcher.cancelled) {
      ASSERT_EQ(got.size(), watcher.known) << "delivered after the cancel";
    }
    size_t at = 0;
    for (const auto& change : history_.all()) {
      if (!watcher.Wants(*change)) continue;
      if (at == got.size()) {
        if (!complete || watcher.cancelled || change->revision.main > revision) return;
        ASSERT_TRUE(stream.sink.compacted.contains(id))
            << "watcher " << id << " from " << watcher.start << " lacks revision " << change->revision.main;
        return;
      }
      const Received& event = got[at++];
      ASSERT_EQ(event.type, change->type);
      ASSERT_EQ(event.revision, change->revision.main);
      ASSERT_EQ(event.key_value, change->key_value);
      const TestChange* before = history_.Visible(change->key, change->revision.main - 1);
      if (!watcher.options.prev_kv || before == nullptr ||
          (change->type == EventType::kPut && change->create)) {
        ASSERT_EQ(event.previous, "");
      } else if (event.previous.empty()) {
        ASSERT_LT(change->revision.main - 1, history_.compacted_revision());
      } else {
        ASSERT_EQ(event.previous, before->key_value);
      }
    }
    ASSERT_EQ(at, got.size());
  }

  void CheckProgress(ModelStream& stream, WatchId id, int64_t revision) {
    for (auto& [watcher_id, watcher] : stream.watchers) {
      if (watcher.cancelled || (id != kInvalidWatchId && id != watcher_id)) continue;
      if (stream.sink.compacted.contains(watcher_id)) continue;
      if (watcher.options.start_revision != 0) {
        EXPECT_GE(revision, watcher.start);
      }
      CheckWatcher(stream, watcher_id, watcher, true, revision);
    }
  }

  std::mt19937_64 random_;
  SimClock clock_;
  SeededRandom env_random_;
  InlineExecutor executor_;
  TestHistory history_;
  std::optional<WatchHub> hub_;
  std::vector<std::unique_ptr<ModelStream>> streams_;
};

TEST(WatchHubRandom, EveryWatcherGetsExactlyItsHistory) {
  const uint64_t seed = TestSeed();
  for (uint64_t run = 0; run < 40; ++run) {
    SCOPED_TRACE("run " + std::to_string(run));
    RandomRun(seed + run).Go(600);
    if (::testing::Test::HasFailure()) return;
  }
}

}  // namespace
}  // namespace quorate::mvcc
