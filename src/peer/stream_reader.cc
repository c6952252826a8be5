#include "peer/stream_reader.h"

#include <algorithm>
#include <utility>

#include "base/logging.h"
#include "cluster/member.h"
#include "peer/compatibility.h"
#include "peer/message_codec.h"
#include "raft/describe.h"

namespace quorate::peer {
namespace {

// Of the text that comes with a refusal.
constexpr size_t kRefusalBytesMax = 1024;

}  // namespace

StreamReader::StreamReader(std::shared_ptr<Context> context, std::shared_ptr<PeerStatus> status,
                           std::shared_ptr<UrlPicker> picker, uint64_t peer_id, StreamKind kind)
    : context_(std::move(context)),
      status_(std::move(status)),
      picker_(std::move(picker)),
      peer_id_(peer_id),
      kind_(kind) {}

StreamReader::~StreamReader() { Stop(); }

void StreamReader::Start() {
  LOG_INFO("started stream reader with remote peer", {"stream-reader-type", StreamName(kind_)},
           log::HexId("local-member-id", context_->local_id), log::HexId("remote-peer-id", peer_id_));
  Dial();
}

void StreamReader::Stop() {
  if (std::exchange(stopped_, true)) return;
  context_->loop->Cancel(std::exchange(timer_, 0));
  if (call_ != nullptr) call_->Cancel();
  LOG_INFO("stopped stream reader with remote peer", {"stream-reader-type", StreamName(kind_)},
           log::HexId("local-member-id", context_->local_id), log::HexId("remote-peer-id", peer_id_));
}

void StreamReader::Dial() {
  if (context_->events == nullptr || stopped_) return;
  dialed_nanos_ = context_->loop->now();
  if (picker_->empty()) return ScheduleDial();
  head_ = {};
  refusal_.clear();
  violation_ = absl::OkStatus();
  ClientRequest request;
  request.target = std::string(StreamPath(kind_)) + "/" + cluster::IdText(context_->local_id);
  request.headers = context_->RequestHeaders();
  request.headers.emplace_back("X-Raft-To", cluster::IdText(peer_id_));
  request.may_reuse = false;
  request.dial_timeout_nanos = context_->dial_timeout_nanos();
  request.idle_timeout_nanos = kConnectionTimeoutNanos;
  authority_ = picker_->picked().authority;
  call_ = context_->http.Start(picker_->picked(), std::move(request), this);
}

void StreamReader::ScheduleDial() {
  if (stopped_ || timer_ != 0) return;
  const int64_t pause = std::min(kRedialNanos << std::min(failures_, 10), kRedialNanosMax);
  const int64_t delay = std::max<int64_t>(dialed_nanos_ + pause - context_->loop->now(), 0);
  timer_ = context_->loop->After(net::Loop::Nanos(delay), [weak = weak_from_this()] {
    const auto self = weak.lock();
    if (self == nullptr) return;
    self->timer_ = 0;
    self->Dial();
  });
}

void StreamReader::Hasten() {
  failures_ = 0;
  if (timer_ == 0) return;
  context_->loop->Cancel(std::exchange(timer_, 0));
  ScheduleDial();
}

void StreamReader::OnHead(const HttpHead& head) {
  head_ = head;
  if (head.status != 200) return;
  failures_ = 0;
  decoder_ = std::make_unique<StreamDecoder>(kind_, context_->local_id, peer_id_);
  status_->Activate();
  LOG_INFO("established TCP streaming connection with remote peer", {"stream-reader-type", StreamName(kind_)},
           log::HexId("local-member-id", context_->local_id), log::HexId("remote-peer-id", peer_id_));
}

void StreamReader::OnBody(std::string_view bytes) {
  if (decoder_ == nullptr) {
    refusal_.append(bytes.substr(0, kRefusalBytesMax - std::min(kRefusalBytesMax, refusal_.size())));
    return;
  }
  const auto self = shared_from_this();
  context_->metrics.Of(peer_id_).received_bytes += bytes.size();
  Status status = decoder_->Feed(bytes, [this](raft::Message m) { return Deliver(std::move(m)); });
  if (stopped_) return;
  if (status.ok()) status = violation_;
  if (status.ok()) return;
  call_->Cancel();
  Ended(status);
}

bool StreamReader::Deliver(raft::Message message) {
  violation_ = CheckMessage(message);
  if (violation_.ok() && message.type == raft::MessageType::kSnap) {
    violation_ = InvalidArgument("a snapshot without its database");
  }
  if (!violation_.ok()) return false;
  if (message.to != context_->local_id || !MaySend(peer_id_, message)) {
    LOG_WARN("dropped Raft message that is not from the remote peer to this member",
             {"message-type", raft::Describe(message.type)},
             log::HexId("local-member-id", context_->local_id), log::HexId("from", message.from),
             log::HexId("to", message.to), log::HexId("remote-peer-id", peer_id_));
    context_->metrics.CountReceivedFailure(authority_);
    return true;
  }
  const Status status = context_->Step(std::move(message), server::MessagePath::kStream);
  if (!status.ok()) {
    LOG_DEBUG("failed to process Raft message", log::HexId("remote-peer-id", peer_id_),
              {"error", quorate::Message(status)});
  }
  return !stopped_;
}

void StreamReader::OnEnd() { Ended(absl::OkStatus()); }

void StreamReader::OnFailed(const Status& status) { Ended(status); }

// Why the other did not open a stream.
std::string StreamReader::Refusal() const {
  std::string_view text = refusal_;
  while (text.ends_with('\n')) text.remove_suffix(1);
  switch (head_.status) {
    case 410:
      return "the member has been permanently removed from the cluster";
    case 404:
      return "peer " + cluster::IdText(peer_id_) + " failed to find local node " +
             cluster::IdText(context_->local_id);
    case 412:
      if (text == kIncompatibleVersion || text == kClusterIdMismatch) return std::string(text);
      return "unhandled error \"" + std::string(text) + "\" when precondition failed";
    default:
      return "unhandled http status " + std::to_string(head_.status);
  }
}

// The stream, or the attempt to open one, is over. OK: the other ended its answer.
void StreamReader::Ended(const Status& status) {
  if (stopped_) return;
  if (decoder_ != nullptr) {
    decoder_.reset();
    const std::string reason = status.ok() ? "EOF" : std::string(quorate::Message(status));
    LOG_WARN("lost TCP streaming connection with remote peer", {"stream-reader-type", StreamName(kind_)},
             log::HexId("local-member-id", context_->local_id), log::HexId("remote-peer-id", peer_id_),
             {"error", reason});
    if (!status.ok()) status_->Deactivate("read", StreamName(kind_), reason);
    if (absl::IsInvalidArgument(status)) ++failures_;
    return ScheduleDial();
  }
  ++failures_;
  picker_->Unreachable(authority_);
  const std::string reason = !status.ok() ? std::string(quorate::Message(status)) : Refusal();
  status_->Deactivate("dial", StreamName(kind_), reason);
  if (status.ok() && head_.status == 412) {
    LOG_WARN(reason == kIncompatibleVersion
                 ? "request sent was ignored by remote peer due to server version incompatibility"
                 : "request sent was ignored by remote peer due to cluster ID mismatch",
             log::HexId("remote-peer-id", peer_id_),
             {"remote-peer-cluster-id", head_.header("X-Etcd-Cluster-ID")},
             log::HexId("local-member-id", context_->local_id),
             log::HexId("local-member-cluster-id", context_->cluster_id), {"error", reason});
  }
  if (status.ok() && head_.status == 410) context_->ReportRemoved();
  ScheduleDial();
}

}  // namespace quorate::peer
