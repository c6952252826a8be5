// The watch hub on a real store: file, batches, compaction.
#include "mvcc/watch_store_history.h"

#include <gtest/gtest.h>

#include <map>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "base/env_sim.h"
#include "base/test_seed.h"
#include "mvcc/backend.h"
#include "mvcc/store.h"
#include "mvcc/watch_hub.h"
#include "mvcc/watch_test_sink.h"

namespace quorate::mvcc {
namespace {

class WatchStoreTest : public ::testing::Test {
 protected:
  struct Change {
    Received event;
    bool create = false;
  };
  struct Expected {
    std::string key;
    std::string end;
    int64_t start = 0;
    bool previous = false;
  };

  WatchStoreTest()
      : seed_(TestSeed()),
        draw_(seed_),
        random_(seed_),
        files_(seed_),
        executor_(InlineExecutor::Mode::kQueued, &random_) {
    auto backend = Backend::Open(env(), "/db", {});
    EXPECT_TRUE(backend.ok()) << backend.status();
    backend_ = std::move(*backend);
    auto store = Store::Open(env(), backend_.get(), nullptr, {});
    EXPECT_TRUE(store.ok()) << store.status();
    store_ = std::move(*store);
    history_.emplace(store_.get(), backend_.get());
    WatchHubOptions options;
    options.read_bytes_max = 2000;
    options.tail_bytes_max = 2000;
    hub_.emplace(env(), &*history_, options);
    store_->set_observer([this](const EventBatch& batch) {
      for (const Event& event : batch.events) {
        const std::string key(event.key);
        Change change;
        change.event = {event.type, event.revision.main, key, std::string(event.key_value), values_[key]};
        change.create = event.create;
        log_.push_back(change);
      }
      for (const Event& event : batch.events)
        values_[std::string(event.key)] = event.type == EventType::kPut ? std::string(event.key_value) : "";
      hub_->Notify(batch);
    });
  }

  void TearDown() override {
    stream_.reset();
    hub_.reset();
    store_.reset();
    EXPECT_TRUE(backend_->Close().ok());
  }

  Env env() { return {&files_, &clock_, &random_, &executor_}; }

  void Write() {
    WriteTxn txn = store_->BeginWrite();
    for (uint64_t n = 1 + draw_() % 3; n > 0; --n) {
      const std::string key(1, static_cast<char>('a' + draw_() % 8));
      if (draw_() % 4 == 0) {
        txn.DeleteRange(key, "");
      } else if (n == 1) {
        txn.Put(key, std::string(draw_() % 60, 'x'), 0);
      }
    }
    txn.End();
  }

  void Create() {
    WatchOptions options;
    options.key = std::string(1, static_cast<char>('a' + draw_() % 8));
    if (draw_() % 3 == 0) options.range_end = std::string(1, static_cast<char>('i' + draw_() % 2));
    const int64_t current = store_->current_revision();
    if (draw_() % 2 == 0)
      options.start_revision = 1 + static_cast<int64_t>(draw_() % static_cast<uint64_t>(current + 3));
    options.prev_kv = draw_() % 2 == 0;
    const auto id = stream_->Create(options);
    ASSERT_TRUE(id.ok());
    expected_[*id] = {options.key, options.range_end,
                      options.start_revision == 0 ? current + 1 : options.start_revision, options.prev_kv};
  }

  void Round() {
    if (store_->busy()) store_->Step(5);
    backend_->MaybeCommit(clock_.MonotonicNanos());
    while (draw_() % 2 == 0 && executor_.Step()) {
    }
    executor_.RunCompletions();
    hub_->Flush();
  }

