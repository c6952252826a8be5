#include "server/txn_read.h"

#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include <random>
#include <string>

#include "base/test_seed.h"
#include "server/errors.h"
#include "server/member_harness_test.h"
#include "server/txn_check.h"

namespace quorate::server {
namespace {

using etcdserverpb::TxnRequest;
using Next = TxnRead::Next;

// More than the core fetches for one transaction, and more than it walks over in one go.
constexpr int kMany = 100;
constexpr int kVeryMany = 10'001;

std::shared_ptr<TxnRequest> Parsed(const std::string& text) {
  auto txn = std::make_shared<TxnRequest>();
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, txn.get())) << text;
  EXPECT_TRUE(IsReadOnly(*txn)) << text;
  return txn;
}

std::string Key(int i) {
  char key[16];
  std::snprintf(key, sizeof key, "k%05d", i);
  return key;
}

class TxnReadTest : public testing::Test {
 protected:
  void SetUp() override { world_.Start(); }
  void TearDown() override { EXPECT_TRUE(world_.fatal.ok()) << world_.fatal; }

  // In transactions of a hundred.
  void PutKeys(int count) {
    for (int i = 0; i < count;) {
      TxnRequest txn;
      for (int n = 0; n < 100 && i < count; ++n, ++i) {
        auto* put = txn.add_success()->mutable_request_put();
        put->set_key(Key(i));
        put->set_value("v");
      }
      ASSERT_TRUE(world_.Txn(txn).ok());
    }
  }
  mvcc::Store* store() { return &world_.member->store(); }
  std::string Answer(const TxnRead& read) {
    std::string bytes(read.EncodedSize(world_.member->header()), '\0');
    read.Encode(world_.member->header(), bytes.data());
    return bytes;
  }
  // What the applier answers now.
  StatusOr<std::string> Applied(const TxnRequest& txn) {
    std::string bytes;
    const Status status = world_.member->kv().Txn(txn, world_.member->header(), &bytes);
    if (!status.ok()) return status;
    return bytes;
  }

  MemberHarness world_{11};
};

void Nothing(std::span<const std::string_view>) {}

TEST_F(TxnReadTest, WhatIsLittleIsReadAtOnce) {
  PutKeys(3);
  const auto txn = Parsed(R"(
    compare { target: VALUE key: "k00001" value: "v" }
    success { request_range { key: "k" range_end: "l" } } success { request_range { key: "none" } })");
  TxnRead read(txn);
  const auto next = read.Advance(store());
  ASSERT_TRUE(next.ok()) << next.status();
  EXPECT_EQ(*next, Next::kAnswer);
  EXPECT_EQ(Answer(read), *Applied(*txn));
}

TEST_F(TxnReadTest, WhatIsLongIsForAReader) {
  PutKeys(kMany);
  const std::string all = R"( key: "k" range_end: "l" )";
  const struct {
    std::string txn;
    size_t pairs_told;  // By the first Fetch.
  } cases[] = {
      {"success { request_range {" + all + "} }", kMany},
      // A compare reads, too; its pairs are not answered.
      {"compare { target: VERSION " + all + " version: 1 } success { request_range { key: \"k00000\" } }", 0},
      {"compare { target: VERSION " + all + " version: 2 } failure { request_range { key: \"k00000\" } }", 0},
      // Together.
      {"success { request_range {" + all +
           "} } success { request_range { key: \"k00007\" } }"
           "success { request_range {" +
           all + " keys_only: true sort_order: DESCEND } }",
       2 * kMany + 1},
      // Many single ones are long as well.
      {[] {
         std::string ops;
         for (int i = 0; i < kMany; ++i) ops += "failure { request_range { key: \"" + Key(i) + "\" } }";
         return "compare { key: \"none\" target: VALUE value: \"\" } " + ops;
       }(),
       kMany - 64},
  };
  for (const auto& c : cases) {
    const auto txn = Parsed(c.txn);
    TxnRead read(txn);
    ASSERT_EQ(*read.Advance(store()), Next::kFetch) << c.txn;
    size_t told = 0;
    read.Fetch([&](std::span<const std::string_view> pairs) { told += pairs.size(); });
    EXPECT_EQ(told, c.pairs_told) << c.txn;
    ASSERT_EQ(*read.Advance(store()), Next::kAnswer) << c.txn;
    EXPECT_EQ(Answer(read), *Applied(*txn)) << c.txn;
  }
}

