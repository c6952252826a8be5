#include "rpc/watch_service.h"

#include <algorithm>
#include <array>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "auth/auth_errors.h"
#include "base/wire.h"
#include "mvcc/watch_hub.h"
#include "rpc.pb.h"
#include "server/errors.h"

namespace quorate::rpc {
namespace {

// Fields of WatchResponse.
constexpr uint32_t kWatchId = 2;
constexpr uint32_t kCreated = 3;
constexpr uint32_t kCanceled = 4;
constexpr uint32_t kCompactRevision = 5;
constexpr uint32_t kCancelReason = 6;
constexpr uint32_t kFragment = 7;

struct Control {
  int64_t watch_id = 0;
  bool created = false;
  bool canceled = false;
  int64_t compact_revision = 0;
  std::string_view cancel_reason = {};
};

// Requests of one stream while the client leaves their answers unread. What it is owed of events is a
// revision number; answers are kept.
constexpr int kRequestsUnreadMax = 10'000;

// The text of a refusal as the original puts it into cancel_reason.
std::string RpcErrorText(const Status& status) {
  static constexpr std::array<std::string_view, 17> kNames = {
      "OK",       "Canceled",       "Unknown",          "InvalidArgument",   "DeadlineExceeded",
      "NotFound", "AlreadyExists",  "PermissionDenied", "ResourceExhausted", "FailedPrecondition",
      "Aborted",  "OutOfRange",     "Unimplemented",    "Internal",          "Unavailable",
      "DataLoss", "Unauthenticated"};
  return "rpc error: code = " + std::string(kNames[static_cast<size_t>(status.code())]) +
         " desc = " + std::string(Message(status));
}

class WatchCall : public net::StreamHandler, public mvcc::WatchSink, private PermissionObserver {
 public:
  WatchCall(Context* context, net::Loop* loop, Stream stream)
      : context_(*context),
        member_(context->member()),
        loop_(*loop),
        stream_(stream),
        watches_(member_.watch_hub().OpenStream(this)),
        checked_generation_(member_.auth().generation()) {
    registration_.Set(&context->permission_sweep(), this);
  }

  // ---- from the client ----
  void OnMessage(std::string_view bytes) override {
    stream_.Received();
    requests_unread_ = full() ? requests_unread_ + 1 : 0;
    if (requests_unread_ > kRequestsUnreadMax) {
      return End(ResourceExhausted("etcdserver: " + std::to_string(requests_unread_) +
                                   " watch requests, and their responses are not read"));
    }
    etcdserverpb::WatchRequest request;
    if (!request.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
      return End(MalformedRequest("WatchRequest"));
    }
    switch (request.request_union_case()) {
      case etcdserverpb::WatchRequest::kCreateRequest:
        return Create(request.create_request());
      case etcdserverpb::WatchRequest::kCancelRequest:
        return Cancel(request.cancel_request().watch_id());
      case etcdserverpb::WatchRequest::kProgressRequest:
        return watches_->RequestProgress();
      case etcdserverpb::WatchRequest::REQUEST_UNION_NOT_SET:
        return;
    }
  }
  // The client asks for no more, and still gets what it has asked for, as with the original.
  void OnHalfClose() override {}
  void OnClosed(net::Code reason) override {
    watches_.reset();
    stream_.Closed(reason);
  }
  void OnWritable() override {
    if (!watches_) return;
    watches_->Resume();
    loop_.Post([] {});  // The hub goes on in the next round: let there be one.
  }

  // ---- from the hub ----
  bool full() const override { return stream_.full(); }

