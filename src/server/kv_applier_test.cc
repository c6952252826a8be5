// Key-value requests through a member's log: what they answer and what they leave.
#include "server/kv_applier.h"

#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include <array>
#include <string>
#include <tuple>
#include <vector>

#include "server/member_harness_test.h"

namespace quorate::server {
namespace {

using etcdserverpb::TxnRequest;
using etcdserverpb::TxnResponse;

TxnRequest Parsed(const std::string& text) {
  TxnRequest txn;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &txn)) << text;
  return txn;
}

class KvApplierTest : public testing::Test {
 protected:
  void SetUp() override { world_.Start(); }
  void TearDown() override { EXPECT_TRUE(world_.fatal.ok()) << world_.fatal; }

  int64_t PutRevision(std::string_view key, std::string_view value, int64_t lease = 0) {
    const auto response = world_.Put(key, value, lease);
    EXPECT_TRUE(response.ok()) << response.status();
    return response.ok() ? response->header().revision() : 0;
  }
  TxnResponse Txn(const std::string& text) {
    auto response = world_.Txn(Parsed(text));
    EXPECT_TRUE(response.ok()) << response.status();
    return response.ok() ? *response : TxnResponse();
  }
  bool Succeeds(const std::string& compares) { return Txn(compares).succeeded(); }
  int64_t revision() { return world_.member->store().current_revision(); }

  MemberHarness world_{7};
};

TEST_F(KvApplierTest, PutCountsRevisionsAndVersions) {
  EXPECT_EQ(PutRevision("a", "1"), 2);
  EXPECT_EQ(PutRevision("b", "1"), 3);
  EXPECT_EQ(PutRevision("a", "2"), 4);
  const auto a = world_.Get("a");
  ASSERT_TRUE(a);
  EXPECT_EQ(a->value(), "2");
  EXPECT_EQ(a->create_revision(), 2);
  EXPECT_EQ(a->mod_revision(), 4);
  EXPECT_EQ(a->version(), 2);
  EXPECT_EQ(world_.member->header().raft_term, world_.member->term());
}

TEST_F(KvApplierTest, PutOptions) {
  ASSERT_TRUE(world_.Grant(9, 100).ok());
  PutRevision("a", "1", 9);
  const auto put = [&](const std::string& text) {
    etcdserverpb::PutRequest request;
    EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &request));
    return world_.Ask<etcdserverpb::PutResponse>(EntryKind::kPut, request);
  };
  auto response = put(R"(key: "a" value: "2" prev_kv: true ignore_lease: true)");
  ASSERT_TRUE(response.ok()) << response.status();
  EXPECT_EQ(response->prev_kv().value(), "1");
  EXPECT_EQ(response->prev_kv().lease(), 9);
  EXPECT_EQ(world_.Get("a")->lease(), 9);
  ASSERT_TRUE(put(R"(key: "a" ignore_value: true)").ok());
  EXPECT_EQ(world_.Get("a")->value(), "2");
  EXPECT_EQ(world_.Get("a")->lease(), 0);
  EXPECT_EQ(world_.member->lessor().Keys(9), std::vector<std::string>{});

  response = put(R"(key: "new" value: "1" prev_kv: true)");
  ASSERT_TRUE(response.ok());
  EXPECT_FALSE(response->has_prev_kv());

  const int64_t before = revision();
  EXPECT_EQ(put(R"(key: "none" ignore_value: true)").status(), ErrKeyNotFound());
  EXPECT_EQ(put(R"(key: "none" ignore_lease: true)").status(), ErrKeyNotFound());
  EXPECT_EQ(put(R"(key: "a" lease: 12345)").status(), ErrLeaseNotFound());
  EXPECT_EQ(revision(), before);
}

TEST_F(KvApplierTest, DeleteRange) {
  for (const char* key : {"a", "b", "c", "d"}) PutRevision(key, key);
  auto response = world_.Delete("b", "d", true);
  ASSERT_TRUE(response.ok());
  EXPECT_EQ(response->deleted(), 2);
  ASSERT_EQ(response->prev_kvs_size(), 2);
  EXPECT_EQ(response->prev_kvs(0).key(), "b");
  EXPECT_EQ(response->prev_kvs(1).value(), "c");
  EXPECT_EQ(response->header().revision(), 6);
  // Nothing there: no revision.
  response = world_.Delete("b");
  ASSERT_TRUE(response.ok());
  EXPECT_EQ(response->deleted(), 0);
  EXPECT_EQ(response->header().revision(), 6);
  // From a key on.
  response = world_.Delete("a", std::string(1, '\0'));
  ASSERT_TRUE(response.ok());
  EXPECT_EQ(response->deleted(), 2);
  EXPECT_TRUE(world_.ReadAll().empty());
}

