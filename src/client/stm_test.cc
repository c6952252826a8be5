// On a server with one key, whose every write by "somebody" is made while a transaction runs.
#include "quorate/client/stm.h"

#include <gtest/gtest.h>

#include "client/fake_server_test.h"

namespace quorate::client {
namespace {

using ServerCall = FakeServer::Call;

// The key "n" with its history by revision; other keys do not exist.
class OneKeyServer : public FakeServer {
 public:
  OneKeyServer() {
    On("KV/Range", [this](ServerCall* call, const grpc::ByteBuffer& bytes) {
      const auto request = Parse<etcdserverpb::RangeRequest>(bytes);
      RangeResponse response;
      const std::lock_guard lock(store_mutex_);
      response.mutable_header()->set_revision(revision_);
      if (compacted_ > 0 && request.revision() != 0 && request.revision() < compacted_) {
        return call->End(grpc::OUT_OF_RANGE, "etcdserver: mvcc: required revision has been compacted");
      }
      const auto it = values_.upper_bound(request.revision() == 0 ? revision_ : request.revision());
      if (request.key() == "n" && it != values_.begin()) {
        auto* kv = response.add_kvs();
        kv->set_value(std::prev(it)->second);
        kv->set_mod_revision(std::prev(it)->first);
      }
      call->Reply(response);
    });
    On("KV/Txn", [this](ServerCall* call, const grpc::ByteBuffer& bytes) {
      const auto request = Parse<etcdserverpb::TxnRequest>(bytes);
      TxnResponse response;
      const std::lock_guard lock(store_mutex_);
      response.set_succeeded(true);
      for (const Compare& compare : request.compare()) {
        const int64_t mod = compare.key() == "n" && !values_.empty() ? values_.rbegin()->first : 0;
        const bool holds =
            compare.result() == Compare::EQUAL ? mod == compare.mod_revision() : mod < compare.mod_revision();
        response.set_succeeded(response.succeeded() && holds);
      }
      for (const auto& op : request.success()) {
        if (response.succeeded() && op.request_put().key() == "n") Set(op.request_put().value());
      }
      call->Reply(response);
    });
  }
  void SomebodyPuts(const std::string& value) {
    const std::lock_guard lock(store_mutex_);
    Set(value);
  }
  void Compact() {
    const std::lock_guard lock(store_mutex_);
    compacted_ = ++revision_;
  }
  std::string value() {
    const std::lock_guard lock(store_mutex_);
    return values_.rbegin()->second;
  }

 private:
  void Set(const std::string& value) { values_[++revision_] = value; }

  std::mutex store_mutex_;
  int64_t revision_ = 1;
  int64_t compacted_ = 0;
  std::map<int64_t, std::string> values_;
};

class StmTest : public testing::Test {
 protected:
  StmTest() : client_(*Client::Connect({.endpoints = {server_.url()}})) {}

  // Adds one to "n", while `meanwhile` happens in the first run.
  StatusOr<TxnResponse> Increment(const std::function<void(Stm*)>& meanwhile) {
    return Atomically(client_.get(), [&](Stm* stm) -> Status {
      const auto value = stm->Get("n");
      if (!value.ok()) return value.status();
      if (++runs_ == 1) meanwhile(stm);
      stm->Put("n", std::to_string(std::stoi(value->value_or("0")) + 1));
      return absl::OkStatus();
    });
  }

  OneKeyServer server_;
  std::unique_ptr<Client> client_;
  int runs_ = 0;
};

TEST_F(StmTest, CommitsAtOnceWhenAlone) {
  EXPECT_TRUE(Increment([](Stm*) {}).ok());
  EXPECT_EQ(server_.value(), "1");
  EXPECT_EQ(runs_, 1);
}

TEST_F(StmTest, RunsAgainWhenSomebodyWrote) {
  EXPECT_TRUE(Increment([&](Stm*) { server_.SomebodyPuts("10"); }).ok());
  EXPECT_EQ(server_.value(), "11");
  EXPECT_EQ(runs_, 2);
}

TEST_F(StmTest, AWriteToWhatWasNotReadIsCheckedToo) {
  const auto done = Atomically(client_.get(), [&](Stm* stm) -> Status {
    if (const auto other = stm->Get("other"); !other.ok()) return other.status();
    if (++runs_ == 1) server_.SomebodyPuts("x");
    stm->Put("n", "mine");
    return absl::OkStatus();
  });
  EXPECT_TRUE(done.ok());
  EXPECT_EQ(runs_, 2);
}

TEST_F(StmTest, SeesOneRevisionAndItsOwnWrites) {
  server_.SomebodyPuts("5");
  ASSERT_TRUE(Atomically(client_.get(), [&](Stm* stm) -> Status {
                if (const auto other = stm->Get("other"); !other.ok()) return other.status();
                if (++runs_ == 1) server_.SomebodyPuts("6");
                EXPECT_EQ(stm->Get("n")->value(), runs_ == 1 ? "5" : "6");
                stm->Delete("n");
                EXPECT_FALSE(stm->Get("n")->has_value());
                stm->Put("n", "7");
                EXPECT_EQ(stm->Get("n")->value(), "7");
                return absl::OkStatus();
              }).ok());
  EXPECT_EQ(server_.value(), "7");
}

TEST_F(StmTest, RunsAgainWhenItsRevisionIsCompacted) {
  ASSERT_TRUE(Increment([&](Stm*) {}).ok());
  runs_ = 0;
  ASSERT_TRUE(Atomically(client_.get(), [&](Stm* stm) -> Status {
                if (const auto n = stm->Get("n"); !n.ok()) return n.status();
                if (++runs_ == 1) server_.Compact();
                return stm->Get("other").status();
              }).ok());
  EXPECT_EQ(runs_, 2);
}

TEST_F(StmTest, TheBodysErrorEndsIt) {
  const auto done = Atomically(client_.get(), [](Stm*) { return absl::AbortedError("no"); });
  EXPECT_EQ(done.status().code(), absl::StatusCode::kAborted);
}

}  // namespace
}  // namespace quorate::client
