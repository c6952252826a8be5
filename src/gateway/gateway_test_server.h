// For the tests of this folder: the door as a client of HTTP sees it, in front of services that only pretend.
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "gateway/json_gateway.h"
#include "net/test_client.h"
#include "rpc.pb.h"

namespace quorate::gateway {

// Runs jobs when told.
class HeldExecutor : public Executor {
 public:
  void Submit(Lane, std::function<void()> work, std::function<void()> done) override {
    jobs_.emplace_back(std::move(work), std::move(done));
  }
  size_t size() const { return jobs_.size(); }
  size_t RunAll() {
    const auto jobs = std::exchange(jobs_, {});
    for (const auto& [work, done] : jobs) {
      work();
      done();
    }
    return jobs.size();
  }

 private:
  std::vector<std::pair<std::function<void()>, std::function<void()>>> jobs_;
};

// Answers each request with one response a message, and ends by the words "end" and "fail" as keys.
// "keep" is kept.
class FakeWatch : public net::StreamHandler {
 public:
  FakeWatch(net::StreamCall call, std::vector<std::string>* log, int* asked)
      : call_(call), log_(log), asked_(*asked) {}
  void OnMessage(std::string_view bytes) override {
    etcdserverpb::WatchRequest request;
    ASSERT_TRUE(request.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())));
    const std::string& key = request.create_request().key();
    if (key == "end") return call_.Finish(net::Code::kOk, "");
    if (key == "fail") return call_.Finish(net::Code::kNotFound, "no <such> thing");
    etcdserverpb::WatchResponse response;
    response.set_watch_id(request.create_request().watch_id());
    if (key == "keep") call_.HoldRequest(1000);
    if (key == "flood") {
      response.set_cancel_reason(std::string(1000, 'f'));
      for (int i = 0; i < 1000; ++i) call_.Send(response.SerializeAsString());
      return;
    }
    ++asked_;
    if (key == "wide") response.set_cancel_reason(std::string(300, 'w'));
    if (key == "wider") response.set_cancel_reason(std::string(3000, 'w'));
    call_.Send(response.SerializeAsString());
  }
  void OnHalfClose() override { log_->push_back("half-close"); }
  void OnClosed(net::Code code) override {
    log_->push_back("closed " + std::to_string(static_cast<int>(code)));
  }

 private:
  net::StreamCall call_;
  std::vector<std::string>* log_;
  int& asked_;
};

class JsonGatewayTest : public testing::Test {
 protected:
  void SetUp() override { Start({}); }
  void Start(net::ServerOptions options) {
    gateway_.reset();
    options.message_bytes_max = 300'000;
    options.early_end_grace = std::chrono::milliseconds(1);  // Tests wait for the end of the stream.
    server_ = std::make_unique<net::Server>(&loop_, options);
    server_->RegisterUnary("/etcdserverpb.KV/Range", [this](net::UnaryCall call, std::string_view bytes) {
      etcdserverpb::RangeRequest request;
      ASSERT_TRUE(request.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())));
      if (request.key() == "wait") {
        call.OnCancel([this](net::Code code) {
          log_.push_back("cancelled " + std::to_string(static_cast<int>(code)));
        });
        return;
      }
      if (request.limit() != 0) return call.Fail(static_cast<net::Code>(request.limit()), "because");
      etcdserverpb::RangeResponse response;
      response.add_kvs()->set_key(request.key());
      for (const char* name : {"authorization", "token", "x-bin"}) {
        if (const auto value = call.metadata(name)) response.add_kvs()->set_key(std::string(*value));
      }
      call.Respond(response.SerializeAsString());
    });
    server_->RegisterStreaming("/etcdserverpb.Watch/Watch",
                               [this](net::StreamCall call) -> std::unique_ptr<net::StreamHandler> {
                                 if (other_watch_) return other_watch_(call);
                                 return std::make_unique<FakeWatch>(call, &log_, &asked_);
                               });
    gateway_ = std::make_unique<JsonGateway>(server_.get(), &executor_, [this] { return era_; });
    server_->SetHttpHandler([this](const net::HttpRequest& request, net::HttpReply reply) {
      if (!JsonGateway::Owns(request.path)) return reply.Send(200, {}, "not ours");
      gateway_->Handle(request, std::move(reply), {{"X-Common", "yes"}});
    });
    server_->SetHttpBodyHandler([this](const net::HttpRequest& request) {
      return JsonGateway::Owns(request.path) ? gateway_->TakeBody(request, {{"X-Common", "yes"}}) : nullptr;
    });
    const auto port = server_->Listen("127.0.0.1", 0);
    ASSERT_TRUE(port.ok());
    port_ = *port;
  }

  static std::string Request(const std::string& path, const std::string& body,
                             const std::string& headers = {}, const std::string& method = "POST") {
    return method + " " + path + " HTTP/1.1\r\nHost: h\r\nConnection: close\r\n" + headers +
           "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
  }
  // The whole answer.
  std::string Ask(const std::string& path, const std::string& body, const std::string& headers = {},
                  const std::string& method = "POST") {
    net::RawClient raw(&loop_, port_);
    raw.Write(Request(path, body, headers, method));
    return raw.ReadAll();
  }
  static std::string Body(const std::string& answer) {
    const size_t end = answer.find("\r\n\r\n");
    return end == std::string::npos ? "no body" : answer.substr(end + 4);
  }
  static std::string StatusOf(const std::string& answer) { return answer.substr(9, 3); }
  static std::string Repeated(std::string_view what, int times) {
    std::string out;
    for (int i = 0; i < times; ++i) out.append(what);
    return out;
  }
  static net::H2Client::Headers PostTo(const std::string& path) {
    return {{":method", "POST"}, {":scheme", "http"}, {":path", path}, {":authority", "a"}};
  }
  static std::string Upgrade() {
    return "GET /v3/watch HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
           "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
  }
  // A WebSocket's text, masked with zeros.
  static std::string Text(std::string_view payload) {
    std::string frame = "\x81\xff";
    for (int shift = 56; shift >= 0; shift -= 8) frame.push_back(static_cast<char>(payload.size() >> shift));
    return frame + std::string(4, '\0') + std::string(payload);
  }

  net::Loop loop_;
  HeldExecutor executor_;
  Era era_ = Era::k34;
  std::vector<std::string> log_;
  int asked_ = 0;  // Requests that a stream has answered.
  // Instead of FakeWatch.
  std::function<std::unique_ptr<net::StreamHandler>(net::StreamCall)> other_watch_;
  std::unique_ptr<net::Server> server_;
  std::unique_ptr<JsonGateway> gateway_;
  uint16_t port_ = 0;
};

}  // namespace quorate::gateway
