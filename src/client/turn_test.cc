// Locks and elections over requests without an answer, and keys that go: against a store whose member
// answers, holds back and loses as each case needs.
#include <gtest/gtest.h>

#include <condition_variable>
#include <future>
#include <map>

#include "client/fake_server_test.h"
#include "quorate/client/election.h"
#include "quorate/client/mutex.h"

namespace quorate::client {
namespace {

using etcdserverpb::LeaseGrantRequest;
using etcdserverpb::LeaseKeepAliveRequest;
using etcdserverpb::RangeRequest;
using etcdserverpb::TxnRequest;
using ServerCall = FakeServer::Call;

// A store that knows what locks and elections ask for.
class QueueServer : public FakeServer {
 public:
  // What becomes of the next transaction.
  enum class Next {
    kDone,
    kUnanswered,  // Done, and nobody hears of it.
    kHeld,        // Neither, until Release.
    kExpired,     // Done and answered; the keys' leases are gone right after it.
  };

  QueueServer() {
    On("Lease/LeaseGrant", [this](ServerCall* call, const grpc::ByteBuffer& bytes) {
      LeaseGrantResponse response;
      response.set_id(++leases_);
      response.set_ttl(Parse<LeaseGrantRequest>(bytes).ttl());
      call->Reply(response);
    });
    On("Lease/LeaseRevoke",
       [](ServerCall* call, const grpc::ByteBuffer&) { call->Reply(LeaseRevokeResponse()); });
    On("Lease/LeaseKeepAlive", [](ServerCall* call, const grpc::ByteBuffer& bytes) {
      LeaseKeepAliveResponse response;
      response.set_id(Parse<LeaseKeepAliveRequest>(bytes).id());
      response.set_ttl(60);
      call->Send(response);
    });
    On("KV/Range", [this](ServerCall* call, const grpc::ByteBuffer& bytes) {
      const std::lock_guard lock(store_mutex_);
      call->Reply(Range(Parse<RangeRequest>(bytes)));
    });
    // A stream that was opened again too late: compacted, and the oldest key has gone meanwhile.
    On("Watch/Watch", [this](ServerCall* call, const grpc::ByteBuffer& bytes) {
      if (!Parse<etcdserverpb::WatchRequest>(bytes).has_create_request()) return;
      const std::lock_guard lock(store_mutex_);
      WatchResponse response;
      response.set_created(true);
      call->Send(response);
      response.set_created(false);
      response.set_canceled(true);
      response.set_compact_revision(revision_);
      call->Send(response);
      RangeRequest all;
      all.set_key(" ");
      all.set_range_end("~");
      kvs_.erase(Range(all).kvs(0).key());
    });
    On("KV/Txn", [this](ServerCall* call, const grpc::ByteBuffer& bytes) { Take(call, bytes); });
  }
  ~QueueServer() override { Stop(); }

  void Expect(Next next) {
    const std::lock_guard lock(store_mutex_);
    next_ = next;
  }
  // Waits until one is without an answer.
  void WaitForUnanswered() {
    std::unique_lock lock(store_mutex_);
    changed_.wait(lock, [this] { return unanswered_; });
    unanswered_ = false;
  }
  bool WaitForNoKeys() {
    std::unique_lock lock(store_mutex_);
    return changed_.wait_for(lock, std::chrono::minutes(1), [this] { return kvs_.empty(); });
  }
  void Release() {
    const std::lock_guard lock(store_mutex_);
    Do(held_);
  }
  std::vector<std::string> keys() {
    const std::lock_guard lock(store_mutex_);
    std::vector<std::string> keys;
    for (const auto& [key, kv] : kvs_) keys.push_back(key);
    return keys;
  }

 private:
  void Take(ServerCall* call, const grpc::ByteBuffer& bytes) {
    const std::lock_guard lock(store_mutex_);
    const auto request = Parse<TxnRequest>(bytes);
    const Next now = std::exchange(next_, Next::kDone);
    if (now == Next::kHeld) held_ = request;
    if (now != Next::kHeld) {
      const TxnResponse response = Do(request);
      if (now != Next::kUnanswered) call->Reply(response);
    }
    if (now == Next::kExpired) kvs_.clear();
    unanswered_ = unanswered_ || now == Next::kHeld || now == Next::kUnanswered;
    changed_.notify_all();
  }