  void OnEvents(mvcc::WatchId id, int64_t header_revision, std::shared_ptr<const mvcc::WatchEvents> events,
                bool fragment) override {
    // Permissions have just changed, and OnPermissionsChanged is still to come. The hub must not be called
    // from here, so the watch is only ended there.
    if (checked_generation_ != member_.auth().generation() && !Permitted(*watches_->FindWatched(id)).ok()) {
      denied_.insert(id);
      return;
    }
    const size_t fragment_bytes = member_.config().request_bytes_max + limits::kGrpcOverheadBytes;
    if (!fragment || events->bytes.size() < fragment_bytes || events->count() < 2) {
      return SendEvents(id, header_revision, events->bytes, false);
    }
    // As many events a piece as fit, at least one.
    size_t begin = 0;
    for (size_t i = 0; i < events->count(); ++i) {
      const bool last = i + 1 == events->count();
      if (!last && events->ends[i + 1] - begin < fragment_bytes) continue;
      const std::string_view piece = std::string_view(events->bytes).substr(begin, events->ends[i] - begin);
      SendEvents(id, header_revision, piece, !last);
      begin = events->ends[i];
    }
  }

  void OnCompacted(mvcc::WatchId id, int64_t compact_revision) override {
    if (const auto watched = watches_->FindWatched(id)) Forget(*watched);
    SendControl({.watch_id = id, .canceled = true, .compact_revision = compact_revision}, 0);
  }

  void OnProgress(mvcc::WatchId id, int64_t header_revision) override {
    SendControl({.watch_id = id}, header_revision);
  }

 private:
  void End(const Status& status) {
    watches_.reset();
    stream_.Finish(status);
  }

  void Create(const etcdserverpb::WatchCreateRequest& request) {
    if (const Status bad = mvcc::WatchStream::CheckStart(request.start_revision()); !bad.ok()) {
      return Refuse(Message(bad));
    }
    if (const Status denied = IdentifyFor(request); !denied.ok()) return Refuse(RpcErrorText(denied));
    mvcc::WatchOptions options;
    options.id = request.watch_id();
    options.key = request.key();
    options.range_end = request.range_end();
    options.start_revision = request.start_revision();
    for (const int filter : request.filters()) {
      options.no_put |= filter == etcdserverpb::WatchCreateRequest::NOPUT;
      options.no_delete |= filter == etcdserverpb::WatchCreateRequest::NODELETE;
    }
    options.prev_kv = request.prev_kv();
    options.fragment = request.fragment();
    options.progress_notify = request.progress_notify();
    if (const Status kept = Keep(options); !kept.ok()) return Refuse(RpcErrorText(kept));
    const auto id = watches_->Create(options);
    if (!id.ok()) {
      Forget({.key = options.key, .range_end = options.range_end});
      return Refuse(Message(id.status()));
    }
    SendControl({.watch_id = *id, .created = true}, member_.store().current_revision());
  }

  // What is watched is kept for as long as it is.
  Status Keep(const mvcc::WatchOptions& options) {
    const mvcc::WatchStream::Watched watched = {.key = options.key, .range_end = options.range_end};
    kept_bytes_ += Bytes(watched);
    if (stream_.HoldRequest(kept_bytes_)) return absl::OkStatus();
    Forget(watched);
    return TooMuchKept();
  }
  void Forget(const mvcc::WatchStream::Watched& watched) {
    kept_bytes_ -= Bytes(watched);
    stream_.HoldRequest(kept_bytes_);
  }
  // An empty key is "\0" when it is watched.
  static size_t Bytes(const mvcc::WatchStream::Watched& watched) {
    return std::max<size_t>(watched.key.size(), 1) + watched.range_end.size();
  }

  // An empty key stands for "\0"; what is granted must be what is then watched.
  Status IdentifyFor(const etcdserverpb::WatchCreateRequest& request) {
    if (!member_.auth().enabled()) return absl::OkStatus();
    QUORATE_ASSIGN_OR_RETURN(const auth::AuthInfo who, context_.Identify(stream_));
    user_ = who.username;
    const std::string key = request.key().empty() ? std::string(1, '\0') : request.key();
    return member_.auth().IsRangePermitted(who, key, request.range_end());
  }