// To walk over the index takes time, even where nothing of it is fetched.
TEST_F(TxnReadTest, LongWalksAreOneByOne) {
  PutKeys(kVeryMany);
  const std::string first = R"(success { request_range { key: "k" range_end: "l" limit: 1 } } )";
  const auto txn = Parsed(first + first + first);
  TxnRead read(txn);
  for (int i = 0; i < 3; ++i) {
    ASSERT_EQ(*read.Advance(store()), Next::kFetch);
    read.Fetch(Nothing);
  }
  ASSERT_EQ(*read.Advance(store()), Next::kAnswer);
  EXPECT_EQ(Answer(read), *Applied(*txn));
}

TEST_F(TxnReadTest, AllOfItIsOfOneRevision) {
  PutKeys(kMany);
  const std::string all = R"({ request_range { key: "k" range_end: "l" } } )";
  const auto txn = Parsed(R"(compare { target: VERSION key: "k" range_end: "l" version: 1 } success )" + all);
  const std::string before = *Applied(*txn);
  TxnRead read(txn);
  ASSERT_EQ(*read.Advance(store()), Next::kFetch);
  ASSERT_TRUE(world_.Put("k00001", "new").ok());
  read.Fetch(Nothing);
  ASSERT_EQ(*read.Advance(store()), Next::kFetch);
  ASSERT_TRUE(world_.Delete("k", "l").ok());
  // What its revision needs is there still.
  ASSERT_TRUE(world_.Compact(store()->current_revision() - 2).ok());
  read.Fetch(Nothing);
  ASSERT_EQ(*read.Advance(store()), Next::kAnswer);
  EXPECT_EQ(Answer(read), before);
}

TEST_F(TxnReadTest, BeginsAnewWhenItsRevisionIsCompacted) {
  PutKeys(kMany);
  const auto txn = Parsed(R"(
    compare { target: VERSION key: "k" range_end: "l" version: 1 }
    success { request_range { key: "k" range_end: "l" } } failure { request_range { key: "k00001" } })");
  TxnRead read(txn);
  ASSERT_EQ(*read.Advance(store()), Next::kFetch);
  read.Fetch(Nothing);
  ASSERT_TRUE(world_.Put("k00001", "new").ok());
  ASSERT_TRUE(world_.Compact(store()->current_revision()).ok());
  ASSERT_EQ(*read.Advance(store()), Next::kFetch);  // The compare, once more; it no longer holds.
  read.Fetch(Nothing);
  ASSERT_EQ(*read.Advance(store()), Next::kAnswer);
  EXPECT_EQ(Answer(read), *Applied(*txn));
}

TEST_F(TxnReadTest, Refusals) {
  for (const char* value : {"1", "2", "3"}) ASSERT_TRUE(world_.Put("a", value).ok());
  ASSERT_TRUE(world_.Compact(3).ok());
  const struct {
    const char* txn;
    Status wanted;
  } cases[] = {
      {R"(success { request_range { key: "a" revision: 5 } })", ErrFutureRevision()},
      {R"(success { request_range { key: "a" } } success { request_range { key: "a" revision: 2 } })",
       ErrCompacted()},
      {R"(success { request_range { key: "a" revision: 3 } })", absl::OkStatus()},
      // The other branch is not looked at.
      {R"(failure { request_range { key: "a" revision: 5 } })", absl::OkStatus()},
  };
  for (const auto& c : cases) {
    const auto txn = Parsed(c.txn);
    EXPECT_EQ(TxnRead(txn).Advance(store()).status(), c.wanted) << c.txn;
    EXPECT_EQ(Applied(*txn).status(), c.wanted) << c.txn;
  }
}

