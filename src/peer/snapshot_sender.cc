#include "peer/snapshot_sender.h"

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>
#include <utility>

#include "base/endian.h"
#include "peer/message_codec.h"
#include "peer/pipeline.h"

namespace quorate::peer {
namespace {

constexpr size_t kAnswerBytesMax = 1024;
// Given to the connection at a time.
constexpr size_t kConnectionBytesMax = 1024 * 1024;

}  // namespace

// Between the thread that reads the file and the loop.
struct SnapshotSender::Channel {
  std::thread reader;  // Loop's thread only.

  std::mutex mutex;  // Guards what follows.
  std::condition_variable room;
  std::deque<std::string> pieces;
  size_t bytes = 0;
  bool woken = false;      // The loop was told that there is something.
  bool finished = false;   // All pieces are in, or reading failed.
  Status status;           // Of reading.
  bool abandoned = false;  // The loop wants no more.
};

SnapshotSender::SnapshotSender(std::shared_ptr<Context> context, raft::Message message,
                               std::shared_ptr<mvcc::Backend::Snapshot> database)
    : context_(std::move(context)), message_(std::move(message)), database_(std::move(database)) {
  total_bytes_ = EncodedSize(message_) + database_->size_bytes();
}

SnapshotSender::~SnapshotSender() { Cancel(); }

void SnapshotSender::Start(const Endpoint& endpoint, Done done) {
  authority_ = endpoint.authority;
  done_ = std::move(done);
  ClientRequest request;
  request.method = "POST";
  request.target = "/raft/snapshot";
  request.headers = context_->RequestHeaders();
  request.headers.emplace_back("Content-Type", "application/octet-stream");
  request.streams_body = true;
  request.may_reuse = false;
  request.dial_timeout_nanos = context_->dial_timeout_nanos();
  request.idle_timeout_nanos = kIdleNanos;
  call_ = context_->http.Start(endpoint, std::move(request), this);
  std::string frame;
  AppendBig64(frame, EncodedSize(message_));
  AppendMessage(frame, message_);
  call_->WriteBody(frame);
  channel_ = std::make_shared<Channel>();
  channel_->reader =
      std::thread([channel = channel_, loop = context_->loop, database = std::exchange(database_, {}),
                   sender = weak_from_this()] { ReadFile(channel, loop, database, sender); });
}

// On the reader's thread. The loop outlives it: JoinReader.
void SnapshotSender::ReadFile(const std::shared_ptr<Channel>& channel, net::Loop* loop,
                              const std::shared_ptr<mvcc::Backend::Snapshot>& database,
                              const std::weak_ptr<SnapshotSender>& sender) {
  const auto wake = [&] {
    if (std::exchange(channel->woken, true)) return;
    loop->Post([sender] {
      if (const auto self = sender.lock()) self->Pump();
    });
  };
  const Status status = database->CopyTo([&](std::string_view chunk) -> Status {
    std::unique_lock lock(channel->mutex);
    channel->room.wait(lock, [&] { return channel->abandoned || channel->bytes < kBufferedBytesMax; });
    if (channel->abandoned) return absl::CancelledError("the snapshot is not wanted any more");
    channel->pieces.emplace_back(chunk);
    channel->bytes += chunk.size();
    wake();
    return absl::OkStatus();
  });
  const std::lock_guard lock(channel->mutex);
  channel->finished = true;
  channel->status = status;
  wake();
}

void SnapshotSender::JoinReader() {
  if (channel_ == nullptr) return;
  {
    const std::lock_guard lock(channel_->mutex);
    channel_->abandoned = true;
  }
  channel_->room.notify_all();
  // It waits for nothing but the chunk it is reading.
  if (channel_->reader.joinable()) channel_->reader.join();
  channel_.reset();
}

void SnapshotSender::Cancel() {
  done_ = nullptr;
  if (call_ != nullptr) call_->Cancel();
  JoinReader();
}

void SnapshotSender::Finish(const Status& status) {
  const auto self = shared_from_this();
  const Done done = std::exchange(done_, nullptr);
  Cancel();
  if (done) done(status);
}

// Moves pieces from the reader to the connection as long as that takes them.
void SnapshotSender::Pump() {
  if (channel_ == nullptr || call_ == nullptr || body_ended_) return;
  for (;;) {
    std::string piece;
    {
      const std::lock_guard lock(channel_->mutex);
      channel_->woken = false;
      if (!channel_->status.ok()) break;
      if (channel_->pieces.empty()) {
        body_ended_ = channel_->finished;
        break;
      }
      if (call_->pending_bytes() >= kConnectionBytesMax) {
        channel_->woken = true;  // OnDrained goes on.
        return;
      }
      piece = std::move(channel_->pieces.front());
      channel_->pieces.pop_front();
      channel_->bytes -= piece.size();
    }
    channel_->room.notify_one();
    call_->WriteBody(piece);
  }
  if (body_ended_) return call_->EndBody();
  const std::lock_guard lock(channel_->mutex);
  if (channel_->finished && !channel_->status.ok()) {
    // The body breaks off, which the receiver sees as such.
    const Status status = channel_->status;
    context_->loop->Post([weak = weak_from_this(), status] {
      if (const auto self = weak.lock()) self->Finish(status);
    });
  }
}

void SnapshotSender::OnDrained() { Pump(); }
void SnapshotSender::OnHead(const HttpHead& head) { head_ = head; }
void SnapshotSender::OnBody(std::string_view bytes) {
  answer_.append(bytes.substr(0, kAnswerBytesMax - std::min(kAnswerBytesMax, answer_.size())));
}
void SnapshotSender::OnEnd() {
  Finish(CheckPostAnswer(head_, answer_, "http://" + authority_ + "/raft/snapshot"));
}
void SnapshotSender::OnFailed(const Status& status) { Finish(status); }

}  // namespace quorate::peer
