#include "peer/stream_writer.h"

#include <utility>

#include "base/logging.h"
#include "net/grpc.h"

namespace quorate::peer {
namespace {

// Memory kept between batches.
constexpr size_t kScratchKept = 256 * 1024;

// What a message holds while it waits.
size_t Weight(const raft::Message& message) {
  size_t weight = sizeof(raft::Message) + message.context.size();
  for (const raft::Entry& entry : message.entries) weight += sizeof(raft::Entry) + entry.data.size();
  return weight;
}

}  // namespace

StreamWriter::StreamWriter(Context* context, PeerStatus* status, uint64_t peer_id, StreamKind kind)
    : context_(context), status_(status), peer_id_(peer_id), kind_(kind) {
  LOG_INFO("started stream writer with remote peer", log::HexId("local-member-id", context->local_id),
           log::HexId("remote-peer-id", peer_id));
}

StreamWriter::~StreamWriter() { Stop(); }

void StreamWriter::Stop() {
  if (!working()) return;
  while (!queue_.empty()) WriteBatch();
  LOG_WARN("closed TCP streaming connection with remote peer", {"stream-writer-type", StreamName(kind_)},
           log::HexId("remote-peer-id", peer_id_));
  reply_.OnClosed(nullptr);
  reply_.End();
  Reset();
}

void StreamWriter::Reset() {
  reply_ = net::HttpReply();
  encoder_.reset();
  queue_.clear();
  queue_bytes_ = 0;
}

void StreamWriter::Attach(net::HttpReply reply) {
  if (working()) {
    if (!queue_.empty() || reply_.pending_bytes() > 0) context_->ReportUnreachable(peer_id_);
    queue_.clear();
    Stop();
  }
  reply_ = std::move(reply);
  encoder_ = std::make_unique<StreamEncoder>(kind_);
  written_bytes_ = taken_bytes_ = 0;
  taken_nanos_ = context_->loop->now();
  reply_.OnClosed([this] { OnClosed(); });
  reply_.OnWritable([this] { Pump(); });
  LOG_INFO("set message encoder", log::HexId("from", context_->local_id), log::HexId("to", peer_id_),
           {"stream-type", StreamName(kind_)});
  status_->Activate();
  LOG_WARN("established TCP streaming connection with remote peer", {"stream-writer-type", StreamName(kind_)},
           log::HexId("local-member-id", context_->local_id), log::HexId("remote-peer-id", peer_id_));
}

void StreamWriter::OnClosed() { Lose("write", "connection closed by the remote peer"); }

void StreamWriter::Lose(std::string_view action, std::string_view reason) {
  reply_.OnClosed(nullptr);
  Reset();
  status_->Deactivate(action, StreamName(kind_), reason);
  ++context_->metrics.Of(peer_id_).sent_failures;
  LOG_WARN("lost TCP streaming connection with remote peer", {"stream-writer-type", StreamName(kind_)},
           log::HexId("local-member-id", context_->local_id), log::HexId("remote-peer-id", peer_id_));
  // What had been handed to the socket may be lost, too.
  context_->ReportUnreachable(peer_id_);
}

bool StreamWriter::Queue(raft::Message&& message) {
  const size_t weight = Weight(message);
  if (queue_.size() >= kQueueMax || queue_bytes_ + weight > kQueueBytesMax) return false;
  queue_bytes_ += weight;
  queue_.push_back(std::move(message));
  return true;
}

void StreamWriter::Pump() {
  if (!working()) return;
  while (!queue_.empty() && reply_.pending_bytes() < net::kStreamPendingHigh) WriteBatch();
  if (scratch_.capacity() > kScratchKept) std::string().swap(scratch_);
}

// Messages of about 1 MiB in one piece.
void StreamWriter::WriteBatch() {
  scratch_.clear();
  while (!queue_.empty() && scratch_.size() < net::kStreamPendingHigh) {
    encoder_->Append(scratch_, queue_.front());
    queue_bytes_ -= Weight(queue_.front());
    queue_.pop_front();
  }
  WriteScratch();
}

void StreamWriter::WriteScratch() {
  written_bytes_ += scratch_.size();
  context_->metrics.Of(peer_id_).sent_bytes += scratch_.size();
  reply_.Write(scratch_);
}

void StreamWriter::Beat() {
  if (!working()) return;
  if (reply_.closed()) return OnClosed();
  const int64_t now = context_->loop->now();
  const size_t pending = reply_.pending_bytes();
  // Chunk frames count as pending and not as written.
  const uint64_t taken = written_bytes_ > pending ? written_bytes_ - pending : 0;
  if (taken != taken_bytes_ || pending == 0) {
    taken_bytes_ = taken;
    taken_nanos_ = now;
  } else if (now - taken_nanos_ >= kConnectionTimeoutNanos) {
    return Lose("heartbeat", "i/o timeout");
  }
  if (pending > 0) return;  // Something is on its way; a heartbeat would only queue up.
  scratch_.clear();
  encoder_->AppendHeartbeat(scratch_);
  WriteScratch();
}

}  // namespace quorate::peer
