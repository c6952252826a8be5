#include "cmd/quorate/serve_grpc_endpoint.h"

#include <grpcpp/generic/async_generic_service.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>
#include <gtest/gtest.h>

#include "rpc.pb.h"

namespace quorate::cmd {
namespace {

// Ends each call with one status.
class Refusing : public grpc::CallbackGenericService {
 public:
  explicit Refusing(grpc::Status status) : status_(std::move(status)) {
    grpc::ServerBuilder builder;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port_);
    builder.RegisterCallbackGenericService(this);
    server_ = builder.BuildAndStart();
  }
  ~Refusing() override { server_->Shutdown(); }
  std::string url() const { return "http://127.0.0.1:" + std::to_string(port_); }

 private:
  class Call : public grpc::ServerGenericBidiReactor {
   public:
    explicit Call(const grpc::Status& status) { Finish(status); }
    void OnDone() override { delete this; }
  };
  grpc::ServerGenericBidiReactor* CreateReactor(grpc::GenericCallbackServerContext*) override {
    return new Call(status_);
  }

  const grpc::Status status_;
  int port_ = 0;
  std::unique_ptr<grpc::Server> server_;
};

TEST(GrpcEndpointTest, ErrorsAreTheServersButForEtcdsEndOfTime) {
  const struct {
    grpc::Status told;
    absl::StatusCode code;
  } cases[] = {
      {{grpc::UNKNOWN, "context deadline exceeded"}, absl::StatusCode::kDeadlineExceeded},
      {{grpc::UNKNOWN, "raft proposal dropped"}, absl::StatusCode::kUnknown},
      {{grpc::INVALID_ARGUMENT, "etcdserver: user name is empty"}, absl::StatusCode::kInvalidArgument},
  };
  for (const auto& c : cases) {
    const Refusing server(c.told);
    GrpcCanceller canceller;
    GrpcOptions options;
    options.connect_timeout = options.call_timeout = std::chrono::minutes(1);
    const auto endpoint = GrpcEndpoint::Make(server.url(), options, &canceller);
    ASSERT_TRUE(endpoint.ok()) << endpoint.status();
    etcdserverpb::MemberListResponse response;
    const Status status =
        (*endpoint)->Call("Cluster/MemberList", etcdserverpb::MemberListRequest(), &response);
    EXPECT_EQ(status.code(), c.code) << status;
    EXPECT_EQ(Message(status), c.told.error_message());
  }
}

}  // namespace
}  // namespace quorate::cmd
