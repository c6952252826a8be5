#include "peer/peer.h"

#include <utility>

#include "base/logging.h"
#include "raft/describe.h"

namespace quorate::peer {
namespace {

// Log lines about dropped messages of one member: at most one in this time.
constexpr int64_t kDropLogNanos = 1'000'000'000;

}  // namespace

Peer::Peer(std::shared_ptr<Context> context, uint64_t id, const std::vector<std::string>& urls)
    : context_(std::move(context)),
      id_(id),
      urls_(urls),
      status_(std::make_shared<PeerStatus>(context_.get(), id)),
      picker_(std::make_shared<UrlPicker>(urls)),
      append_writer_(context_.get(), status_.get(), id, StreamKind::kAppend),
      message_writer_(context_.get(), status_.get(), id, StreamKind::kMessage),
      append_reader_(std::make_shared<StreamReader>(context_, status_, picker_, id, StreamKind::kAppend)),
      message_reader_(std::make_shared<StreamReader>(context_, status_, picker_, id, StreamKind::kMessage)),
      pipeline_(context_, status_, picker_, id),
      prober_(std::make_unique<Prober>(context_, picker_, id)) {
  context_->metrics.Of(id).known = true;
  LOG_INFO("started HTTP pipelining with remote peer", log::HexId("local-member-id", context_->local_id),
           log::HexId("remote-peer-id", id));
  append_reader_->Start();
  message_reader_->Start();
  LOG_INFO("started remote peer", log::HexId("remote-peer-id", id));
  LOG_INFO("added remote peer", log::HexId("local-member-id", context_->local_id),
           log::HexId("remote-peer-id", id), {"remote-peer-urls", urls});
}

Peer::~Peer() {
  Stop();
  context_->metrics.Of(id_).known = false;
}

void Peer::Stop() {
  if (prober_ == nullptr) return;
  LOG_INFO("stopping remote peer", log::HexId("remote-peer-id", id_));
  append_reader_->Stop();
  message_reader_->Stop();
  append_writer_.Stop();
  message_writer_.Stop();
  prober_.reset();
  LOG_INFO("stopped remote peer", log::HexId("remote-peer-id", id_));
}

void Peer::Send(raft::Message message) {
  if (message.type == raft::MessageType::kApp && append_writer_.working()) {
    if (!append_writer_.Queue(std::move(message))) Drop(message);
  } else if (message_writer_.working()) {
    if (!message_writer_.Queue(std::move(message))) Drop(message);
  } else if (!pipeline_.Send(std::move(message))) {
    Drop(message);
  }
}

// A message that a full queue refused is still whole.
void Peer::Drop(const raft::Message& message) {
  context_->ReportUnreachable(id_);
  ++context_->metrics.Of(id_).sent_failures;
  const int64_t now = context_->loop->now();
  if (!status_->active() || now - drop_logged_nanos_ < kDropLogNanos) return;
  drop_logged_nanos_ = now;
  LOG_WARN("dropped internal Raft message since sending buffer is full (overloaded network)",
           {"message-type", raft::Describe(message.type)}, log::HexId("local-member-id", context_->local_id),
           log::HexId("from", message.from), log::HexId("remote-peer-id", id_), {"remote-peer-active", true});
}

void Peer::Pump() {
  append_writer_.Pump();
  message_writer_.Pump();
}

void Peer::Beat() {
  append_writer_.Beat();
  message_writer_.Beat();
}

void Peer::UpdateUrls(const std::vector<std::string>& urls) {
  if (urls == urls_) return;
  urls_ = urls;
  picker_->Update(urls);
  append_reader_->Hasten();
  message_reader_->Hasten();
  LOG_INFO("updated remote peer", log::HexId("local-member-id", context_->local_id),
           log::HexId("updated-remote-peer-id", id_), {"updated-remote-peer-urls", urls});
}

void Peer::Attach(StreamKind kind, net::HttpReply reply) {
  (kind == StreamKind::kAppend ? append_writer_ : message_writer_).Attach(std::move(reply));
  append_reader_->Hasten();
  message_reader_->Hasten();
}

Remote::Remote(std::shared_ptr<Context> context, uint64_t id, const std::vector<std::string>& urls)
    : context_(std::move(context)),
      id_(id),
      pipeline_(context_, std::make_shared<PeerStatus>(context_.get(), id), std::make_shared<UrlPicker>(urls),
                id) {
  LOG_INFO("added new remote peer", log::HexId("local-member-id", context_->local_id),
           log::HexId("remote-peer-id", id), {"remote-peer-urls", urls});
}

void Remote::Send(raft::Message message) {
  if (pipeline_.Send(std::move(message))) return;
  context_->ReportUnreachable(id_);
  ++context_->metrics.Of(id_).sent_failures;
}

}  // namespace quorate::peer
