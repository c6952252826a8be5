#include "cmd/quorate/serve_grpc_endpoint.h"

#include <grpcpp/create_channel.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/security/credentials.h>
#include <grpcpp/security/tls_credentials_options.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <utility>

#include "rpc.pb.h"

namespace quorate::cmd {
namespace {

// etcd's client library never pings more often (grpc-go's minimum); its server ends a connection on which
// pings come faster than every 5 s.
constexpr std::chrono::seconds kKeepaliveMin(10);

Status FromGrpc(const std::string& url, const grpc::Status& status) {
  if (status.ok()) return absl::OkStatus();
  // Etcd up to 3.4 says the end of a call's time as Go's error without a code.
  const bool late = status.error_code() == grpc::StatusCode::UNKNOWN &&
                    status.error_message() == "context deadline exceeded";
  const auto code =
      late ? absl::StatusCode::kDeadlineExceeded : static_cast<absl::StatusCode>(status.error_code());
  // What the transport says names no endpoint; what the server says is the cluster's, whoever says it.
  const bool transport = status.error_code() == grpc::StatusCode::UNAVAILABLE;
  return MakeStatus(code, transport ? url + ": " + status.error_message() : status.error_message());
}

// "unix:path" stays as it is, which is how libgrpc++ wants it.
std::string Target(const std::string& url) {
  if (url.starts_with("unixs:")) return "unix:" + url.substr(6);
  const size_t scheme = url.find("://");
  if (scheme == std::string::npos || url.starts_with("unix")) return url;
  return url.substr(scheme + 3);
}

StatusOr<std::string> ReadFile(const std::string& path) {
  if (path.empty()) return std::string();
  std::ifstream file(path, std::ios::binary);
  std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  if (!file || text.empty()) return InvalidArgument("can't read " + path + ", or it is empty");
  return text;
}

std::shared_ptr<grpc::ChannelCredentials> Credentials(const GrpcTls& tls) {
  if (tls.verify) return grpc::SslCredentials({tls.authorities, tls.key, tls.certificate});
  grpc::experimental::TlsChannelCredentialsOptions options;
  options.set_verify_server_certs(false);
  options.set_check_call_host(false);
  options.set_certificate_verifier(std::make_shared<grpc::experimental::NoOpCertificateVerifier>());
  if (!tls.certificate.empty()) {
    options.set_certificate_provider(std::make_shared<grpc::experimental::StaticDataCertificateProvider>(
        std::vector<grpc::experimental::IdentityKeyCertPair>{{tls.key, tls.certificate}}));
    options.watch_identity_key_cert_pairs();
  }
  return grpc::experimental::TlsCredentials(options);
}

int Millis(std::chrono::nanoseconds duration) {
  return static_cast<int>(std::chrono::duration_cast<std::chrono::milliseconds>(duration).count());
}

grpc::ChannelArguments Arguments(const GrpcOptions& options) {
  grpc::ChannelArguments arguments;
  // Who calls makes the pauses.
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, Millis(std::chrono::seconds(1)));
  if (options.keepalive_time.count() > 0) {
    arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS,
                     Millis(std::max<std::chrono::nanoseconds>(options.keepalive_time, kKeepaliveMin)));
    arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, Millis(options.keepalive_timeout));
    // A watch that waits sends no data.
    arguments.SetInt(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  }
  return arguments;
}

grpc::ByteBuffer ToBuffer(const google::protobuf::MessageLite& message) {
  const grpc::Slice slice(message.SerializeAsString());
  return grpc::ByteBuffer(&slice, 1);
}

bool FromBuffer(const grpc::ByteBuffer& buffer, google::protobuf::MessageLite* message) {
  grpc::Slice slice;
  return buffer.DumpToSingleSlice(&slice).ok() &&
         message->ParseFromArray(slice.begin(), static_cast<int>(slice.size()));
}

// The end of a prefix as a range has it.
std::string PrefixEnd(std::string prefix) {
  while (!prefix.empty() && static_cast<unsigned char>(prefix.back()) == 0xff) prefix.pop_back();
  if (prefix.empty()) return std::string(1, '\0');
  ++prefix.back();
  return prefix;
}

// One operation of one call at a time; drained before it goes.
class Queue {
 public:
  ~Queue() {
    queue_.Shutdown();
    void* tag = nullptr;
    bool ok = false;
    while (queue_.Next(&tag, &ok)) {
    }
  }
  grpc::CompletionQueue* get() { return &queue_; }
  // Whether the operation that was begun last has worked.
  bool Wait() {
    void* tag = nullptr;
    bool ok = false;
    return queue_.Next(&tag, &ok) && ok;
  }

 private:
  grpc::CompletionQueue queue_;
};

}  // namespace

StatusOr<GrpcTls> ReadGrpcTls(const std::string& authorities_file, const std::string& certificate_file,
                              const std::string& key_file) {
  if (certificate_file.empty() != key_file.empty()) {
    return InvalidArgument("a certificate needs its key, and a key its certificate: give both files or none");
  }
  GrpcTls tls;
  QUORATE_ASSIGN_OR_RETURN(tls.authorities, ReadFile(authorities_file));
  QUORATE_ASSIGN_OR_RETURN(tls.certificate, ReadFile(certificate_file));
  QUORATE_ASSIGN_OR_RETURN(tls.key, ReadFile(key_file));
  return tls;
}

// ---- cancelling ----

void GrpcCanceller::Cancel() {
  const std::lock_guard lock(mutex_);
  cancelled_ = true;
  if (running_ != nullptr) running_->TryCancel();
}

