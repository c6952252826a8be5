// Sends a database to a member: POST /raft/snapshot, whose body is the frame of the kSnap message and the
// bytes of the file. The file is read by a thread of its own, since it may take as long as the network does,
// and handed over in pieces; memory is bounded by kBufferedBytesMax. Source:
// etcdserver/api/rafthttp/snapshot_sender.go.
//
// Owner: the loop's thread, but for what its header says.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "mvcc/backend.h"
#include "peer/context.h"
#include "peer/http_client.h"
#include "raft/types.h"

namespace quorate::peer {

class SnapshotSender : public HttpCall::Handler, public std::enable_shared_from_this<SnapshotSender> {
 public:
  using Done = std::function<void(const Status&)>;

  static constexpr size_t kBufferedBytesMax = 4 * 1024 * 1024;
  // Neither side moves for so long. The receiver looks at every page and syncs the file before it answers:
  // for many gigabytes on a slow disk that takes minutes. (etcd waits without end.)
  static constexpr int64_t kIdleNanos = 900'000'000'000;

  SnapshotSender(std::shared_ptr<Context> context, raft::Message message,
                 std::shared_ptr<mvcc::Backend::Snapshot> database);
  ~SnapshotSender() override;

  // `done` runs once, in a later round, unless Cancel() comes first. PermissionDenied: we were removed.
  void Start(const Endpoint& endpoint, Done done);
  void Cancel();

  uint64_t to() const { return message_.to; }
  uint64_t index() const { return message_.snapshot->metadata.index; }
  uint64_t total_bytes() const { return total_bytes_; }
  const std::string& authority() const { return authority_; }

 private:
  struct Channel;

  static void ReadFile(const std::shared_ptr<Channel>& channel, net::Loop* loop,
                       const std::shared_ptr<mvcc::Backend::Snapshot>& database,
                       const std::weak_ptr<SnapshotSender>& sender);
  void Pump();
  void Finish(const Status& status);
  void JoinReader();
  void OnHead(const HttpHead& head) override;
  void OnBody(std::string_view bytes) override;
  void OnEnd() override;
  void OnFailed(const Status& status) override;
  void OnDrained() override;

  const std::shared_ptr<Context> context_;
  raft::Message message_;
  std::shared_ptr<mvcc::Backend::Snapshot> database_;
  uint64_t total_bytes_ = 0;
  std::string authority_;
  Done done_;
  std::shared_ptr<Channel> channel_;
  std::shared_ptr<HttpCall> call_;
  HttpHead head_;
  std::string answer_;
  bool body_ended_ = false;
};

}  // namespace quorate::peer
