#include "client/retry.h"

#include <algorithm>
#include <cmath>
#include <span>
#include <string_view>

#include "quorate/client/status.h"

namespace quorate::client {
namespace {

// As clients are told, and as etcd up to 3.4 passes its inner errors on in answers of Maintenance.
constexpr std::string_view kInvalidToken[] = {"etcdserver: invalid auth token", "auth: invalid auth token"};
constexpr std::string_view kOldRevision[] = {"etcdserver: revision of auth store is old",
                                             "auth: revision in header is old"};
constexpr std::string_view kUserEmpty[] = {"etcdserver: user name is empty", "auth: user name is empty"};
constexpr std::string_view kLearner = "etcdserver: rpc not supported for learner";

const absl::string_view kNeverSentMark = "quorate.client/never-sent";
const absl::string_view kPerhapsDoneMark = "quorate.client/perhaps-done";

bool IsOneOf(const Status& status, std::span<const std::string_view> texts) {
  return std::find(texts.begin(), texts.end(), Message(status)) != texts.end();
}

}  // namespace

bool IsBadToken(const Status& status) {
  return IsOneOf(status, kInvalidToken) || IsOneOf(status, kOldRevision);
}

bool WantsNewToken(const Status& status) { return IsBadToken(status) || IsOneOf(status, kUserEmpty); }

NextStep AfterFailure(const Status& status, const FailedAttempt& attempt) {
  // With the common name of a certificate for a user there is no token to renew, but another try is right.
  if (IsBadToken(status)) return attempt.has_user ? NextStep::kRetryWithNewToken : NextStep::kRetry;
  if (WantsNewToken(status) && attempt.has_user) return NextStep::kRetryWithNewToken;
  if (Message(status) == kLearner && attempt.endpoints > 1) return NextStep::kRetry;
  if (attempt.never_sent && absl::IsUnavailable(status)) return NextStep::kRetry;
  if (!attempt.repeatable) return NextStep::kGiveUp;
  return absl::IsUnavailable(status) || attempt.timed_out ? NextStep::kRetry : NextStep::kGiveUp;
}

std::chrono::milliseconds RetryWait(int attempt, size_t endpoints, std::chrono::milliseconds wait,
                                    double jitter, double random) {
  const int majority = static_cast<int>(endpoints / 2 + 1);
  if (attempt % majority != 0) return std::chrono::milliseconds(0);
  return Jittered(wait, jitter, random);
}

std::chrono::milliseconds Jittered(std::chrono::milliseconds wait, double jitter, double random) {
  const double factor = 1 + jitter * (2 * random - 1);
  return std::chrono::milliseconds(std::llround(static_cast<double>(wait.count()) * factor));
}

bool MayReopen(const Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kUnavailable:
    case absl::StatusCode::kDeadlineExceeded:  // Of logging in, before the stream.
    case absl::StatusCode::kInternal:
    // A server that shuts down may cancel its streams, and a proxy may end them in peace.
    case absl::StatusCode::kCancelled:
    case absl::StatusCode::kAborted:
    case absl::StatusCode::kUnknown:
    case absl::StatusCode::kOk:
      return true;
    default:
      return false;
  }
}

Status MarkNeverSent(Status status) {
  if (!status.ok()) status.SetPayload(kNeverSentMark, absl::Cord());
  return status;
}

Status MarkPerhapsDone(Status status) {
  if (!status.ok()) status.SetPayload(kPerhapsDoneMark, absl::Cord());
  return status;
}

Outcome OutcomeOf(const Status& status) {
  if (status.ok()) return Outcome::kDone;
  if (status.GetPayload(kPerhapsDoneMark)) return Outcome::kUnknown;
  if (status.GetPayload(kNeverSentMark)) return Outcome::kNotDone;
  switch (status.code()) {
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kNotFound:
    case absl::StatusCode::kAlreadyExists:
    case absl::StatusCode::kPermissionDenied:
    case absl::StatusCode::kUnauthenticated:
    case absl::StatusCode::kFailedPrecondition:
    case absl::StatusCode::kOutOfRange:
    case absl::StatusCode::kUnimplemented:
      return Outcome::kNotDone;
    // The server's refusals; but an answer that is too large is one to a write that was done.
    case absl::StatusCode::kResourceExhausted:
      return Text(status).starts_with("etcdserver: ") ||
                     Text(status).find("Sent message larger") != Text(status).npos
                 ? Outcome::kNotDone
                 : Outcome::kUnknown;
    default:
      return Outcome::kUnknown;
  }
}

bool IsCompacted(const Status& status) {
  return Message(status) == "etcdserver: mvcc: required revision has been compacted";
}

bool IsLeaseNotFound(const Status& status) {
  return Message(status) == "etcdserver: requested lease not found";
}

bool IsNoLeader(const Status& status) { return Message(status) == "etcdserver: no leader"; }

}  // namespace quorate::client
