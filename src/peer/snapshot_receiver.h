// POST /raft/snapshot on our side: the frame of the kSnap message, then the database until the body ends. The
// bytes go to a SnapshotIntake as they come; the message is stepped when the file lies in its place. Source:
// etcdserver/api/rafthttp/http.go (snapshotHandler).
//
// Owner: the loop's thread. One object is one request.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "net/http.h"
#include "peer/context.h"
#include "peer/receiving_snapshots.h"
#include "raft/types.h"
#include "server/snapshot_intake.h"

namespace quorate::peer {

class SnapshotReceiver : public net::HttpBodySink, public std::enable_shared_from_this<SnapshotReceiver> {
 public:
  // The message comes before the database and holds the membership only (etcd 3.6: 64 MiB).
  static constexpr uint64_t kMessageBytesMax = 64 * 1024 * 1024;

  // The request's headers have been checked. `sender` is X-Server-From, 0 when it gave none; `member` whether
  // we know it as one. `receiving` is shared by all receivers of a transport.
  SnapshotReceiver(std::shared_ptr<Context> context, std::shared_ptr<ReceivingSnapshots> receiving,
                   uint64_t sender, bool member, std::string address);
  ~SnapshotReceiver() override;

  void OnBegin(net::HttpReply reply) override;
  void OnBytes(std::string_view bytes) override;
  void OnEnd() override;
  // The message, which has no use before it is whole.
  Part part() const override { return {intake_ == nullptr ? head_.capacity() : 0, 1}; }

 private:
  // The number of bytes of the message's frame that it took; the message is complete when length_known_ and
  // message_bytes_ has it all.
  size_t TakeFrame(std::string_view bytes);
  void TakeMessage();
  void Saved(const Status& status);
  void Refuse(int status, std::string_view text, const Status& why);
  void RefuseRemoved();
  void Broken();
  void Over();

  const std::shared_ptr<Context> context_;
  const std::shared_ptr<ReceivingSnapshots> receiving_;
  const uint64_t sender_;
  const bool member_;
  const std::string address_;
  net::HttpReply reply_;
  std::string head_;  // Of the frame: the length, then the message.
  uint64_t message_bytes_ = 0;
  bool length_known_ = false;
  raft::Message message_;
  std::unique_ptr<server::SnapshotIntake> intake_;  // From the message's end on.
  int64_t started_nanos_ = 0;
  ReceivingSnapshots::Id id_ = 0;  // In receiving_; 0: not in it.
  bool over_ = false;
};

}  // namespace quorate::peer