TEST_F(KvApplierTest, Compares) {
  ASSERT_TRUE(world_.Grant(9, 100).ok());
  PutRevision("a", "1");     // 2
  PutRevision("b", "2", 9);  // 3
  PutRevision("b", "3", 9);  // 4
  struct Case {
    const char* compares;
    bool holds;
  };
  const Case cases[] = {
      {"", true},
      {R"(compare { target: VALUE key: "a" value: "1" })", true},
      {R"(compare { target: VALUE key: "a" value: "2" })", false},
      {R"(compare { target: VALUE result: NOT_EQUAL key: "a" value: "2" })", true},
      {R"(compare { target: VALUE result: GREATER key: "a" value: "0" })", true},
      {R"(compare { target: VALUE result: LESS key: "a" value: "10" })", true},
      {R"(compare { target: VALUE result: LESS key: "a" value: "\xff" })", true},
      {R"(compare { target: VALUE result: GREATER key: "a" value: "1" })", false},
      {R"(compare { target: CREATE key: "b" create_revision: 3 })", true},
      {R"(compare { target: CREATE result: LESS key: "b" create_revision: 3 })", false},
      {R"(compare { target: MOD key: "b" mod_revision: 4 })", true},
      {R"(compare { target: MOD result: GREATER key: "b" mod_revision: 3 })", true},
      {R"(compare { target: VERSION key: "b" version: 2 })", true},
      {R"(compare { target: VERSION result: NOT_EQUAL key: "b" version: 2 })", false},
      {R"(compare { target: LEASE key: "b" lease: 9 })", true},
      {R"(compare { target: LEASE key: "a" lease: 0 })", true},
      // A missing key is a pair of zeros, but has no value at all.
      {R"(compare { target: CREATE key: "none" create_revision: 0 })", true},
      {R"(compare { target: VERSION key: "none" version: 0 })", true},
      {R"(compare { target: VALUE key: "none" value: "" })", false},
      {R"(compare { target: VALUE result: NOT_EQUAL key: "none" value: "x" })", false},
      // Every key of a range.
      {R"(compare { target: VALUE result: GREATER key: "a" range_end: "c" value: "0" })", true},
      {R"(compare { target: VALUE result: GREATER key: "a" range_end: "c" value: "1" })", false},
      {R"(compare { target: MOD result: GREATER key: "a" range_end: "\000" mod_revision: 1 })", true},
      {R"(compare { target: LEASE key: "x" range_end: "z" lease: 0 })", true},
      // All of them.
      {R"(compare { target: VERSION key: "a" version: 1 } compare { target: VERSION key: "b" version: 1 })",
       false},
      // A value that was not sent is empty or zero; an unknown result passes, an unknown target is equal.
      {R"(compare { target: VALUE result: GREATER key: "a" })", true},
      {R"(compare { target: VERSION key: "a" })", false},
  };
  for (const Case& c : cases) EXPECT_EQ(Succeeds(c.compares), c.holds) << c.compares;
  TxnRequest unknown = Parsed(R"(compare { target: VERSION key: "a" version: 55 })");
  unknown.mutable_compare(0)->set_result(static_cast<etcdserverpb::Compare::CompareResult>(9));
  EXPECT_TRUE(world_.Txn(unknown)->succeeded());
  EXPECT_EQ(revision(), 4);
}

