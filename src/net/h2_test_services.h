// The services and the fixture that the tests of HTTP/2 share.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "net/loop_impl.h"
#include "net/server.h"
#include "net/test_client.h"

namespace quorate::net {

// What the services below have seen, in order.
using Log = std::vector<std::string>;

class EchoStream : public StreamHandler {
 public:
  EchoStream(StreamCall call, Log* log) : call_(call), log_(log) {}
  ~EchoStream() override { log_->push_back("destroyed"); }
  void OnMessage(std::string_view message) override {
    if (message == "finish") return call_.Finish(Code::kAborted, "as asked");
    call_.Send(message);
  }
  void OnHalfClose() override {
    log_->push_back("half-close");
    call_.Finish(Code::kOk, "");
  }
  void OnClosed(Code reason) override {
    log_->push_back("closed " + std::to_string(static_cast<int>(reason)));
  }

 private:
  StreamCall call_;
  Log* log_;
};

// Sends `left` messages as fast as the client takes them.
class Source : public StreamHandler {
 public:
  Source(StreamCall call, int* left, size_t* pending_max)
      : call_(call), left_(left), pending_max_(pending_max) {}
  void OnMessage(std::string_view) override { Pump(); }
  void OnHalfClose() override {}
  void OnWritable() override { Pump(); }
  void OnClosed(Code) override {}

 private:
  void Pump() {
    const std::string message(10'000, 's');
    while (*left_ > 0 && !call_.full()) {
      call_.Send(message);
      --*left_;
      *pending_max_ = std::max(*pending_max_, call_.pending_bytes());
    }
    if (*left_ == 0 && !call_.closed()) call_.Finish(Code::kOk, "");
  }

  StreamCall call_;
  int* left_;
  size_t* pending_max_;
};

// Keeps what it is sent, unless that is too much.
class Keeper : public StreamHandler {
 public:
  explicit Keeper(StreamCall call) : call_(call) {}
  void OnMessage(std::string_view message) override {
    if (message == "forget") kept_.clear();
    if (!call_.HoldRequest(kept_.size() + message.size())) {
      call_.HoldRequest(kept_.size());
      return call_.Send("no");
    }
    kept_ += message;
    call_.Send("yes");
  }
  void OnHalfClose() override { call_.Finish(Code::kOk, ""); }
  void OnClosed(Code) override {}

 private:
  StreamCall call_;
  std::string kept_;
};

// Takes longer than a turn, by the clock that turns are measured with.
inline void WorkLong() {
  const int64_t began = MonotonicNanos();
  while (MonotonicNanos() - began < 1'100'000) continue;
}

// Works long for each message.
class LongWorker : public EchoStream {
 public:
  LongWorker(StreamCall call, Log* log, int* worked) : EchoStream(call, log), worked_(worked) {}
  void OnMessage(std::string_view message) override {
    WorkLong();
    ++*worked_;
    EchoStream::OnMessage(message);
  }

 private:
  int* worked_;
};

class Http2Test : public testing::Test {
 protected:
  void Start(ServerOptions options = {}) {
    server_ = std::make_unique<Server>(&loop_, options);
    server_->RegisterUnary(
        "/t.T/Echo", [](UnaryCall call, std::string_view m) { call.Respond(m); }, 7);
    server_->RegisterUnary("/t.T/Work", [this](UnaryCall call, std::string_view m) {
      WorkLong();
      ++worked_;
      call.Respond(m);
    });
    server_->RegisterStreaming("/t.T/WorkStream", [this](StreamCall call) {
      return std::make_unique<LongWorker>(call, &log_, &worked_);
    });
    server_->RegisterUnary("/t.T/Fail",
                           [](UnaryCall call, std::string_view m) { call.Fail(Code::kNotFound, m); });
    server_->RegisterUnary("/t.T/Wait", [this](UnaryCall call, std::string_view m) {
      waiting_.push_back(call);
      call.OnCancel([this, m = std::string(m)](Code code) {
        log_.push_back("cancelled " + m + " " + std::to_string(static_cast<int>(code)));
      });
    });
    server_->RegisterUnary("/t.T/Meta", [](UnaryCall call, std::string_view m) {
      call.Respond(std::string(call.metadata(m).value_or("absent")));
    });
    server_->RegisterStreaming("/t.T/Stream",
                               [this](StreamCall call) { return std::make_unique<EchoStream>(call, &log_); });
    server_->RegisterStreaming("/t.T/Refused", [](StreamCall call) {
      call.Finish(Code::kPermissionDenied, "no");
      return nullptr;
    });
    server_->RegisterStreaming("/t.T/Source", [this](StreamCall call) {
      return std::make_unique<Source>(call, &left_, &pending_max_);
    });
    server_->RegisterStreaming("/t.T/Keep", [](StreamCall call) { return std::make_unique<Keeper>(call); });
    const StatusOr<uint16_t> port = server_->Listen("127.0.0.1", 0);
    ASSERT_TRUE(port.ok()) << port.status();
    port_ = *port;
  }

  Loop loop_;
  Log log_;  // Handlers that go with the server write to it.
  int worked_ = 0;
  int left_ = 0;
  size_t pending_max_ = 0;
  std::unique_ptr<Server> server_;
  uint16_t port_ = 0;
  std::vector<UnaryCall> waiting_;
};

}  // namespace quorate::net
