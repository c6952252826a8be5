#include "rpc/snapshot_stream.h"

#include <openssl/evp.h>

#include <condition_variable>
#include <deque>
#include <mutex>
#include <optional>
#include <string>
#include <utility>

#include "base/logging.h"
#include "base/wire.h"
#include "cluster/version.h"
#include "server/storage_version.h"

namespace quorate::rpc {
namespace {

constexpr size_t kBlobBytes = 32 * 1024;
// Messages read ahead of what the client has taken.
constexpr size_t kMessagesAheadMax = 32;

std::string EncodeMessage(uint64_t remaining, std::string_view blob, std::string_view version) {
  std::string message;
  message.reserve(blob.size() + version.size() + 24);
  wire::AppendVarintFieldNonZero(message, 2, remaining);
  wire::AppendBytesFieldNonEmpty(message, 3, blob);
  wire::AppendBytesFieldNonEmpty(message, 4, version);
  return message;
}

class Sha256 {
 public:
  Sha256() : context_(EVP_MD_CTX_new()) { EVP_DigestInit_ex(context_, EVP_sha256(), nullptr); }
  ~Sha256() { EVP_MD_CTX_free(context_); }
  Sha256(const Sha256&) = delete;
  Sha256& operator=(const Sha256&) = delete;
  void Update(std::string_view bytes) { EVP_DigestUpdate(context_, bytes.data(), bytes.size()); }
  std::string Digest() {
    std::string digest(32, '\0');
    unsigned length = 0;
    EVP_DigestFinal_ex(context_, reinterpret_cast<unsigned char*>(digest.data()), &length);
    return digest;
  }

 private:
  EVP_MD_CTX* context_;
};

// What the copying thread and the core share. The thread waits here when the client is slow.
struct Channel {
  std::string version;  // The storage version, from 3.6 on; set before the thread starts.
  std::mutex mutex;
  std::condition_variable room;
  std::deque<std::string> messages;  // Guarded by mutex, as the rest.
  bool ended = false;                // Nothing more comes; `status` says why.
  bool cancelled = false;            // Nobody takes any more.
  Status status;
};

// Returns false when the stream was cancelled meanwhile.
bool Push(Channel& channel, std::string message, const std::function<void()>& wake) {
  std::unique_lock lock(channel.mutex);
  channel.room.wait(lock, [&] { return channel.cancelled || channel.messages.size() < kMessagesAheadMax; });
  if (channel.cancelled) return false;
  const bool was_empty = channel.messages.empty();
  channel.messages.push_back(std::move(message));
  lock.unlock();
  if (was_empty) wake();
  return true;
}

void CopySnapshot(mvcc::Backend::Snapshot& snapshot, Channel& channel, const std::function<void()>& wake) {
  Sha256 sha;
  uint64_t remaining = snapshot.size_bytes();
  Status status = snapshot.CopyTo([&](std::string_view chunk) -> Status {
    sha.Update(chunk);
    for (; !chunk.empty(); chunk.remove_prefix(std::min(chunk.size(), kBlobBytes))) {
      const std::string_view blob = chunk.substr(0, kBlobBytes);
      remaining -= blob.size();
      if (!Push(channel, EncodeMessage(remaining, blob, channel.version), wake)) {
        return MakeStatus(absl::StatusCode::kCancelled, "snapshot stream cancelled");
      }
    }
    return absl::OkStatus();
  });
  if (status.ok()) Push(channel, EncodeMessage(0, sha.Digest(), channel.version), wake);
  {
    const std::lock_guard lock(channel.mutex);
    channel.ended = true;
    channel.status = std::move(status);
  }
  wake();
}

class SnapshotCall : public net::StreamHandler {
 public:
  SnapshotCall(Context* context, net::Loop* loop, Stream stream, const SnapshotPatience& patience)
      : context_(*context), member_(context->member()), loop_(*loop), stream_(stream), patience_(patience) {}

  ~SnapshotCall() override { End(); }