TEST_F(KvApplierTest, TxnSeesItsOwnChanges) {
  PutRevision("a", "1");
  const TxnResponse response = Txn(R"(
    success { request_range { key: "a" } }
    success { request_put { key: "a" value: "2" prev_kv: true } }
    success { request_range { key: "a" } }
    success { request_put { key: "b" value: "3" } }
    success { request_range { key: "a" range_end: "z" } }
    success { request_delete_range { key: "c" range_end: "d" } }
    success { request_range { key: "a" revision: 2 } })");
  EXPECT_EQ(response.header().revision(), 3);
  ASSERT_EQ(response.responses_size(), 7);
  EXPECT_EQ(response.responses(0).response_range().kvs(0).value(), "1");
  EXPECT_EQ(response.responses(0).response_range().header().revision(), 2);
  EXPECT_EQ(response.responses(1).response_put().prev_kv().value(), "1");
  EXPECT_EQ(response.responses(1).response_put().header().revision(), 3);
  EXPECT_EQ(response.responses(2).response_range().kvs(0).value(), "2");
  EXPECT_EQ(response.responses(2).response_range().header().revision(), 3);
  EXPECT_EQ(response.responses(4).response_range().count(), 2);
  EXPECT_EQ(response.responses(5).response_delete_range().deleted(), 0);
  EXPECT_EQ(response.responses(6).response_range().kvs(0).value(), "1");
  // One revision for all of it.
  EXPECT_EQ(world_.Get("a")->mod_revision(), 3);
  EXPECT_EQ(world_.Get("b")->mod_revision(), 3);
  EXPECT_EQ(revision(), 3);
}

TEST_F(KvApplierTest, TxnWithoutChangesKeepsTheRevision) {
  PutRevision("a", "1");
  EXPECT_EQ(Txn(R"(success { request_delete_range { key: "x" } })").header().revision(), 2);
  EXPECT_EQ(Txn(R"(failure { request_put { key: "x" value: "1" } })").header().revision(), 2);
  EXPECT_EQ(revision(), 2);
}

TEST_F(KvApplierTest, NestedTxns) {
  PutRevision("a", "1");
  // All compares are made before the first change.
  const TxnResponse response = Txn(R"(
    compare { target: VALUE key: "a" value: "1" }
    success { request_put { key: "a" value: "2" } }
    success { request_txn {
      compare { target: VALUE key: "a" value: "1" }
      success { request_put { key: "b" value: "then" } }
      success { request_txn {
        compare { target: VALUE key: "a" value: "2" }
        success { request_put { key: "c" value: "then" } }
        failure { request_put { key: "c" value: "else" } } } }
      failure { request_put { key: "b" value: "else" } } } }
    success { request_txn { failure { request_put { key: "d" value: "never" } } } }
    success { request_range { key: "c" } })");
  EXPECT_TRUE(response.succeeded());
  ASSERT_EQ(response.responses_size(), 4);
  const TxnResponse& nested = response.responses(1).response_txn();
  EXPECT_TRUE(nested.succeeded());
  EXPECT_TRUE(nested.has_header());
  EXPECT_EQ(nested.header().revision(), 0);
  EXPECT_FALSE(nested.responses(1).response_txn().succeeded());
  EXPECT_TRUE(response.responses(2).response_txn().succeeded());
  EXPECT_EQ(response.responses(3).response_range().kvs(0).value(), "else");
  EXPECT_EQ(world_.Get("b")->value(), "then");
  EXPECT_FALSE(world_.Get("d"));
  EXPECT_EQ(revision(), 3);
}