  RangeResponse Range(const RangeRequest& request) {
    RangeResponse response;
    response.mutable_header()->set_revision(revision_);
    const bool from_last = request.sort_order() == RangeRequest::DESCEND;
    const mvccpb::KeyValue* best = nullptr;
    for (const auto& [key, kv] : kvs_) {
      const bool within = request.range_end().empty() ? key == request.key()
                                                      : key >= request.key() && key < request.range_end();
      if (!within) continue;
      if (request.max_create_revision() != 0 && kv.create_revision() > request.max_create_revision())
        continue;
      if (best == nullptr || (best->create_revision() < kv.create_revision()) == from_last) best = &kv;
    }
    if (best != nullptr) *response.add_kvs() = *best;
    return response;
  }

  TxnResponse Do(const TxnRequest& request) {
    TxnResponse response;
    bool holds = true;
    for (const Compare& compare : request.compare()) {
      EXPECT_EQ(compare.target(), Compare::CREATE);
      const auto it = kvs_.find(compare.key());
      holds = holds && compare.create_revision() == (it == kvs_.end() ? 0 : it->second.create_revision());
    }
    response.set_succeeded(holds);
    for (const auto& op : holds ? request.success() : request.failure()) {
      auto* result = response.add_responses();
      if (op.has_request_put()) {
        mvccpb::KeyValue& kv = kvs_[op.request_put().key()];
        kv.set_key(op.request_put().key());
        kv.set_value(op.request_put().value());
        ++revision_;
        if (kv.create_revision() == 0) kv.set_create_revision(revision_);
        result->mutable_response_put();
      } else if (op.has_request_delete_range()) {
        revision_ += static_cast<int64_t>(kvs_.erase(op.request_delete_range().key()));
        result->mutable_response_delete_range();
      } else {
        *result->mutable_response_range() = Range(op.request_range());
      }
    }
    response.mutable_header()->set_revision(revision_);
    return response;
  }

  std::atomic<int64_t> leases_ = 0;
  std::mutex store_mutex_;
  std::condition_variable changed_;
  int64_t revision_ = 1;  // This and all below under store_mutex_.
  std::map<std::string, mvccpb::KeyValue> kvs_;
  Next next_ = Next::kDone;
  bool unanswered_ = false;
  TxnRequest held_;
};

using Next = QueueServer::Next;
using Keys = std::vector<std::string>;

class TurnTest : public testing::Test {
 protected:
  TurnTest() {
    Options options;
    options.endpoints = {server_.url()};
    options.request_timeout = std::chrono::milliseconds(0);
    auto client = Client::Connect(options);
    EXPECT_TRUE(client.ok()) << client.status();
    client_ = *std::move(client);
    session_ = StartSession();
  }
  std::unique_ptr<Session> StartSession() {
    auto session = Session::Start(client_.get());
    EXPECT_TRUE(session.ok()) << session.status();
    return *std::move(session);
  }
  // Its first transaction ends without an answer: it is stopped once the member has it.
  Status Unanswered(Next next, const std::function<Status(const CallOptions&)>& enter) {
    server_.Expect(next);
    std::stop_source stop;
    CallOptions call;
    call.stop = stop.get_token();
    auto ended = std::async(std::launch::async, [&] { return enter(call); });
    server_.WaitForUnanswered();
    stop.request_stop();
    return ended.get();
  }

  QueueServer server_;
  std::unique_ptr<Client> client_;
  std::unique_ptr<Session> session_;
};

TEST_F(TurnTest, ACandidateWhoseKeyIsGoneDoesNotLead) {
  Election election(session_.get(), "e");
  server_.Expect(Next::kExpired);
  const Status status = election.Campaign("v");
  EXPECT_TRUE(absl::IsAborted(status)) << status;
  EXPECT_EQ(Text(status), "election: session is expired");
  EXPECT_EQ(election.key(), "");
  EXPECT_TRUE(election.Campaign("v").ok());
  EXPECT_EQ(server_.keys(), Keys{election.key()});
}

struct EnterCase {
  const char* name;
  Status (*enter)(Mutex*, Election*, const CallOptions&);
  Status (*leave)(Mutex*, Election*);
};

class WithoutAnAnswer : public TurnTest, public testing::WithParamInterface<EnterCase> {
 protected:
  Status Enter(Next next) {
    return Unanswered(
        next, [this](const CallOptions& call) { return GetParam().enter(&mutex_, &election_, call); });
  }