bool GrpcCanceller::cancelled() const {
  const std::lock_guard lock(mutex_);
  return cancelled_;
}

void GrpcCanceller::Enter(grpc::ClientContext* context) {
  const std::lock_guard lock(mutex_);
  running_ = context;
  if (cancelled_) context->TryCancel();
}

void GrpcCanceller::Leave() {
  const std::lock_guard lock(mutex_);
  running_ = nullptr;
}

// ---- calls ----

StatusOr<std::unique_ptr<GrpcEndpoint>> GrpcEndpoint::Make(const std::string& url, const GrpcOptions& options,
                                                           GrpcCanceller* canceller) {
  const std::string target = Target(url);
  if (target.empty()) return InvalidArgument("no endpoint: " + url);
  const bool plain = url.starts_with("http://") || url.starts_with("unix:");
  const bool secure =
      url.starts_with("https://") || url.starts_with("unixs:") || (!plain && options.tls.by_default);
  const auto credentials = secure ? Credentials(options.tls) : grpc::InsecureChannelCredentials();
  auto channel = grpc::CreateCustomChannel(target, credentials, Arguments(options));
  return std::unique_ptr<GrpcEndpoint>(new GrpcEndpoint(url, std::move(channel), options, canceller));
}

GrpcEndpoint::GrpcEndpoint(std::string url, std::shared_ptr<grpc::Channel> channel,
                           const GrpcOptions& options, GrpcCanceller* canceller)
    : url_(std::move(url)), channel_(std::move(channel)), options_(options), canceller_(*canceller) {}

Status GrpcEndpoint::WaitForConnection() {
  // In steps, so that an end of the process does not wait for it.
  constexpr std::chrono::milliseconds kStep(100);
  const auto deadline = std::chrono::system_clock::now() + options_.connect_timeout;
  while (!canceller_.cancelled()) {
    if (channel_->WaitForConnected(std::min(deadline, std::chrono::system_clock::now() + kStep))) {
      return absl::OkStatus();
    }
    if (std::chrono::system_clock::now() >= deadline) break;
  }
  return Unavailable(url_ + ": no connection within " + std::to_string(Millis(options_.connect_timeout)) +
                     " ms");
}

Status GrpcEndpoint::Call(const std::string& method, const google::protobuf::MessageLite& request,
                          google::protobuf::MessageLite* response, const std::string& token) {
  QUORATE_RETURN_IF_ERROR(WaitForConnection());
  Queue queue;
  grpc::ClientContext context;
  context.set_deadline(
      std::chrono::system_clock::now() +
      std::chrono::duration_cast<std::chrono::system_clock::duration>(options_.call_timeout));
  if (!token.empty()) context.AddMetadata("token", token);
  grpc::GenericStub stub(channel_);
  canceller_.Enter(&context);
  auto call = stub.PrepareUnaryCall(&context, "/etcdserverpb." + method, ToBuffer(request), queue.get());
  call->StartCall();
  grpc::ByteBuffer answer;
  grpc::Status status;
  call->Finish(&answer, &status, nullptr);
  queue.Wait();
  canceller_.Leave();
  if (!status.ok()) return FromGrpc(url_, status);
  if (!FromBuffer(answer, response))
    return Internal(url_ + ": the answer to " + method + " is no such message");
  return absl::OkStatus();
}

StatusOr<std::string> GrpcEndpoint::Authenticate(const std::string& user, const std::string& password) {
  etcdserverpb::AuthenticateRequest request;
  request.set_name(user);
  request.set_password(password);
  etcdserverpb::AuthenticateResponse response;
  const Status status = Call("Auth/Authenticate", request, &response);
  if (absl::IsFailedPrecondition(status)) return std::string();
  QUORATE_RETURN_IF_ERROR(status);
  return response.token();
}

Status GrpcEndpoint::AwaitEvent(const std::string& prefix, int64_t from_revision, const std::string& token) {
  QUORATE_RETURN_IF_ERROR(WaitForConnection());
  etcdserverpb::WatchRequest request;
  request.mutable_create_request()->set_key(prefix);
  request.mutable_create_request()->set_range_end(PrefixEnd(prefix));
  request.mutable_create_request()->set_start_revision(from_revision);
  grpc::ClientContext context;
  if (!token.empty()) context.AddMetadata("token", token);
  grpc::GenericStub stub(channel_);
  Queue queue;
  canceller_.Enter(&context);
  auto call = stub.PrepareCall(&context, "/etcdserverpb.Watch/Watch", queue.get());
  int tag = 0;
  call->StartCall(&tag);
  bool alive = queue.Wait();
  if (alive) {
    call->Write(ToBuffer(request), &tag);
    alive = queue.Wait();
  }
  bool event = false;
  std::string why;
  while (alive && !event && why.empty()) {
    grpc::ByteBuffer answer;
    call->Read(&answer, &tag);
    alive = queue.Wait();
    etcdserverpb::WatchResponse response;
    if (!alive || !FromBuffer(answer, &response)) break;
    event = response.events_size() > 0;
    if (response.canceled()) why = "cancelled by the server: " + response.cancel_reason();
  }
  context.TryCancel();
  grpc::Status status;
  call->Finish(&status, &tag);
  queue.Wait();
  canceller_.Leave();
  if (event) return absl::OkStatus();
  return Unavailable(url_ + ": the watch has ended: " + (why.empty() ? status.error_message() : why));
}

}  // namespace quorate::cmd