TEST_F(KvApplierTest, RefusedTxnChangesNothing) {
  for (const char* value : {"1", "2", "3"}) PutRevision("a", value);
  ASSERT_TRUE(world_.Compact(3).ok());
  struct Case {
    const char* txn;
    Status wanted;
  };
  const Case cases[] = {
      {R"(success { request_put { key: "x" value: "1" } } success { request_put { key: "y" ignore_value: true } })",
       ErrKeyNotFound()},
      {R"(success { request_put { key: "x" value: "1" } } success { request_put { key: "y" lease: 5 } })",
       ErrLeaseNotFound()},
      {R"(success { request_put { key: "x" value: "1" } } success { request_range { key: "a" revision: 99 } })",
       ErrFutureRevision()},
      // Not even the revision that this transaction makes.
      {R"(success { request_put { key: "x" value: "1" } } success { request_range { key: "a" revision: 5 } })",
       ErrFutureRevision()},
      {R"(success { request_put { key: "x" value: "1" } } success { request_range { key: "a" revision: 2 } })",
       ErrCompacted()},
      {R"(success { request_put { key: "x" value: "1" } }
          success { request_txn { success { request_put { key: "y" lease: 5 } } } })",
       ErrLeaseNotFound()},
      // A put earlier in the same transaction is none yet when this is checked.
      {R"(success { request_put { key: "x" value: "1" } }
          success { request_txn { success { request_put { key: "y" ignore_lease: true } } } })",
       ErrKeyNotFound()},
      // Nor is one that is there any more, once everything from some key on has been deleted.
      {R"(success { request_delete_range { key: "A" range_end: "\000" } }
          success { request_put { key: "a" ignore_lease: true } })",
       ErrKeyNotFound()},
      {R"(success { request_delete_range { key: "a" range_end: "\000" } }
          success { request_txn { success { request_put { key: "a" ignore_value: true } } } })",
       ErrKeyNotFound()},
      {R"(success { request_txn { success { request_delete_range { key: "A" range_end: "\000" } } } }
          success { request_delete_range { key: "b" range_end: "\000" } }
          success { request_put { key: "a" ignore_value: true lease: 0 } })",
       ErrKeyNotFound()},
  };
  const int64_t before = revision();
  for (const Case& c : cases) EXPECT_EQ(world_.Txn(Parsed(c.txn)).status(), c.wanted) << c.txn;
  EXPECT_EQ(revision(), before);
  EXPECT_FALSE(world_.Get("x"));
  EXPECT_EQ(world_.Get("a")->value(), "3");
  // Below it, or before it.
  EXPECT_TRUE(world_
                  .Txn(Parsed(R"(success { request_delete_range { key: "b" range_end: "\000" } }
                                 success { request_put { key: "a" ignore_value: true } })"))
                  .ok());
  // What lies in the branch not taken is not looked at.
  EXPECT_TRUE(world_.Txn(Parsed(R"(failure { request_put { key: "y" lease: 5 } })")).ok());
}

TEST_F(KvApplierTest, ReadOnlyTxnOutsideTheLog) {
  PutRevision("a", "1");
  std::string bytes;
  ASSERT_TRUE(
      world_.member->kv()
          .Txn(Parsed(R"(success { request_range { key: "a" } } failure { request_range { key: "b" } })"),
               world_.member->header(), &bytes)
          .ok());
  TxnResponse response;
  ASSERT_TRUE(response.ParseFromString(bytes));
  EXPECT_TRUE(response.succeeded());
  EXPECT_EQ(response.header().revision(), 2);
  EXPECT_EQ(response.responses(0).response_range().kvs(0).value(), "1");
  EXPECT_EQ(world_.member->kv().Txn(Parsed(R"(success { request_range { key: "a" revision: 77 } })"),
                                    world_.member->header(), &bytes),
            ErrFutureRevision());
}

// The state is the same whether somebody waits for the answer or not.
TEST_F(KvApplierTest, ReplayWithoutCallers) {
  ASSERT_TRUE(world_.Grant(9, 100).ok());
  PutRevision("a", "1", 9);
  Txn(R"(success { request_put { key: "b" value: "2" prev_kv: true } } success { request_range { key: "a" } }
         success { request_delete_range { key: "a" prev_kv: true } })");
  ASSERT_TRUE(world_.Delete("b", "", true).ok());
  PutRevision("c", "3", 9);
  const uint32_t hash = world_.HashKv();
  const int64_t before = revision();
  // Without the db all is applied anew.
  world_.Crash(false);
  ASSERT_TRUE(world_.files.Remove(std::string(kDb)).ok());
  world_.Start();
  EXPECT_EQ(revision(), before);
  EXPECT_EQ(world_.HashKv(), hash);
  EXPECT_EQ(world_.member->lessor().Keys(9), std::vector<std::string>{"c"});
}

TEST_F(KvApplierTest, LeaseRevokeDeletesItsKeys) {
  EXPECT_EQ(world_.Grant(9, 100)->ttl(), 100);
  EXPECT_EQ(world_.Grant(9, 100).status(), FailedPrecondition("etcdserver: lease already exists"));
  EXPECT_EQ(world_.Grant(8, int64_t{1} << 60).status(), OutOfRange("etcdserver: too large lease TTL"));
  PutRevision("a", "1", 9);
  PutRevision("b", "1", 9);
  etcdserverpb::LeaseRevokeRequest request;
  request.set_id(9);
  const auto response = world_.Ask<etcdserverpb::LeaseRevokeResponse>(EntryKind::kLeaseRevoke, request);
  ASSERT_TRUE(response.ok());
  EXPECT_EQ(response->header().revision(), 4);  // Both in one.
  EXPECT_TRUE(world_.ReadAll().empty());
  EXPECT_EQ(world_.Ask<etcdserverpb::LeaseRevokeResponse>(EntryKind::kLeaseRevoke, request).status(),
            ErrLeaseNotFound());
}

