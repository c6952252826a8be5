// One endpoint and the connection to it. Loop thread.
#pragma once

#include <grpcpp/channel.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/security/credentials.h>

#include <memory>
#include <string>

#include "client/endpoint_address.h"
#include "client/loop.h"
#include "quorate/client/options.h"

namespace quorate::client {

class Endpoint {
 public:
  Endpoint(EndpointAddress address, std::shared_ptr<grpc::Channel> channel);

  const EndpointAddress& address() const { return address_; }
  grpc::Channel& channel() { return *channel_; }
  grpc::GenericStub& stub() { return stub_; }
  // Also makes an idle connection connect.
  grpc_connectivity_state State() { return channel_->GetState(/*try_to_connect=*/true); }

  // Health: after a failure others are preferred for a while.
  bool Avoided(Clock::time_point now) const { return now < avoided_until_; }
  void Failed(Clock::time_point now);
  void Answered() {
    avoided_until_ = {};
    connect_error_.clear();
  }

  // Why the last attempt to connect failed; empty: not known.
  const std::string& connect_error() const { return connect_error_; }
  // Asks gRPC, which tells only by failing a call. At once, while the connection is down.
  static void LearnConnectError(const std::shared_ptr<Endpoint>& self, Loop* loop);
  // What came of such a call.
  void Learned(const grpc::Status& result);

 private:
  const EndpointAddress address_;
  const std::shared_ptr<grpc::Channel> channel_;
  grpc::GenericStub stub_;
  Clock::time_point avoided_until_;
  std::string connect_error_;
  bool learning_ = false;
};

// Makes endpoints; holds what they have in common.
class EndpointFactory {
 public:
  // `tls` null: none configured; https endpoints then trust the system's authorities.
  EndpointFactory(const Options& options, std::shared_ptr<grpc::ChannelCredentials> tls);

  StatusOr<std::shared_ptr<Endpoint>> Make(const std::string& url) const;

 private:
  const Options options_;
  const std::shared_ptr<grpc::ChannelCredentials> tls_;
  const std::shared_ptr<grpc::ChannelCredentials> plain_;
};

}  // namespace quorate::client
