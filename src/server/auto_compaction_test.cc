#include "server/auto_compaction.h"

#include <gtest/gtest.h>

#include <vector>

namespace quorate::server {
namespace {

constexpr int64_t kMinute = 60'000'000'000;
constexpr int64_t kHour = 60 * kMinute;

struct Recorder {
  std::vector<int64_t> revisions;
  std::function<void(bool)> done;
  AutoCompaction::CompactFn fn() {
    return [this](int64_t revision, std::function<void(bool)> d) {
      revisions.push_back(revision);
      done = std::move(d);
    };
  }
  void Finish(bool ok) { std::exchange(done, nullptr)(ok); }
};

TEST(AutoCompaction, PeriodicCompactsWhatIsOnePeriodOld) {
  Recorder recorder;
  AutoCompaction compaction(AutoCompactionMode::kPeriodic, kHour, recorder.fn());
  EXPECT_EQ(compaction.interval_nanos(), 6 * kMinute);
  // The revision is the minute.
  int64_t minute = 1;
  for (; minute <= 60; ++minute) compaction.Tick(minute * kMinute, minute, true);
  EXPECT_TRUE(recorder.revisions.empty());
  for (; minute <= 61; ++minute) compaction.Tick(minute * kMinute, minute, true);
  ASSERT_EQ(recorder.revisions, std::vector<int64_t>{1});
  // One at a time.
  for (; minute <= 140; ++minute) compaction.Tick(minute * kMinute, minute, true);
  EXPECT_EQ(recorder.revisions.size(), 1u);
  recorder.Finish(false);
  // Tried again at the next sample, with what is a period old by then.
  for (; recorder.revisions.size() < 2 && minute < 150; ++minute)
    compaction.Tick(minute * kMinute, minute, true);
  ASSERT_EQ(recorder.revisions.size(), 2u);
  EXPECT_EQ(recorder.revisions[1], minute - 1 - 60);
  recorder.Finish(true);
  // Then once a period.
  const int64_t compacted_at = minute - 1;
  for (; recorder.revisions.size() < 3 && minute < 300; ++minute)
    compaction.Tick(minute * kMinute, minute, true);
  ASSERT_EQ(recorder.revisions.size(), 3u);
  EXPECT_EQ(minute - 1 - compacted_at, 60);
}

TEST(AutoCompaction, LongPeriodCompactsHourly) {
  Recorder recorder;
  AutoCompaction compaction(AutoCompactionMode::kPeriodic, 10 * kHour, recorder.fn());
  for (int64_t minute = 1; minute <= 14 * 60; ++minute) {
    compaction.Tick(minute * kMinute, minute, true);
    if (recorder.done) recorder.Finish(true);
  }
  EXPECT_EQ(recorder.revisions, (std::vector<int64_t>{1, 61, 121, 181}));
}

TEST(AutoCompaction, FollowersOnlyWatch) {
  Recorder recorder;
  AutoCompaction compaction(AutoCompactionMode::kPeriodic, kHour, recorder.fn());
  int64_t minute = 1;
  for (; minute <= 130; ++minute) compaction.Tick(minute * kMinute, minute, false);
  EXPECT_TRUE(recorder.revisions.empty());
  for (; minute <= 140; ++minute) compaction.Tick(minute * kMinute, minute, true);
  ASSERT_EQ(recorder.revisions.size(), 1u);
  EXPECT_EQ(recorder.revisions[0], 133 - 60);
}

TEST(AutoCompaction, NothingNewIsNotCompactedAgain) {
  Recorder recorder;
  AutoCompaction compaction(AutoCompactionMode::kPeriodic, kHour, recorder.fn());
  for (int64_t minute = 1; minute <= 600; ++minute) {
    compaction.Tick(minute * kMinute, 7, true);
    if (recorder.done) recorder.Finish(true);
  }
  EXPECT_EQ(recorder.revisions, std::vector<int64_t>{7});
}

TEST(AutoCompaction, ByRevision) {
  Recorder recorder;
  AutoCompaction compaction(AutoCompactionMode::kRevision, 100, recorder.fn());
  EXPECT_EQ(compaction.interval_nanos(), 5 * kMinute);
  auto tick = [&, minute = int64_t{0}](int64_t revision) mutable {
    minute += 5;
    compaction.Tick(minute * kMinute, revision, true);
  };
  tick(50);
  tick(99);
  tick(100);
  EXPECT_TRUE(recorder.revisions.empty());
  tick(130);
  ASSERT_EQ(recorder.revisions, std::vector<int64_t>{30});
  recorder.Finish(true);
  tick(130);
  EXPECT_EQ(recorder.revisions.size(), 1u);
  tick(131);
  EXPECT_EQ(recorder.revisions, (std::vector<int64_t>{30, 31}));
}

TEST(AutoCompaction, Off) {
  Recorder recorder;
  AutoCompaction compaction(AutoCompactionMode::kPeriodic, 0, recorder.fn());
  for (int64_t minute = 1; minute <= 600; ++minute) compaction.Tick(minute * kMinute, minute, true);
  EXPECT_TRUE(recorder.revisions.empty());
}

}  // namespace
}  // namespace quorate::server
