#include "lease/lessor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <map>
#include <optional>
#include <random>
#include <set>

#include "base/env_sim.h"
#include "base/test_seed.h"
#include "lease/lease_record.h"

namespace quorate::lease {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr int64_t kSecond = 1'000'000'000;

TEST(LeaseRecord, BytesAreTheOriginals) {
  EXPECT_EQ(EncodeLeaseKey(0x0102030405060708), std::string("\1\2\3\4\5\6\7\10", 8));
  EXPECT_EQ(EncodeLeaseRecord({1, 60, 0}), std::string("\x08\x01\x10\x3c", 4));
  EXPECT_EQ(EncodeLeaseRecord({1, 60, 7}), std::string("\x08\x01\x10\x3c\x18\x07", 6));
  for (const LeaseRecord& record : {LeaseRecord{1, 60, 0}, LeaseRecord{-5, 9'000'000'000, 300}}) {
    const auto decoded = DecodeLeaseRecord(EncodeLeaseKey(record.id), EncodeLeaseRecord(record));
    ASSERT_TRUE(decoded.ok());
    EXPECT_EQ(*decoded, record);
  }
}

TEST(LeaseRecord, DamageIsReported) {
  const std::string key = EncodeLeaseKey(1);
  const std::string value = EncodeLeaseRecord({1, 60, 7});
  for (size_t n = 0; n < value.size(); ++n) {
    if (n == 2 || n == 4) continue;  // Whole fields.
    EXPECT_EQ(DecodeLeaseRecord(key, value.substr(0, n)).status().code(), absl::StatusCode::kDataLoss) << n;
  }
  EXPECT_FALSE(DecodeLeaseRecord(key.substr(1), value).ok());
  EXPECT_FALSE(DecodeLeaseRecord(EncodeLeaseKey(2), value).ok());
}

struct Thing {
  int id = 0;
  uint32_t slot = kNotInHeap;
};

TEST(DueHeap, AgreesWithASortedSet) {
  const uint64_t seed = TestSeed(std::random_device()());
  std::printf("QUORATE_TEST_SEED=%llu\n", static_cast<unsigned long long>(seed));
  std::mt19937_64 random(seed);
  std::vector<Thing> things(60);
  for (int i = 0; i < 60; ++i) things[static_cast<size_t>(i)].id = i;
  DueHeap<Thing, &Thing::slot> heap;
  std::map<int, int64_t> model;
  for (int step = 0; step < 5000; ++step) {
    Thing& thing = things[random() % things.size()];
    if (random() % 3 == 0) {
      heap.Remove(&thing);
      model.erase(thing.id);
    } else {
      const auto due = static_cast<int64_t>(random() % 50);
      heap.Set(&thing, due);
      model[thing.id] = due;
    }
    heap.CheckInvariants();
    ASSERT_EQ(heap.size(), model.size());
    if (model.empty()) continue;
    std::pair<int64_t, int> first{INT64_MAX, 0};
    for (const auto& [id, due] : model) first = std::min(first, {due, id});
    ASSERT_EQ(std::pair(heap.first_due(), heap.first()->id), first);
  }
}

TEST(MinTtl, IsTheOriginalsFormula) {
  EXPECT_EQ(MinTtlSeconds(10, 100), 2);
  EXPECT_EQ(MinTtlSeconds(10, 1000), 15);
  EXPECT_EQ(MinTtlSeconds(5, 100), 1);  // Whole ticks: 7, not 7.5.
  EXPECT_EQ(MinTtlSeconds(3, 250), 1);
  EXPECT_EQ(MinTtlSeconds(7, 101), 2);
}

class LessorTest : public ::testing::Test {
 protected:
  LessorTest() {
    auto backend = mvcc::Backend::Open(env(), "/db", {});
    EXPECT_TRUE(backend.ok()) << backend.status();
    backend_ = std::move(*backend);
    Reopen({});
  }
  void TearDown() override {
    lessor_.reset();
    EXPECT_TRUE(backend_->Close().ok());
  }

  Env env() { return {&files_, &clock_, &random_, &executor_}; }
  void Reopen(LessorOptions options) {
    lessor_.reset();
    auto lessor = Lessor::Open(env(), backend_.get(), options);
    ASSERT_TRUE(lessor.ok()) << lessor.status();
    lessor_ = std::move(*lessor);
  }
  // As the server does it, without a store: the keys that were deleted.
  std::vector<std::string> Revoke(LeaseId id) {
    std::vector<std::string> deleted;
    EXPECT_TRUE(lessor_
                    ->Revoke(id,
                             [&](std::string_view key) {
                               deleted.emplace_back(key);
                               lessor_->Detach(id, key);
                             })
                    .ok());
    return deleted;
  }
  int64_t Remaining(LeaseId id) { return lessor_->Lookup(id, false)->remaining_seconds; }

  SimFileSystem files_{1};
  SimClock clock_;
  SeededRandom random_{1};
  InlineExecutor executor_;
  std::unique_ptr<mvcc::Backend> backend_;
  std::unique_ptr<Lessor> lessor_;
};

TEST_F(LessorTest, GrantChecksAndTexts) {
  EXPECT_EQ(*lessor_->Grant(1, 60), 60);
  EXPECT_EQ(*lessor_->Grant(2, 1), 2) << "raised to the least TTL";
  EXPECT_EQ(*lessor_->Grant(3, -7), 2);
  EXPECT_EQ(*lessor_->Grant(-4, 9'000'000'000), 9'000'000'000);
  const struct {
    LeaseId id;
    int64_t ttl;
    absl::StatusCode code;
    const char* text;
  } refused[] = {
      {0, 60, absl::StatusCode::kNotFound, "etcdserver: requested lease not found"},
      {1, 60, absl::StatusCode::kFailedPrecondition, "etcdserver: lease already exists"},
      {5, 9'000'000'001, absl::StatusCode::kOutOfRange, "etcdserver: too large lease TTL"},
      {1, 9'000'000'001, absl::StatusCode::kOutOfRange, "etcdserver: too large lease TTL"},
  };
  for (const auto& c : refused) {
    const auto result = lessor_->Grant(c.id, c.ttl);
    EXPECT_EQ(result.status().code(), c.code);
    EXPECT_EQ(Message(result.status()), c.text);
  }
  lessor_->Promote(0);
  EXPECT_GT(Remaining(-4), 8'999'999'999 / 2) << "no overflow";
  EXPECT_EQ(lessor_->size(), 4u);
  lessor_->CheckInvariants();
}

TEST_F(LessorTest, RevokeGivesKeysInOrderAndForgetsTheLease) {
  ASSERT_TRUE(lessor_->Grant(1, 60).ok());
  ASSERT_TRUE(lessor_->Grant(2, 60).ok());
  for (const char* key : {"c", "a", "b"}) ASSERT_TRUE(lessor_->Attach(1, key).ok());
  ASSERT_TRUE(lessor_->Attach(2, "b").ok()) << "a key has one lease, the last";
  EXPECT_EQ(lessor_->LeaseOf("b"), 2);
  lessor_->Detach(1, "b");
  EXPECT_EQ(lessor_->LeaseOf("b"), 2);
  EXPECT_EQ(Message(lessor_->Attach(9, "x")), "etcdserver: requested lease not found");
  lessor_->Detach(9, "x");
  EXPECT_THAT(lessor_->Lookup(1, true)->keys, ElementsAre("a", "c"));
  EXPECT_THAT(Revoke(1), ElementsAre("a", "c"));
  EXPECT_EQ(lessor_->LeaseOf("a"), kNoLease);
  EXPECT_FALSE(lessor_->Exists(1));
  EXPECT_EQ(Message(lessor_->Revoke(1, [](std::string_view) {})), "etcdserver: requested lease not found");
  EXPECT_EQ(Message(lessor_->Lookup(1, false).status()), "etcdserver: requested lease not found");
  EXPECT_FALSE(backend_->Get(mvcc::Bucket::kLease, EncodeLeaseKey(1))->has_value());
  lessor_->CheckInvariants();
}

TEST_F(LessorTest, OnlyThePrimaryCountsTime) {
  ASSERT_TRUE(lessor_->Grant(1, 10).ok());
  clock_.Advance(100 * kSecond);
  EXPECT_THAT(lessor_->TakeExpired(), IsEmpty());
  EXPECT_EQ(lessor_->NextDeadlineNanos(), INT64_MAX);
  EXPECT_EQ(lessor_->Renew(1).result, RenewResult::kNotPrimary);
  EXPECT_EQ(Remaining(1), 9223372036);
  lessor_->Promote(kSecond);
  EXPECT_EQ(Remaining(1), 11);
  EXPECT_EQ(lessor_->NextDeadlineNanos(), clock_.MonotonicNanos() + 11 * kSecond);
  clock_.Advance(11 * kSecond - 1);
  EXPECT_THAT(lessor_->TakeExpired(), IsEmpty());
  EXPECT_EQ(lessor_->Renew(1).ttl_seconds, 10);
  clock_.Advance(10 * kSecond);
  EXPECT_EQ(lessor_->Renew(1).result, RenewResult::kExpired);
  EXPECT_THAT(lessor_->TakeExpired(), ElementsAre(1));
  lessor_->Demote();
  EXPECT_EQ(lessor_->Renew(1).result, RenewResult::kNotPrimary);
  EXPECT_THAT(lessor_->TakeExpired(), IsEmpty());
  lessor_->Promote(0);
  EXPECT_EQ(Remaining(1), 10) << "a new primary starts afresh";
  Revoke(1);
  EXPECT_EQ(lessor_->Renew(1).result, RenewResult::kNotFound);
  lessor_->CheckInvariants();
}

TEST_F(LessorTest, ExpiredLeasesComeAtHalfTheRateEachRoundAndAgainAfterTheRetryTime) {
  lessor_->Promote(0);
  for (LeaseId id = 1; id <= 1200; ++id) ASSERT_TRUE(lessor_->Grant(id, 10).ok());
  clock_.Advance(10 * kSecond);
  std::set<LeaseId> seen;
  const auto take = [&] {
    const auto ids = lessor_->TakeExpired();
    seen.insert(ids.begin(), ids.end());
    return ids.size();
  };
  EXPECT_EQ(take(), 500u);
  EXPECT_EQ(take(), 0u) << "the same round";
  EXPECT_EQ(lessor_->NextDeadlineNanos(), clock_.MonotonicNanos() + kSecond / 2);
  clock_.Advance(kSecond / 2);
  EXPECT_EQ(take(), 500u);
  clock_.Advance(kSecond / 2);
  EXPECT_EQ(take(), 200u);
  EXPECT_EQ(seen.size(), 1200u);
  clock_.Advance(kSecond);
  EXPECT_EQ(take(), 0u);
  clock_.Advance(kSecond);
  EXPECT_EQ(take(), 500u) << "3 s after the first round";
  for (LeaseId id = 1; id <= 1200; ++id) Revoke(id);
  clock_.Advance(10 * kSecond);
  EXPECT_EQ(take(), 0u);
  EXPECT_EQ(lessor_->NextDeadlineNanos(), INT64_MAX);
}

TEST_F(LessorTest, PromotionSpreadsLeasesThatWouldExpireTogether) {
  for (LeaseId id = 1; id <= 3000; ++id) ASSERT_TRUE(lessor_->Grant(id, 10).ok());
  lessor_->Promote(0);
  std::map<int64_t, int> by_second;
  for (LeaseId id = 1; id <= 3000; ++id) ++by_second[Remaining(id)];
  EXPECT_EQ(by_second.begin()->first, 10);
  EXPECT_GE(by_second.size(), 4u);
  for (const auto& [second, count] : by_second) EXPECT_LE(count, 1000) << second;
  lessor_->CheckInvariants();
}

TEST_F(LessorTest, ListIsByExpiry) {
  for (const auto& [id, ttl] : std::map<LeaseId, int64_t>{{1, 30}, {2, 10}, {3, 20}, {4, 10}})
    ASSERT_TRUE(lessor_->Grant(id, ttl).ok());
  EXPECT_THAT(lessor_->Leases(), ElementsAre(1, 2, 3, 4));
  lessor_->Promote(0);
  EXPECT_THAT(lessor_->Leases(), ElementsAre(2, 4, 3, 1));
}

TEST_F(LessorTest, CheckpointsRememberWhatRemains) {
  LessorOptions options;
  options.checkpoint = true;
  Reopen(options);
  lessor_->Promote(0);
  ASSERT_TRUE(lessor_->Grant(1, 300).ok());  // Not above the interval.
  ASSERT_TRUE(lessor_->Grant(2, 1000).ok());
  clock_.Advance(300 * kSecond - 1);
  EXPECT_THAT(lessor_->TakeCheckpoints(), IsEmpty());
  clock_.Advance(1 + kSecond / 2);
  auto due = lessor_->TakeCheckpoints();
  ASSERT_EQ(due.size(), 1u);
  EXPECT_EQ(due[0].id, 2);
  EXPECT_EQ(due[0].remaining_seconds, 700) << "rounded up";
  EXPECT_THAT(lessor_->TakeCheckpoints(), IsEmpty());
  lessor_->Checkpoint(2, 700);
  lessor_->Checkpoint(77, 1);
  EXPECT_EQ(Remaining(2), 699) << "the expiry stays";
  EXPECT_EQ(lessor_->Renew(2).result, RenewResult::kNeedsCheckpoint);
  // The next one is due an interval after this was applied.
  clock_.Advance(300 * kSecond);
  due = lessor_->TakeCheckpoints();
  ASSERT_EQ(due.size(), 1u);
  EXPECT_EQ(due[0].remaining_seconds, 400);
  lessor_->Checkpoint(2, 400);
  lessor_->Demote();
  lessor_->Promote(kSecond);
  EXPECT_EQ(Remaining(2), 401);
  lessor_->Checkpoint(2, 0);
  EXPECT_EQ(lessor_->Renew(2).ttl_seconds, 1000);
  EXPECT_EQ(Remaining(2), 1000);
  lessor_->CheckInvariants();
}

TEST_F(LessorTest, CheckpointsAreBatched) {
  LessorOptions options;
  options.checkpoint = true;
  Reopen(options);
  lessor_->Promote(0);
  for (LeaseId id = 1; id <= 1500; ++id) ASSERT_TRUE(lessor_->Grant(id, 1000).ok());
  clock_.Advance(300 * kSecond);
  EXPECT_EQ(lessor_->TakeCheckpoints().size(), 1000u);
  EXPECT_EQ(lessor_->TakeCheckpoints().size(), 500u);
}

TEST_F(LessorTest, RestartLoadsTheBucket) {
  ASSERT_TRUE(lessor_->Grant(1, 60).ok());
  ASSERT_TRUE(lessor_->Grant(2, 2).ok());
  ASSERT_TRUE(lessor_->Attach(1, "a").ok());
  lessor_->Checkpoint(1, 33);
  LessorOptions options;
  options.min_ttl_seconds = 5;
  options.checkpoint_persist = true;
  Reopen(options);
  EXPECT_EQ(lessor_->size(), 2u);
  EXPECT_EQ(lessor_->LeaseOf("a"), kNoLease) << "the store attaches keys";
  EXPECT_FALSE(lessor_->primary());
  EXPECT_EQ(lessor_->Lookup(2, false)->granted_seconds, 5) << "the least TTL has grown";
  lessor_->Promote(0);
  EXPECT_EQ(Remaining(1), 60) << "the checkpoint was not persistent";
  lessor_->Checkpoint(1, 33);
  Reopen(options);
  lessor_->Promote(0);
  EXPECT_EQ(Remaining(1), 33);
  EXPECT_TRUE(lessor_->Recover(backend_.get()).ok());
  EXPECT_FALSE(lessor_->primary());
  lessor_->CheckInvariants();
}

TEST_F(LessorTest, DamagedRowStopsTheStart) {
  backend_->Put(mvcc::Bucket::kLease, EncodeLeaseKey(3), "\xff");
  const auto lessor = Lessor::Open(env(), backend_.get(), {});
  EXPECT_EQ(lessor.status().code(), absl::StatusCode::kDataLoss);
}

// --- against the model ---

struct ModelLease {
  int64_t ttl = 0;
  int64_t expiry = INT64_MAX;
  int64_t given_out = INT64_MIN;
  std::set<std::string> keys{};
};

TEST_F(LessorTest, AgreesWithTheModel) {
  const uint64_t seed = TestSeed(std::random_device()());
  std::printf("QUORATE_TEST_SEED=%llu\n", static_cast<unsigned long long>(seed));
  std::mt19937_64 random(seed);
  std::map<LeaseId, ModelLease> model;
  bool primary = false;
  const auto lease_of = [&](const std::string& key) {
    for (const auto& [id, lease] : model)
      if (lease.keys.contains(key)) return id;
    return kNoLease;
  };
  for (int step = 0; step < 6000; ++step) {
    const auto id = static_cast<LeaseId>(1 + random() % 12);
    const std::string key(1, static_cast<char>('a' + random() % 10));
    const auto it = model.find(id);
    const int64_t now = clock_.MonotonicNanos();
    switch (random() % 10) {
      case 0: {
        const auto ttl = static_cast<int64_t>(random() % 30);
        const auto granted = lessor_->Grant(id, ttl);
        ASSERT_EQ(granted.ok(), it == model.end());
        if (!granted.ok()) break;
        ModelLease lease{.ttl = std::max<int64_t>(ttl, 2)};
        ASSERT_EQ(*granted, lease.ttl);
        if (primary) lease.expiry = now + lease.ttl * kSecond;
        model[id] = lease;
        break;
      }
      case 1:
        if (it == model.end() || random() % 3 != 0) break;
        ASSERT_EQ(Revoke(id), std::vector<std::string>(it->second.keys.begin(), it->second.keys.end()));
        model.erase(it);
        break;
      case 2:
      case 3:
        ASSERT_EQ(lessor_->Attach(id, key).ok(), it != model.end());
        if (it == model.end()) break;
        for (auto& [other, lease] : model) lease.keys.erase(key);
        it->second.keys.insert(key);
        break;
      case 4:
        lessor_->Detach(id, key);
        if (it != model.end()) it->second.keys.erase(key);
        break;
      case 5: {
        const RenewOutcome outcome = lessor_->Renew(id);
        if (!primary) {
          ASSERT_EQ(outcome.result, RenewResult::kNotPrimary);
        } else if (it == model.end()) {
          ASSERT_EQ(outcome.result, RenewResult::kNotFound);
        } else if (it->second.expiry <= now) {
          ASSERT_EQ(outcome.result, RenewResult::kExpired);
        } else {
          ASSERT_EQ(outcome.result, RenewResult::kRenewed);
          ASSERT_EQ(outcome.ttl_seconds, it->second.ttl);
          it->second.expiry = now + it->second.ttl * kSecond;
        }
        break;
      }
      case 6: {
        clock_.Advance(kSecond);  // Always a new round.
        const int64_t later = now + kSecond;
        std::set<LeaseId> expected;
        for (auto& [other, lease] : model) {
          if (lease.expiry > later || (lease.given_out != INT64_MIN && later < lease.given_out + 3 * kSecond))
            continue;
          expected.insert(other);
          lease.given_out = later;
        }
        const auto expired = lessor_->TakeExpired();
        ASSERT_EQ(std::set<LeaseId>(expired.begin(), expired.end()), expected);
        break;
      }
      case 7:
        clock_.Advance(static_cast<int64_t>(random() % (2 * kSecond)));
        break;
      case 8:
        if (random() % 20 != 0) break;
        primary = !primary;
        primary ? lessor_->Promote(kSecond) : lessor_->Demote();
        for (auto& [other, lease] : model) {
          lease.expiry = primary ? now + (lease.ttl + 1) * kSecond : INT64_MAX;
          lease.given_out = INT64_MIN;
        }
        break;
      default: {
        ASSERT_EQ(lessor_->LeaseOf(key), lease_of(key));
        const auto found = lessor_->Lookup(id, true);
        ASSERT_EQ(found.ok(), it != model.end());
        if (!found.ok()) break;
        ASSERT_EQ(found->keys, std::vector<std::string>(it->second.keys.begin(), it->second.keys.end()));
        if (primary) {
          ASSERT_EQ(found->remaining_seconds, (it->second.expiry - now) / kSecond);
        }
        std::vector<std::pair<int64_t, LeaseId>> order;
        for (const auto& [other, lease] : model) order.emplace_back(lease.expiry, other);
        std::sort(order.begin(), order.end());
        const auto listed = lessor_->Leases();
        ASSERT_EQ(listed.size(), order.size());
        for (size_t i = 0; i < order.size(); ++i) ASSERT_EQ(listed[i], order[i].second);
        break;
      }
    }
    if (step % 25 == 0) lessor_->CheckInvariants();
  }
}

}  // namespace
}  // namespace quorate::lease
