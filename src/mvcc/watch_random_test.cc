// The watch hub against a model: random writes, watchers, cancels, compactions, slow sinks and slow reads.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "base/env_sim.h"
#include "base/test_seed.h"
#include "mvcc/watch_hub.h"
#include "mvcc/watch_test_history.h"
#include "mvcc/watch_test_sink.h"

namespace quorate::mvcc {
namespace {

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
