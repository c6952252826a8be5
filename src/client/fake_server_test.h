// A server made of lambdas, on a real gRPC server in this process: what a test needs a member to say, and
// when.
#pragma once

#include <grpcpp/generic/async_generic_service.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "client/rpc.h"

namespace quorate::client {

class FakeServer {
 public:
  // One call, unary or streaming: messages go in and out as bytes.
  class Call : public grpc::ServerGenericBidiReactor {
   public:
    using OnMessage = std::function<void(Call*, const grpc::ByteBuffer&)>;

    Call(FakeServer* server, std::string method, std::map<std::string, std::string> metadata)
        : server_(*server), method_(std::move(method)), metadata_(std::move(metadata)) {
      StartRead(&in_);
    }

    const std::string& method() const { return method_; }
    std::string metadata(const std::string& name) const {
      const auto it = metadata_.find(name);
      return it == metadata_.end() ? "" : it->second;
    }

    void Send(const google::protobuf::MessageLite& message) {
      const std::lock_guard lock(mutex_);
      out_.push_back(ToBytes(message));
      SendNext();
    }
    // The answer to a unary call.
    void Reply(const google::protobuf::MessageLite& message) {
      Send(message);
      End(grpc::Status::OK);
    }
    void End(grpc::Status status) {
      const std::lock_guard lock(mutex_);
      if (!end_) end_ = std::move(status);
      SendNext();
    }
    void End(grpc::StatusCode code, const std::string& text) { End(grpc::Status(code, text)); }

    void OnReadDone(bool ok) override {
      if (ok) {
        server_.OnMessage(this, in_);
        in_.Clear();
        StartRead(&in_);
      } else {
        OnHalfClose(this);
      }
    }
    void OnWriteDone(bool) override {
      const std::lock_guard lock(mutex_);
      writing_ = false;
      out_.erase(out_.begin());
      SendNext();
    }
    void OnCancel() override { End(grpc::Status::CANCELLED); }
    void OnDone() override {
      server_.Gone(this);
      delete this;
    }

   private:
    // Under mutex_.
    void SendNext() {
      if (writing_ || finished_) return;
      if (!out_.empty()) {
        writing_ = true;
        StartWrite(&out_.front());
      } else if (end_) {
        finished_ = true;
        Finish(*end_);
      }
    }

    FakeServer& server_;
    const std::string method_;
    const std::map<std::string, std::string> metadata_;
    grpc::ByteBuffer in_;
    std::mutex mutex_;
    std::vector<grpc::ByteBuffer> out_;
    std::optional<grpc::Status> end_;
    bool writing_ = false;
    bool finished_ = false;
  };
  using Handler = Call::OnMessage;

  FakeServer() { Start(0); }
  virtual ~FakeServer() { Stop(); }

  // "KV/Range" and what it does with each message. Before the first call to it, or under the test's own
  // order.
  void On(const std::string& method, Handler handler) {
    const std::lock_guard lock(mutex_);
    handlers_[method] = std::move(handler);
  }
  std::string url() const { return "http://127.0.0.1:" + std::to_string(port_); }
  int count(const std::string& method) const {
    const std::lock_guard lock(mutex_);
    const auto it = counts_.find(method);
    return it == counts_.end() ? 0 : it->second;
  }
  // Streams and calls under way end as with a killed process.
  void Stop() {
    if (!server_) return;
    server_->Shutdown(std::chrono::system_clock::now());
    server_->Wait();
    server_.reset();
    service_.reset();
  }
  void Restart() { Start(port_); }

 protected:
  // For those who keep calls: it is about to be destroyed. Who overrides it calls Stop in his destructor.
  virtual void Gone(Call*) {}

 private:
  // gRPC wants a new one for each server.
  class Service : public grpc::CallbackGenericService {
   public:
    explicit Service(FakeServer* server) : server_(*server) {}
    grpc::ServerGenericBidiReactor* CreateReactor(grpc::GenericCallbackServerContext* context) override {
      std::map<std::string, std::string> metadata;
      for (const auto& [name, value] : context->client_metadata()) {
        metadata.emplace(std::string(name.data(), name.size()), std::string(value.data(), value.size()));
      }
      const std::string method = context->method();
      const size_t package = method.rfind('.');
      return new Call(&server_, package == std::string::npos ? method : method.substr(package + 1),
                      std::move(metadata));
    }

   private:
    FakeServer& server_;
  };

  void Start(int port) {
    grpc::ServerBuilder builder;
    builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
    builder.AddListeningPort("127.0.0.1:" + std::to_string(port), grpc::InsecureServerCredentials(), &port_);
    service_ = std::make_unique<Service>(this);
    builder.RegisterCallbackGenericService(service_.get());
    server_ = builder.BuildAndStart();
  }
  void OnMessage(Call* call, const grpc::ByteBuffer& bytes) {
    Handler handler;
    {
      const std::lock_guard lock(mutex_);
      ++counts_[call->method()];
      const auto it = handlers_.find(call->method());
      if (it != handlers_.end()) handler = it->second;
    }
    if (!handler) return call->End(grpc::StatusCode::UNIMPLEMENTED, "not in this test: " + call->method());
    handler(call, bytes);
  }
  // A stream ends when the client has said all, as servers do. A unary call is answered when its handler says
  // so.
  static void OnHalfClose(Call* call) {
    if (call->method() == "Watch/Watch" || call->method() == "Lease/LeaseKeepAlive")
      call->End(grpc::Status::OK);
  }

  std::unique_ptr<Service> service_;
  std::unique_ptr<grpc::Server> server_;
  int port_ = 0;
  mutable std::mutex mutex_;
  std::map<std::string, Handler> handlers_;
  std::map<std::string, int> counts_;
};

// Tokens of a server, which it outlives: each login gives a new one, and only the last is good, until it is
// forgotten, too.
class Logins {
 public:
  void ServeAt(FakeServer* server);
  bool Knows(const FakeServer::Call& call) const {
    return !forgotten_ && call.metadata("token") == "token" + std::to_string(count_);
  }
  int count() const { return count_; }
  void Forget() { forgotten_ = true; }
  // The login gives a token that is not good either, until Remember.
  void ForgetAlways() { forgets_ = forgotten_ = true; }
  void Remember() { forgets_ = false; }

 private:
  std::atomic<int> count_ = 0;
  std::atomic<bool> forgotten_ = false;
  std::atomic<bool> forgets_ = false;
};

template <typename Message>
Message Parse(const grpc::ByteBuffer& bytes) {
  Message message;
  EXPECT_TRUE(FromBytes(bytes, &message).ok());
  return message;
}

inline void Logins::ServeAt(FakeServer* server) {
  server->On("Auth/Authenticate", [this](FakeServer::Call* call, const grpc::ByteBuffer&) {
    etcdserverpb::AuthenticateResponse response;
    response.set_token("token" + std::to_string(++count_));
    forgotten_ = forgets_.load();
    call->Reply(response);
  });
}

}  // namespace quorate::client
