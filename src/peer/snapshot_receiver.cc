#include "peer/snapshot_receiver.h"

#include <algorithm>
#include <utility>

#include "base/endian.h"
#include "base/logging.h"
#include "cluster/member.h"
#include "peer/http_answers.h"
#include "peer/message_codec.h"
#include "raft/describe.h"

namespace quorate::peer {
namespace {

constexpr size_t kLengthBytes = 8;

}  // namespace

SnapshotReceiver::SnapshotReceiver(std::shared_ptr<Context> context,
                                   std::shared_ptr<ReceivingSnapshots> receiving, uint64_t sender,
                                   bool member, std::string address)
    : context_(std::move(context)),
      receiving_(std::move(receiving)),
      sender_(sender),
      member_(member),
      address_(std::move(address)),
      started_nanos_(context_->now()) {}

SnapshotReceiver::~SnapshotReceiver() { Over(); }

void SnapshotReceiver::OnBegin(net::HttpReply reply) {
  reply_ = std::move(reply);
  reply_.OnClosed([weak = weak_from_this()] {
    if (const auto self = weak.lock()) self->Broken();
  });
  id_ =
      receiving_->Enter(member_, context_->now(), [weak = weak_from_this()](ReceivingSnapshots::Cause cause) {
        // Over() leaves before the receiver is gone.
        const auto self = weak.lock();
        QUORATE_CHECK(self != nullptr);
        if (cause == ReceivingSnapshots::Cause::kStop) {
          return self->Refuse(503, "server stopped", Unavailable("server stopped"));
        }
        self->Refuse(500, "another snapshot needs the room of this one, which is slow or not a member's",
                     ResourceExhausted("it made room for another one"));
      });
  if (id_ == 0) {
    Refuse(500, "too many snapshots are being received", ResourceExhausted("too many snapshots at once"));
  }
}

void SnapshotReceiver::OnBytes(std::string_view bytes) {
  if (over_) return;
  if (context_->events == nullptr) return Refuse(503, "server stopped", Unavailable("server stopped"));
  receiving_->Progress(id_, bytes.size(), context_->now());
  if (intake_ == nullptr) bytes.remove_prefix(TakeFrame(bytes));
  if (over_ || intake_ == nullptr || bytes.empty()) return;
  intake_->Append(bytes);
  context_->metrics.Of(message_.from).received_bytes += bytes.size();
  if (intake_->pending_bytes() < server::SnapshotIntake::kPendingHigh) return;
  reply_.PauseBody(true);
  intake_->OnDrained([weak = weak_from_this()] {
    if (const auto self = weak.lock()) self->reply_.PauseBody(false);
  });
}

size_t SnapshotReceiver::TakeFrame(std::string_view bytes) {
  size_t taken = 0;
  if (!length_known_) {
    taken = std::min(bytes.size(), kLengthBytes - head_.size());
    head_.append(bytes.substr(0, taken));
    if (head_.size() < kLengthBytes) return taken;
    message_bytes_ = LoadBig64(head_.data());
    head_.clear();
    length_known_ = true;
    if (message_bytes_ > kMessageBytesMax) {
      const std::string text = "failed to decode raft message (a message of " +
                               std::to_string(message_bytes_) + " bytes; at most 64 MiB are allowed)";
      Refuse(400, text, InvalidArgument(text));
      return bytes.size();
    }
  }
  const size_t more = std::min<uint64_t>(bytes.size() - taken, message_bytes_ - head_.size());
  head_.append(bytes.substr(taken, more));
  if (head_.size() == message_bytes_) TakeMessage();
  return taken + more;
}

void SnapshotReceiver::TakeMessage() {
  StatusOr<raft::Message> decoded = DecodeMessage(head_);
  std::string().swap(head_);
  if (!decoded.ok()) {
    const std::string text =
        "failed to decode raft message (" + std::string(quorate::Message(decoded.status())) + ")";
    return Refuse(400, text, decoded.status());
  }
  message_ = *std::move(decoded);
  if (message_.type != raft::MessageType::kSnap) {
    return Refuse(400, "wrong raft message type", InvalidArgument(raft::Describe(message_.type)));
  }
  Status status = CheckMessage(message_);
  if (status.ok() && message_.to != context_->local_id) {
    status = InvalidArgument("the snapshot is for member " + cluster::IdText(message_.to));
  }
  if (status.ok() && message_.from != sender_) {
    status = InvalidArgument("the snapshot is from member " + cluster::IdText(message_.from) +
                             ", the request from " + cluster::IdText(sender_));
  }
  if (!status.ok()) {
    return Refuse(400, "failed to decode raft message (" + std::string(quorate::Message(status)) + ")",
                  status);
  }
  if (context_->events->IsRemoved(message_.from)) return RefuseRemoved();
  ++context_->metrics.Of(message_.from).snapshot_receive.inflights;
  const uint64_t index = message_.snapshot->metadata.index;
  LOG_INFO("receiving database snapshot", log::HexId("local-member-id", context_->local_id),
           log::HexId("remote-snapshot-sender-id", message_.from), {"incoming-snapshot-index", index},
           {"incoming-snapshot-message-size-bytes", message_bytes_});
  intake_ = context_->events->NewIntake(index);
}

void SnapshotReceiver::OnEnd() {
  if (over_) return;
  if (intake_ == nullptr) {
    return Refuse(400, "failed to decode raft message (unexpected EOF)", InvalidArgument("unexpected EOF"));
  }
  receiving_->Complete(id_);
  // Keeps itself alive until the file is in its place.
  intake_->Finish([self = shared_from_this()](const Status& status) { self->Saved(status); });
}

void SnapshotReceiver::Saved(const Status& status) {
  if (over_) return;
  const uint64_t index = message_.snapshot->metadata.index;
  if (!status.ok()) {
    LOG_WARN("failed to save incoming database snapshot", log::HexId("local-member-id", context_->local_id),
             log::HexId("remote-snapshot-sender-id", message_.from), {"incoming-snapshot-index", index},
             {"error", quorate::Message(status)});
    return Refuse(500, "failed to save KV snapshot (" + std::string(quorate::Message(status)) + ")", status);
  }
  const int64_t took = context_->now() - started_nanos_;
  LOG_INFO("received and saved database snapshot", log::HexId("local-member-id", context_->local_id),
           log::HexId("remote-snapshot-sender-id", message_.from), {"incoming-snapshot-index", index},
           {"incoming-snapshot-size-bytes", intake_->received_bytes()}, log::Duration("download-took", took));
  if (context_->events == nullptr) return Refuse(503, "server stopped", Unavailable("server stopped"));
  const uint64_t from = message_.from;
  const Status stepped = context_->events->Step(std::move(message_), server::MessagePath::kPost);
  message_.from = from;
  if (absl::IsPermissionDenied(stepped)) return RefuseRemoved();
  if (!stepped.ok()) {
    return Refuse(500, "failed to process raft message (" + std::string(quorate::Message(stepped)) + ")",
                  stepped);
  }
  SnapshotMetrics& metrics = context_->metrics.Of(from).snapshot_receive;
  ++metrics.success;
  metrics.duration.ObserveNanos(context_->now() - started_nanos_);
  Over();
  reply_.Send(204, {{"X-Etcd-Cluster-Id", cluster::IdText(context_->cluster_id)}}, "");
}

void SnapshotReceiver::Refuse(int status, std::string_view text, const Status& why) {
  LOG_WARN("refused an incoming database snapshot", log::HexId("local-member-id", context_->local_id),
           log::HexId("remote-snapshot-sender-id", sender_), {"remote-address", address_},
           {"error", quorate::Message(why)});
  ++context_->metrics.Of(sender_).snapshot_receive.failures;
  if (status == 400) context_->metrics.CountReceivedFailure(AddressWithoutPort(address_));
  Over();
  SendError(reply_, status, text, context_->cluster_id);
}

void SnapshotReceiver::RefuseRemoved() {
  LOG_WARN("rejected Raft message from removed member", log::HexId("local-member-id", context_->local_id),
           log::HexId("removed-member-id", message_.from));
  ++context_->metrics.Of(message_.from).snapshot_receive.failures;
  Over();
  SendRemoved(reply_, context_->cluster_id);
}

// The sender went away in the middle.
void SnapshotReceiver::Broken() {
  if (over_ || intake_ == nullptr) return Over();
  LOG_WARN("failed to save incoming database snapshot", log::HexId("local-member-id", context_->local_id),
           log::HexId("remote-snapshot-sender-id", message_.from),
           {"received-bytes", intake_->received_bytes()}, {"error", "unexpected EOF"});
  ++context_->metrics.Of(message_.from).snapshot_receive.failures;
  Over();
}

void SnapshotReceiver::Over() {
  if (std::exchange(over_, true)) return;
  receiving_->Leave(id_);
  if (intake_ == nullptr) return;
  intake_.reset();
  --context_->metrics.Of(message_.from).snapshot_receive.inflights;
}

}  // namespace quorate::peer
