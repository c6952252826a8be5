// For tests of watches: a server that breaks, refuses and repeats as each case needs, and what a client read
// of it.
#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "client/fake_server_test.h"
#include "quorate/client/client.h"

namespace quorate::client {

using ServerCall = FakeServer::Call;
using List = std::vector<int64_t>;

// A member with a store of one key: Put makes a revision, and every watch sees those from its start on.
class WatchServer : public FakeServer {
 public:
  WatchServer() {
    On("Watch/Watch", [this](ServerCall* call, const grpc::ByteBuffer& bytes) {
      const auto request = Parse<etcdserverpb::WatchRequest>(bytes);
      const std::lock_guard lock(store_mutex_);
      if (request.has_create_request()) Create(call, request.create_request());
      if (request.has_cancel_request()) Cancel(request.cancel_request().watch_id());
      if (request.has_progress_request()) TellProgress(call);
      changed_.notify_all();
    });
  }
  ~WatchServer() override { Stop(); }

  void Put() {
    const std::lock_guard lock(store_mutex_);
    ++revision_;
    for (auto& [id, watcher] : watchers_) SendFrom(id, watcher);
  }
  void BreakStreams(grpc::StatusCode code, const std::string& text) {
    const std::lock_guard lock(store_mutex_);
    std::set<ServerCall*> calls;
    for (auto& [id, watcher] : watchers_) calls.insert(watcher.call);
    watchers_.clear();
    for (ServerCall* call : calls) call->End(code, text);
  }
  void WaitForCreated(size_t count) {
    std::unique_lock lock(store_mutex_);
    changed_.wait(lock, [&] { return starts_.size() >= count; });
  }
  void WaitForCancelled(size_t count) {
    std::unique_lock lock(store_mutex_);
    changed_.wait(lock, [&] { return cancelled_ >= count; });
  }
  List starts() {
    const std::lock_guard lock(store_mutex_);
    return starts_;
  }

  std::function<bool(ServerCall*, WatchResponse*)> refuse;  // May turn the confirmation into a refusal.
  std::atomic<bool> fragments = false;                      // Break each answer into one event each.
  std::atomic<int64_t> compacted = 0;

 private:
  void Gone(ServerCall* call) override {
    const std::lock_guard lock(store_mutex_);
    std::erase_if(watchers_, [&](const auto& one) { return one.second.call == call; });
  }

  struct Watcher {
    ServerCall* call;
    int64_t next;
  };

  void Create(ServerCall* call, const etcdserverpb::WatchCreateRequest& create) {
    WatchResponse response;
    response.mutable_header()->set_revision(revision_);
    response.set_created(true);
    response.set_watch_id(next_id_++);
    if (refuse && refuse(call, &response)) return call->Send(response);
    starts_.push_back(create.start_revision());
    call->Send(response);
    if (create.start_revision() != 0 && create.start_revision() < compacted) {
      response.set_created(false);
      response.set_canceled(true);
      response.set_compact_revision(compacted);
      return call->Send(response);
    }
    const int64_t start = create.start_revision() == 0 ? revision_ + 1 : create.start_revision();
    Watcher& watcher = watchers_[response.watch_id()] = {call, start};
    SendFrom(response.watch_id(), watcher);
  }
  void Cancel(int64_t id) {
    const auto it = watchers_.find(id);
    ++cancelled_;
    if (it == watchers_.end()) return;
    WatchResponse response;
    response.mutable_header()->set_revision(revision_);
    response.set_watch_id(id);
    response.set_canceled(true);
    it->second.call->Send(response);
    watchers_.erase(it);
  }
  // One answer for all watches of the stream.
  void TellProgress(ServerCall* call) {
    WatchResponse response;
    response.mutable_header()->set_revision(revision_);
    response.set_watch_id(-1);
    call->Send(response);
  }
  void SendFrom(int64_t id, Watcher& watcher) {
    if (watcher.next > revision_) return;
    WatchResponse response;
    response.mutable_header()->set_revision(revision_);
    response.set_watch_id(id);
    for (; watcher.next <= revision_; ++watcher.next) {
      mvccpb::KeyValue* kv = response.add_events()->mutable_kv();
      kv->set_key("k");
      kv->set_mod_revision(watcher.next);
      if (!fragments) continue;
      response.set_fragment(watcher.next != revision_);
      watcher.call->Send(response);
      response.clear_events();
    }
    if (!response.events().empty()) watcher.call->Send(response);
  }

  std::mutex store_mutex_;
  std::condition_variable changed_;
  int64_t revision_ = 1;  // All under store_mutex_.
  int64_t next_id_ = 0;
  std::map<int64_t, Watcher> watchers_;
  List starts_;
  size_t cancelled_ = 0;
};

inline std::unique_ptr<Client> ConnectTo(std::vector<std::string> endpoints, Options options = {}) {
  options.endpoints = std::move(endpoints);
  options.dial_timeout = std::chrono::minutes(1);
  options.request_timeout = std::chrono::milliseconds(0);
  auto client = Client::Connect(std::move(options));
  EXPECT_TRUE(client.ok()) << client.status();
  return *std::move(client);
}

// The revisions of the next events, as many as asked for.
inline List Read(Watch* watch, size_t count) {
  List revisions;
  while (revisions.size() < count) {
    const StatusOr<WatchResponse> response = watch->Next();
    EXPECT_TRUE(response.ok()) << response.status();
    if (!response.ok()) break;
    for (const auto& event : response->events()) revisions.push_back(event.kv().mod_revision());
  }
  return revisions;
}

inline List UpTo(int64_t first, int64_t last) {
  List list;
  for (; first <= last; ++first) list.push_back(first);
  return list;
}

}  // namespace quorate::client