TEST_F(KvApplierTest, Compaction) {
  for (const char* value : {"1", "2", "3"}) PutRevision("a", value);
  EXPECT_EQ(world_.Compact(5).status(), ErrFutureRevision());
  const auto compacted = world_.Compact(3);
  ASSERT_TRUE(compacted.ok()) << compacted.status();
  EXPECT_EQ(compacted->header().revision(), 4);
  EXPECT_EQ(world_.Compact(3).status(), ErrCompacted());
  EXPECT_EQ(world_.Compact(2, true).status(), ErrCompacted());

  // A physical one is answered when the revisions are gone from the file.
  etcdserverpb::CompactionRequest request;
  request.set_revision(4);
  request.set_physical(true);
  const uint64_t before = world_.member->store().stats().compactions;
  const auto answer = world_.Propose(EntryKind::kCompaction, request);
  while (!answer->given && world_.fatal.ok()) world_.Round();
  EXPECT_TRUE(answer->status.ok()) << answer->status;
  EXPECT_EQ(world_.member->store().stats().compactions, before + 1);
  EXPECT_EQ(world_.member->backend().pending_bytes(), 0u);
}

// As etcd 3.4 counts them (mvcc/metrics_txn.go): what compares, checks and reads for prev_kv, ignore_value
// and ignore_lease are ranges, and what was refused counts up to there.
TEST_F(KvApplierTest, CallsAreCountedAsByTheOriginal) {
  ASSERT_TRUE(world_.Grant(9, 100).ok());
  PutRevision("a", "1", 9);
  const std::string compare = "compare { key: 'a' target: VERSION version: 0 result: GREATER } ";
  const std::string put = "success { request_put { key: 'a' ";
  const std::string old = "success { request_range { key: 'a' revision: 1000 } } ";
  const std::vector<std::tuple<std::string, bool, std::array<uint64_t, 4>>> cases = {
      {put + "value: '1' } }", true, {0, 1, 0, 0}},
      {put + "prev_kv: true } }", true, {1, 1, 0, 1}},
      {put + "ignore_value: true } }", true, {2, 1, 0, 1}},
      {put + "ignore_lease: true value: '1' } }", true, {2, 1, 0, 1}},
      {compare + put + "ignore_value: true } }", true, {3, 1, 0, 2}},
      {compare + compare + put + "value: '1' } }", true, {2, 1, 0, 1}},
      {compare + "success { request_range { key: 'a' } } success { request_put { key: 'a' } }",
       true,
       {2, 1, 0, 1}},
      {"success { request_delete_range { key: 'none' prev_kv: true } }", true, {1, 0, 1, 1}},
      {"success { request_put { key: 'none' ignore_value: true } }", false, {1, 0, 0, 0}},
      {compare + "success { request_put { key: 'none' ignore_value: true } }", false, {2, 0, 0, 1}},
      {compare + compare + put + "lease: 4711 } }", false, {2, 0, 0, 1}},
      {compare + old, false, {1, 0, 0, 0}},
      {compare + compare + old, false, {2, 0, 0, 1}},
      {compare + put + "ignore_value: true } } " + old, false, {2, 0, 0, 1}},
  };
  const auto counts = [&] {
    const auto stats = world_.member->store().stats();
    return std::array<uint64_t, 4>{stats.ranges, stats.puts, stats.deletes, stats.txns};
  };
  KvApplier applier(&world_.member->store(), &world_.member->lessor());
  for (const auto& [text, ok, expected] : cases) {
    // By who asked, by others, who answer nobody.
    for (const bool answers : {true, false}) {
      const auto before = counts();
      const TxnRequest txn = Parsed(text);
      std::string out;
      EXPECT_EQ(ok, applier.Txn(txn, {}, answers ? &out : nullptr).ok()) << text;
      auto counted = counts();
      for (size_t i = 0; i < counted.size(); ++i) counted[i] -= before[i];
      EXPECT_EQ(expected, counted) << text << " answers " << answers;
    }
  }
}

}  // namespace
}  // namespace quorate::server