  // Whether a watch may go on. What counts is what its user may do by now, not whether his token is still
  // good: a watch outlives the token, as in the original.
  Status Permitted(const mvcc::WatchStream::Watched& watched) {
    if (!member_.auth().enabled()) return absl::OkStatus();
    auth::AuthInfo who{user_, member_.auth().revision()};
    // Authentication was off when the watch was created: its user is known only now.
    if (user_.empty()) {
      QUORATE_ASSIGN_OR_RETURN(who, context_.Identify(stream_));
    }
    return member_.auth().IsRangePermitted(who, watched.key, watched.range_end);
  }

  void OnPermissionsChanged() override {
    if (!watches_) return;
    checked_generation_ = member_.auth().generation();
    std::vector<std::pair<mvcc::WatchId, std::string>> ended;
    for (const mvcc::WatchStream::Watched& watched : watches_->AllWatched()) {
      Status denied = Permitted(watched);
      // It may be permitted once more; but it has missed events.
      if (denied.ok() && denied_.contains(watched.id)) denied = auth::ErrPermissionDenied();
      if (!denied.ok()) ended.emplace_back(watched.id, RpcErrorText(denied));
    }
    denied_.clear();
    for (const auto& [id, reason] : ended) {
      CancelKept(id);
      SendControl({.watch_id = id, .canceled = true, .cancel_reason = reason},
                  member_.store().current_revision());
    }
  }

  void Refuse(std::string_view reason) {
    SendControl(
        {.watch_id = mvcc::kInvalidWatchId, .created = true, .canceled = true, .cancel_reason = reason},
        member_.store().current_revision());
  }

  void Cancel(int64_t id) {
    denied_.erase(id);
    if (CancelKept(id)) SendControl({.watch_id = id, .canceled = true}, member_.store().current_revision());
  }
  bool CancelKept(int64_t id) {
    if (const auto watched = watches_->FindWatched(id)) Forget(*watched);
    return watches_->Cancel(id);
  }

  std::string Head(int64_t watch_id, int64_t revision) {
    std::string head;
    server::ResponseHeader header = member_.header();
    header.revision = revision;
    server::AppendHeader(head, header);
    wire::AppendVarintFieldNonZero(head, kWatchId, static_cast<uint64_t>(watch_id));
    return head;
  }

  void SendControl(const Control& control, int64_t revision) {
    std::string message = Head(control.watch_id, revision);
    wire::AppendVarintFieldNonZero(message, kCreated, control.created);
    wire::AppendVarintFieldNonZero(message, kCanceled, control.canceled);
    wire::AppendVarintFieldNonZero(message, kCompactRevision,
                                   static_cast<uint64_t>(control.compact_revision));
    wire::AppendBytesFieldNonEmpty(message, kCancelReason, control.cancel_reason);
    stream_.Send(message);
  }

  void SendEvents(int64_t watch_id, int64_t revision, std::string_view events, bool fragment) {
    std::string head = Head(watch_id, revision);
    wire::AppendVarintFieldNonZero(head, kFragment, fragment);
    const std::array<std::string_view, 2> pieces = {head, events};
    stream_.Send(pieces);
  }

  Context& context_;
  server::Member& member_;
  net::Loop& loop_;
  Stream stream_;
  int requests_unread_ = 0;
  std::unique_ptr<mvcc::WatchStream> watches_;  // Null when the call is over.
  std::string user_;                            // Empty: not known yet.
  size_t kept_bytes_ = 0;                       // Of what is watched.
  uint64_t checked_generation_;                 // Of the permissions that all watches have.
  absl::flat_hash_set<mvcc::WatchId> denied_;   // Have missed events since.
  PermissionSweep::Registration registration_;
};

}  // namespace

void WatchService::Register(std::span<net::Server* const> servers) {
  context_.AddStreaming(servers, "etcdserverpb.Watch", "Watch", CallType::kBidiStream, [this](Stream stream) {
    return std::make_unique<WatchCall>(&context_, &loop_, stream);
  });
}

}  // namespace quorate::rpc
