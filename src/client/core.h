// What a client is made of. Owns everything; the services in the public headers are thin views of it.
//
// Built and destroyed on the user's thread; in between everything but the functions marked "any thread"
// belongs to the loop's.
#pragma once

#include <grpcpp/client_context.h>
#include <grpcpp/support/byte_buffer.h>

#include <functional>
#include <memory>
#include <random>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "client/balancer.h"
#include "client/lease_keeper.h"
#include "client/loop.h"
#include "client/stream.h"
#include "client/token.h"
#include "client/unary_call.h"
#include "client/watch_hub.h"
#include "quorate/client/options.h"

namespace quorate::client {

// Etcd up to 3.4 says the end of a call's time as Go's error without a code: it is kDeadlineExceeded here,
// whoever notices it first.
Status FromGrpc(const grpc::Status& status);

class Core {
 public:
  Core(Options options, std::shared_ptr<grpc::ChannelCredentials> tls);
  // Ends all that is under way with kCancelled. Not from the loop's thread.
  ~Core();

  const Options& options() const { return options_; }  // Any thread.
  Loop& loop() { return *loop_; }                      // Any thread.
  // For handles that may outlive the client. Any thread.
  std::shared_ptr<Loop> shared_loop() const { return loop_; }

  Balancer& balancer() { return balancer_; }
  Token& token() { return token_; }
  WatchHub& watches() { return watches_; }
  LeaseKeeper& leases() { return leases_; }
  bool closed() const { return closed_; }

  // Any thread; `done` runs on the loop's, once, and never within this. What is called on the loop after the
  // client was closed is dropped.
  void Call(const Method& method, grpc::ByteBuffer request, CallOptions options, UnaryCall::Done done);

  Clock::time_point Deadline(const Method& method, const CallOptions& call) const;
  void AddMetadata(grpc::ClientContext* context, bool require_leader, bool with_token) const;
  // In [0, 1).
  double Random() { return std::uniform_real_distribution<double>(0, 1)(random_); }
  void Log(std::string_view text) const {
    if (options_.log) options_.log(text);
  }

  // The endpoints' URLs, for all threads.
  std::vector<std::string> Urls() const;
  Status SetUrls(const std::vector<std::string>& urls);
  // Asks the cluster; `done` runs on the loop.
  void Sync(const CallOptions& call, std::function<void(const Status&)> done);
  void StartAutoSync();

  // Ends all that is under way with kCancelled, and what comes.
  void Close();

  // What is under way and has to be ended with the client.
  void Add(std::shared_ptr<UnaryCall> call);
  void Remove(const std::shared_ptr<UnaryCall>& call) { calls_.erase(call); }
  void Add(const std::shared_ptr<Stream>& stream);
  void Remove(Stream* stream) { streams_.erase(stream); }

 private:
  const Options options_;
  const std::shared_ptr<Loop> loop_;
  std::mt19937_64 random_;
  Balancer balancer_;
  Token token_;
  std::unordered_set<std::shared_ptr<UnaryCall>> calls_;
  std::unordered_set<Stream*> streams_;
  WatchHub watches_;
  LeaseKeeper leases_;
  Timer sync_timer_;
  bool closed_ = false;

  mutable std::mutex urls_mutex_;
  std::vector<std::string> urls_;
};

}  // namespace quorate::client
