// One endpoint of a cluster's client API over libgrpc++: what this program asks other clusters, or its own
// when it has lost its place in it. Calls block; no thread of the loop makes them.
#pragma once

#include <google/protobuf/message_lite.h>
#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>

#include <chrono>
#include <memory>
#include <mutex>
#include <string>

#include "base/status.h"

namespace quorate::cmd {

// Contents of PEM files; empty: the system's authorities, no certificate of our own.
struct GrpcTls {
  std::string authorities;
  std::string certificate;
  std::string key;
  bool verify = true;
  // Also to endpoints that don't begin with "https://".
  bool by_default = false;
};
// Reads the files that are named. InvalidArgument when one can't be read, or a certificate has no key.
StatusOr<GrpcTls> ReadGrpcTls(const std::string& authorities_file, const std::string& certificate_file,
                              const std::string& key_file);

struct GrpcOptions {
  GrpcTls tls;
  std::chrono::nanoseconds connect_timeout = std::chrono::seconds(2);
  std::chrono::nanoseconds call_timeout = std::chrono::seconds(3);
  // Pings of an idle connection; 0: none.
  std::chrono::nanoseconds keepalive_time{0};
  std::chrono::nanoseconds keepalive_timeout{0};
};

// Ends calls from another thread: the one under way, and all that come later.
class GrpcCanceller {
 public:
  void Cancel();
  bool cancelled() const;

 private:
  friend class GrpcEndpoint;
  void Enter(grpc::ClientContext* context);
  void Leave();

  mutable std::mutex mutex_;
  grpc::ClientContext* running_ = nullptr;  // Both under mutex_.
  bool cancelled_ = false;
};

// One call at a time.
class GrpcEndpoint {
 public:
  // `url`: "http://host:port", "https://host:port", "host:port" or "unix:path". `canceller` is not
  // owned.
  static StatusOr<std::unique_ptr<GrpcEndpoint>> Make(const std::string& url, const GrpcOptions& options,
                                                      GrpcCanceller* canceller);

  // Waits for the connection, then calls "Service/Method" of package etcdserverpb. The code of an error is
  // that of the server; Unavailable when it can't be reached.
  Status Call(const std::string& method, const google::protobuf::MessageLite& request,
              google::protobuf::MessageLite* response, const std::string& token = "");

  // A token for this user. OK and empty when authentication is off there, and so nobody can be logged in.
  StatusOr<std::string> Authenticate(const std::string& user, const std::string& password);

  // Watches a prefix from this revision on, until an event. Unavailable when the watch ends first.
  Status AwaitEvent(const std::string& prefix, int64_t from_revision, const std::string& token);

 private:
  GrpcEndpoint(std::string url, std::shared_ptr<grpc::Channel> channel, const GrpcOptions& options,
               GrpcCanceller* canceller);
  Status WaitForConnection();

  const std::string url_;
  const std::shared_ptr<grpc::Channel> channel_;
  const GrpcOptions options_;
  GrpcCanceller& canceller_;
};

}  // namespace quorate::cmd