// With keys of 1 MB: so many ranges over them as come to more than gRPC can send.
TEST_F(TxnReadTest, AnswersThatCannotBeSentAreRefusedAndNotKept) {
  for (int i = 0; i < 20; ++i) ASSERT_TRUE(world_.Put(Key(i), std::string(1'000'000, 'v')).ok());
  auto txn = std::make_shared<TxnRequest>();
  for (int i = 0; i < 128; ++i) {
    auto* range = txn->add_success()->mutable_request_range();
    range->set_key("k");
    range->set_range_end("l");
  }
  TxnRead read(txn);
  StatusOr<Next> next = read.Advance(store());
  size_t ranges = 0;
  for (; next.ok() && *next == Next::kFetch; next = read.Advance(store())) {
    read.Fetch([&](std::span<const std::string_view>) { ++ranges; });
  }
  EXPECT_EQ(next.status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(Message(next.status()).find("grpc: trying to send message larger than max (2160"), 0U)
      << next.status();
  EXPECT_EQ(Message(next.status()).rfind(" vs. 2147483647)"), Message(next.status()).size() - 16);
  EXPECT_LT(ranges, 108U);
}

TEST_F(TxnReadTest, RandomOnesAnswerAsTheApplierDoes) {
  const uint64_t seed = TestSeed();
  std::mt19937_64 random(seed);
  const auto below = [&](int n) { return static_cast<int>(random() % static_cast<uint64_t>(n)); };
  for (int i = 0; i < 400; ++i) {
    ASSERT_TRUE((below(5) == 0 ? world_.Delete(Key(below(90)), Key(below(90))).status()
                               : world_.Put(Key(below(90)), Key(below(3))).status())
                    .ok());
  }
  const auto set_keys = [&](auto* range) {
    range->set_key(Key(below(90)));
    if (below(3) > 0) range->set_range_end(below(3) > 0 ? Key(below(120)) : std::string(1, '\0'));
  };
  for (int i = 0; i < 1000; ++i) {
    auto txn = std::make_shared<TxnRequest>();
    for (int n = below(4); n > 0; --n) {
      auto* compare = txn->add_compare();
      set_keys(compare);
      compare->set_result(static_cast<etcdserverpb::Compare::CompareResult>(below(4)));
      if (below(2) > 0) {
        compare->set_target(etcdserverpb::Compare::VALUE);
        compare->set_value(Key(below(3)));
      } else {
        compare->set_target(etcdserverpb::Compare::VERSION);
        compare->set_version(below(3));
      }
    }
    for (int n = below(8); n > 0; --n) {
      auto* range = (below(2) > 0 ? txn->add_success() : txn->add_failure())->mutable_request_range();
      set_keys(range);
      if (below(4) == 0) range->set_revision(below(450) - 10);
      if (below(4) == 0) range->set_limit(below(10));
      range->set_keys_only(below(5) == 0);
      range->set_count_only(below(8) == 0);
      range->set_sort_order(static_cast<etcdserverpb::RangeRequest::SortOrder>(below(3)));
      range->set_sort_target(static_cast<etcdserverpb::RangeRequest::SortTarget>(below(5)));
    }
    const uint64_t counted = store()->stats().txns;
    const auto applied = Applied(*txn);
    const uint64_t counted_applied = store()->stats().txns;
    TxnRead read(txn);
    auto next = read.Advance(store());
    for (; next.ok() && *next == Next::kFetch; next = read.Advance(store())) read.Fetch(Nothing);
    ASSERT_EQ(next.status(), applied.status()) << txn->DebugString();
    ASSERT_EQ(store()->stats().txns - counted_applied, counted_applied - counted) << txn->DebugString();
    if (!next.ok()) continue;
    ASSERT_EQ(Answer(read), *applied) << txn->DebugString();
  }
}

}  // namespace
}  // namespace quorate::server
