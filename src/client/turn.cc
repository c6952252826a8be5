#include "client/turn.h"

#include <algorithm>
#include <charconv>
#include <functional>

namespace quorate::client {
namespace {

// Cancels the watch when the caller wants no more, or the session is lost: waiting on would be for nothing.
Status WaitForDelete(Session* session, const std::string& key, int64_t revision, const TimeLeft& time,
                     const std::stop_token& stop) {
  const auto watch = session->client().watches().Start(key, {.start_revision = revision, .no_put = true});
  const std::stop_callback on_stop(stop, [&watch] { watch->Cancel(); });
  const std::stop_callback on_lost(session->lost(), [&watch] { watch->Cancel(); });
  while (true) {
    std::optional<StatusOr<WatchResponse>> response;
    if (const auto left = time.Left()) {
      response = watch->Next(*left);
    } else {
      response = watch->Next();
    }
    if (stop.stop_requested()) return MakeStatus(absl::StatusCode::kCancelled, "context canceled");
    if (session->lost().stop_requested()) {
      return MakeStatus(absl::StatusCode::kAborted, "mutex: session is expired");
    }
    if (!response) return MakeStatus(absl::StatusCode::kDeadlineExceeded, "context deadline exceeded");
    QUORATE_RETURN_IF_ERROR(response->status());
    for (const mvccpb::Event& event : (*response)->events()) {
      if (event.type() == mvccpb::Event::DELETE) return absl::OkStatus();
    }
  }
}

}  // namespace

std::string SessionKey(std::string_view prefix, int64_t lease) {
  char digits[20];
  const auto end = std::to_chars(digits, digits + sizeof(digits), lease, 16).ptr;
  return std::string(prefix) + std::string(digits, end);
}

TimeLeft::TimeLeft(const CallOptions& call) : call_(call) {
  if (call.timeout && call.timeout->count() > 0) until_ = std::chrono::steady_clock::now() + *call.timeout;
}

std::optional<std::chrono::milliseconds> TimeLeft::Left() const {
  if (!until_) return std::nullopt;
  const auto left =
      std::chrono::duration_cast<std::chrono::milliseconds>(*until_ - std::chrono::steady_clock::now());
  return std::max(left, std::chrono::milliseconds(1));
}

CallOptions TimeLeft::ForCall() const {
  CallOptions call = call_;
  // Without a bound of the whole, each request waits for the cluster as long as it takes.
  call.timeout = Left().value_or(std::chrono::milliseconds(0));
  call.repeatable = true;
  return call;
}

Status WaitForTurn(Session* session, std::string_view prefix, int64_t create_revision, const TimeLeft& time,
                   const std::stop_token& stop) {
  const GetOptions last_before{.limit = 1,
                               .sort_order = etcdserverpb::RangeRequest::DESCEND,
                               .sort_target = etcdserverpb::RangeRequest::CREATE,
                               .max_create_revision = create_revision - 1};
  while (true) {
    QUORATE_ASSIGN_OR_RETURN(const RangeResponse before,
                             session->client().kv().Get(Prefix(prefix), last_before, time.ForCall()));
    if (before.kvs().empty()) return absl::OkStatus();
    QUORATE_RETURN_IF_ERROR(
        WaitForDelete(session, before.kvs(0).key(), before.header().revision(), time, stop));
  }
}

}  // namespace quorate::client