  Mutex mutex_{session_.get(), "q"};
  Election election_{session_.get(), "q"};
};

TEST_P(WithoutAnAnswer, NoKeyIsLeft) {
  EXPECT_TRUE(absl::IsCancelled(Enter(Next::kUnanswered)));
  EXPECT_EQ(server_.keys(), Keys());
  EXPECT_EQ(mutex_.key() + election_.key(), "");
}

TEST_P(WithoutAnAnswer, AKeyThatComesLateIsRemovedByTheNextCall) {
  EXPECT_TRUE(absl::IsCancelled(Enter(Next::kHeld)));
  server_.Release();
  EXPECT_EQ(server_.keys(), Keys{"q/1"});
  EXPECT_TRUE(GetParam().leave(&mutex_, &election_).ok());
  EXPECT_EQ(server_.keys(), Keys());
}

TEST_P(WithoutAnAnswer, AKeyThatComesLateIsNotTakenUp) {
  EXPECT_TRUE(absl::IsCancelled(Enter(Next::kHeld)));
  server_.Release();
  const int64_t late = client_->kv().Get("q/1")->kvs(0).create_revision();
  EXPECT_TRUE(GetParam().enter(&mutex_, &election_, {}).ok());
  EXPECT_EQ(server_.keys(), Keys{"q/1"});
  EXPECT_GT(client_->kv().Get("q/1")->kvs(0).create_revision(), late);
}

INSTANTIATE_TEST_SUITE_P(
    All, WithoutAnAnswer,
    testing::Values(
        EnterCase{"lock", [](Mutex* mutex, Election*, const CallOptions& call) { return mutex->Lock(call); },
                  [](Mutex* mutex, Election*) { return mutex->Unlock(); }},
        EnterCase{"try_lock",
                  [](Mutex* mutex, Election*, const CallOptions& call) { return mutex->TryLock(call); },
                  [](Mutex* mutex, Election*) { return mutex->Unlock(); }},
        EnterCase{
            "campaign",
            [](Mutex*, Election* election, const CallOptions& call) { return election->Campaign("v", call); },
            [](Mutex*, Election* election) { return election->Resign(); }}),
    [](const auto& one) { return std::string(one.param.name); });

TEST_F(TurnTest, AnUnlockWithoutAnAnswerIsNotTheEnd) {
  Mutex mutex(session_.get(), "q");
  ASSERT_TRUE(mutex.Lock().ok());
  EXPECT_TRUE(absl::IsCancelled(
      Unanswered(Next::kHeld, [&](const CallOptions& call) { return mutex.Unlock(call); })));
  EXPECT_EQ(mutex.key(), "");
  // It is locked anew: the deletion that the member holds back must not take that.
  ASSERT_TRUE(mutex.Lock().ok());
  server_.Release();
  EXPECT_EQ(server_.keys(), Keys{"q/1"});
  ASSERT_TRUE(mutex.Unlock().ok());
  EXPECT_EQ(server_.keys(), Keys());
  EXPECT_TRUE(absl::IsFailedPrecondition(mutex.Unlock()));
}

TEST_F(TurnTest, WhatCouldNotBeDeletedIsDeletedInTheBackground) {
  Mutex mutex(session_.get(), "q");
  ASSERT_TRUE(mutex.Lock().ok());
  EXPECT_TRUE(absl::IsCancelled(
      Unanswered(Next::kHeld, [&](const CallOptions& call) { return mutex.Unlock(call); })));
  EXPECT_TRUE(server_.WaitForNoKeys());
}

TEST_F(TurnTest, ACompactionWhileWaitingCostsNoPlace) {
  const auto other = StartSession();
  Mutex first(session_.get(), "q");
  Mutex second(other.get(), "q");
  ASSERT_TRUE(first.Lock().ok());
  const Status status = second.Lock();
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_EQ(server_.keys(), Keys{"q/2"});
}

TEST_F(TurnTest, WhoDoesNotGetTheLockLeavesTheQueue) {
  const auto other = StartSession();
  Mutex first(session_.get(), "q");
  Mutex second(other.get(), "q");
  ASSERT_TRUE(first.Lock().ok());
  EXPECT_TRUE(absl::IsAlreadyExists(second.TryLock()));
  EXPECT_EQ(server_.keys(), Keys{"q/1"});
  EXPECT_EQ(second.key(), "");
}

}  // namespace
}  // namespace quorate::client