  void OnMessage(std::string_view) override {
    stream_.Received();
    if (started_) return;
    started_ = true;
    if (const Status denied = Permitted(); !denied.ok()) return stream_.Finish(denied);
    // The turn may come while another call ends: it begins in a round of its own.
    context_.snapshot_copiers().Request(this, [this, loop = &loop_, alive = std::weak_ptr(alive_)] {
      loop->Post([this, alive] {
        if (!alive.expired()) Begin();
      });
    });
  }
  void OnHalfClose() override {}
  void OnClosed(net::Code reason) override {
    End();
    stream_.Closed(reason);
  }
  void OnWritable() override {
    unread_ = false;
    looks_ = 0;
    Pump();
  }

 private:
  Status Permitted() {
    if (!member_.auth().enabled()) return absl::OkStatus();
    QUORATE_ASSIGN_OR_RETURN(const auth::AuthInfo who, context_.Identify(stream_));
    return member_.auth().IsAdminPermitted(who);
  }

  void Begin() {
    if (over_) return;
    // Who lost the right to it while he waited for his turn gets nothing.
    if (const Status denied = Permitted(); !denied.ok()) return Finish(denied);
    member_.backend().BeginSnapshot(
        [this, alive = std::weak_ptr(alive_)](StatusOr<std::shared_ptr<mvcc::Backend::Snapshot>> snapshot) {
          if (alive.expired() || over_) return;
          if (!snapshot.ok()) return Finish(snapshot.status());
          Copy(*std::move(snapshot));
        });
  }

  void Copy(std::shared_ptr<mvcc::Backend::Snapshot> snapshot) {
    look_ = loop_.Every(patience_.look, [this] { Look(); });
    const auto version = server::ReadStorageVersion(member_.backend());
    if (version.ok() && *version && **version >= cluster::kVersion36) {
      channel_->version = cluster::VersionText(**version);
    }
    context_.snapshot_copiers().Run([this, snapshot = std::move(snapshot), channel = channel_, loop = &loop_,
                                     alive = std::weak_ptr(alive_)] {
      CopySnapshot(*snapshot, *channel, [this, loop, alive] {
        loop->Post([this, alive] {
          if (!alive.expired()) Pump();
        });
      });
    });
  }

  void Look() {
    if (!unread_) return;
    const bool others = context_.snapshot_copiers().waiting() > 0;
    if (++looks_ < (others ? patience_.looks_while_others_wait : patience_.looks)) return;
    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(looks_ * patience_.look).count();
    const Status why = ResourceExhausted("etcdserver: nothing of the snapshot was read for " +
                                         std::to_string(seconds) + " s");
    LOG_WARN("ended a snapshot that its client does not read", {"remote-addr", stream_.peer()},
             {"error", Message(why)});
    Finish(why);
  }

  // Nothing more is sent: the copying thread is told so, and another call may have its place.
  void End() {
    over_ = true;
    loop_.Cancel(std::exchange(look_, 0));
    {
      const std::lock_guard lock(channel_->mutex);
      channel_->cancelled = true;
    }
    channel_->room.notify_all();
    context_.snapshot_copiers().GiveBack(this);
  }

  void Finish(const Status& status) {
    End();
    stream_.Finish(status);
  }

  void Pump() {
    while (!over_ && !unread_) {
      std::string message;
      std::optional<Status> end;
      {
        const std::lock_guard lock(channel_->mutex);
        if (!channel_->messages.empty()) {
          message = std::move(channel_->messages.front());
          channel_->messages.pop_front();
        } else if (channel_->ended) {
          end = channel_->status;
        } else {
          return;
        }
      }
      if (end) return Finish(*end);
      channel_->room.notify_one();
      stream_.Send(message);
      // Asked only after a message of ours, which is what makes OnWritable come: others share the connection.
      unread_ = stream_.full();
    }
  }

  Context& context_;
  server::Member& member_;
  net::Loop& loop_;
  Stream stream_;
  std::shared_ptr<Channel> channel_ = std::make_shared<Channel>();
  std::shared_ptr<char> alive_ = std::make_shared<char>();
  const SnapshotPatience patience_;
  net::Loop::TimerId look_ = 0;
  int looks_ = 0;  // In a row that found nothing read.
  bool started_ = false;
  bool unread_ = false;  // Until OnWritable.
  bool over_ = false;
};

}  // namespace

std::unique_ptr<net::StreamHandler> MakeSnapshotStream(Context* context, net::Loop* loop, Stream stream,
                                                       const SnapshotPatience& patience) {
  return std::make_unique<SnapshotCall>(context, loop, stream, patience);
}

}  // namespace quorate::rpc