  void Check(WatchId id, const Expected& watcher) {
    const std::vector<Received>& got = sink_.received[id];
    const bool ended = sink_.compacted.contains(id);
    size_t at = 0;
    for (const Change& change : log_) {
      const Received& event = change.event;
      const bool inside = watcher.end.empty() ? event.key == watcher.key
                                              : event.key >= watcher.key && event.key < watcher.end;
      if (!inside || event.revision < watcher.start) continue;
      if (at == got.size()) {
        ASSERT_TRUE(ended) << "watcher " << id << " lacks revision " << event.revision;
        return;
      }
      // A compaction at exactly this revision takes a deletion away, and the original does not tell.
      if (got[at].revision != event.revision && compactions_.contains(event.revision)) continue;
      ASSERT_EQ(got[at].revision, event.revision) << "watcher " << id;
      ASSERT_EQ(got[at].type, event.type);
      ASSERT_EQ(got[at].key_value, event.key_value);
      if (!watcher.previous || (event.type == EventType::kPut && change.create)) {
        ASSERT_EQ(got[at].previous, "");
      } else if (got[at].previous.empty()) {
        ASSERT_LT(event.revision - 1, store_->compacted_revision());
      } else {
        ASSERT_EQ(got[at].previous, event.previous);
      }
      ++at;
    }
    ASSERT_EQ(at, got.size());
  }

  const uint64_t seed_;
  std::mt19937_64 draw_;
  SeededRandom random_;
  SimFileSystem files_;
  SimClock clock_;
  InlineExecutor executor_;
  std::unique_ptr<Backend> backend_;
  std::unique_ptr<Store> store_;
  std::optional<StoreHistory> history_;
  std::optional<WatchHub> hub_;
  TestSink sink_;
  std::unique_ptr<WatchStream> stream_;
  std::vector<Change> log_;
  std::map<std::string, std::string> values_;
  std::map<WatchId, Expected> expected_;
  std::set<int64_t> compactions_;
};

TEST_F(WatchStoreTest, EveryWatcherGetsItsHistoryFromFileAndBatches) {
  stream_ = hub_->OpenStream(&sink_);
  for (int step = 0; step < 1500; ++step) {
    Write();
    if (draw_() % 20 == 0) Create();
    if (draw_() % 10 == 0) sink_.set_room(draw_() % 3 == 0 ? 0 : -1);
    if (draw_() % 200 == 0) {
      const int64_t low = std::max<int64_t>(store_->compacted_revision(), 1);
      const int64_t revision =
          low + 1 +
          static_cast<int64_t>(draw_() % static_cast<uint64_t>(store_->current_revision() - low + 1));
      if (store_->Compact(revision, {}).ok()) compactions_.insert(revision);
    }
    clock_.Advance(20'000'000);
    Round();
  }
  sink_.set_room(-1);
  clock_.Advance(200'000'000);
  for (int i = 0; i < 3000; ++i) Round();
  hub_->CheckInvariants();
  EXPECT_EQ(hub_->stats().slow_watchers, 0u);
  for (const auto& [id, watcher] : expected_) {
    Check(id, watcher);
    if (HasFatalFailure()) return;
  }
}

TEST_F(WatchStoreTest, PreviousValuesAreFoundInFileAndBatch) {
  stream_ = hub_->OpenStream(&sink_);
  const auto put = [&](const char* value) {
    WriteTxn txn = store_->BeginWrite();
    txn.Put("k", value, 0);
    txn.End();
  };
  put("one");
  backend_->Commit({});
  executor_.RunUntilIdle();
  const WatchId live = *stream_->Create({.key = "k", .prev_kv = true});
  put("two");
  put("three");
  const WatchId past = *stream_->Create({.key = "k", .start_revision = 2, .prev_kv = true});
  for (int i = 0; i < 20; ++i) {
    hub_->Flush();
    executor_.RunUntilIdle();
  }
  ASSERT_EQ(sink_.received[live].size(), 2u);
  ASSERT_EQ(sink_.received[past].size(), 3u);
  EXPECT_EQ(sink_.received[live][0].previous, log_[0].event.key_value);
  EXPECT_EQ(sink_.received[live][1].previous, log_[1].event.key_value);
  EXPECT_EQ(sink_.received[past][0].previous, "");
  EXPECT_EQ(sink_.received[past][1].previous, log_[0].event.key_value);
  EXPECT_EQ(sink_.received[past][2].previous, log_[1].event.key_value);
}

}  // namespace
}  // namespace quorate::mvcc
