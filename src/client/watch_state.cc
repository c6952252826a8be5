#include "client/watch_state.h"

#include <iterator>
#include <string>
#include <string_view>

namespace quorate::client {
namespace {

struct KnownReason {
  std::string_view text;
  absl::StatusCode code;
};
constexpr KnownReason kKnownReasons[] = {
    {"etcdserver: permission denied", absl::StatusCode::kPermissionDenied},
    {"etcdserver: invalid auth token", absl::StatusCode::kUnauthenticated},
    {"etcdserver: revision of auth store is old", absl::StatusCode::kInvalidArgument},
    {"etcdserver: user name is empty", absl::StatusCode::kInvalidArgument},
    {"etcdserver: mvcc: required revision has been compacted", absl::StatusCode::kOutOfRange},
    {"etcdserver: mvcc: required revision is a future revision", absl::StatusCode::kOutOfRange},
    {"etcdserver: no leader", absl::StatusCode::kUnavailable},
};

}  // namespace

Status FromCancelReason(const std::string& reason) {
  std::string_view text = reason;
  // Some versions send the error as Go prints it: "rpc error: code = PermissionDenied desc = etcdserver:
  // ...".
  constexpr std::string_view kDescription = " desc = ";
  if (text.starts_with("rpc error: ")) {
    if (const size_t at = text.find(kDescription); at != text.npos)
      text.remove_prefix(at + kDescription.size());
  }
  for (const KnownReason& known : kKnownReasons) {
    if (text == known.text) return MakeStatus(known.code, text);
  }
  return FailedPrecondition(text.empty() ? "the server has cancelled the watch and given no reason" : text);
}

etcdserverpb::WatchRequest WatchState::CreateRequest() const {
  etcdserverpb::WatchRequest request;
  etcdserverpb::WatchCreateRequest& create = *request.mutable_create_request();
  create.set_key(keys.key);
  create.set_range_end(keys.end);
  create.set_start_revision(cursor.next());
  create.set_progress_notify(options.progress_notify);
  create.set_prev_kv(options.prev_kv);
  create.set_fragment(options.fragment);
  if (options.no_put) create.add_filters(etcdserverpb::WatchCreateRequest::NOPUT);
  if (options.no_delete) create.add_filters(etcdserverpb::WatchCreateRequest::NODELETE);
  return request;
}

bool WatchState::Deliver(etcdserverpb::WatchResponse response) {
  if (!handler) return mailbox->Put(std::move(response));
  // A copy: the handler may end the watch, and itself with it.
  const WatchHandler to = handler;
  to(std::move(response));
  return true;
}

void WatchState::End(const Status& why, etcdserverpb::WatchResponse last) {
  phase = Phase::kEnded;
  mailbox->End(why, std::move(last));
  if (const WatchHandler to = std::exchange(handler, nullptr)) to(why);
}

}  // namespace quorate::client
