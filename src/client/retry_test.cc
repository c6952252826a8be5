#include "client/retry.h"

#include <gtest/gtest.h>

#include "client/reopen_pause.h"
#include "quorate/client/status.h"

namespace quorate::client {
namespace {

using std::chrono::milliseconds;

TEST(RetryTest, NextStep) {
  const Status bad_token = MakeStatus(absl::StatusCode::kUnauthenticated, "etcdserver: invalid auth token");
  const Status nobody = InvalidArgument("etcdserver: user name is empty");
  const Status learner = Unavailable("etcdserver: rpc not supported for learner");
  const Status down = Unavailable("Socket closed");
  const Status late = MakeStatus(absl::StatusCode::kDeadlineExceeded, "Deadline Exceeded");
  const struct {
    Status status;
    FailedAttempt attempt;
    NextStep step;
  } cases[] = {
      {down, {.repeatable = true}, NextStep::kRetry},
      {down, {}, NextStep::kGiveUp},
      {down, {.never_sent = true}, NextStep::kRetry},
      {late, {.repeatable = true}, NextStep::kGiveUp},
      {late, {.repeatable = true, .timed_out = true}, NextStep::kRetry},
      {late, {.timed_out = true}, NextStep::kGiveUp},
      {bad_token, {.has_user = true}, NextStep::kRetryWithNewToken},
      {bad_token, {}, NextStep::kRetry},
      {nobody, {.has_user = true}, NextStep::kRetryWithNewToken},
      {nobody, {}, NextStep::kGiveUp},
      {MakeStatus(absl::StatusCode::kUnknown, "auth: revision in header is old"),
       {.has_user = true},
       NextStep::kRetryWithNewToken},
      {MakeStatus(absl::StatusCode::kUnknown, "auth: user name is empty"),
       {.has_user = true},
       NextStep::kRetryWithNewToken},
      {learner, {.endpoints = 3}, NextStep::kRetry},
      {learner, {.endpoints = 1}, NextStep::kGiveUp},
      {NotFound("etcdserver: requested lease not found"), {.repeatable = true}, NextStep::kGiveUp},
  };
  for (const auto& c : cases) EXPECT_EQ(AfterFailure(c.status, c.attempt), c.step) << c.status;
}

TEST(RetryTest, AStreamThatKeepsEndingWaitsLonger) {
  ReopenPause pause(milliseconds(0), milliseconds(5), milliseconds(30));
  for (int round = 0; round < 2; ++round) {
    for (const int expected : {0, 5, 10, 20, 30, 30}) EXPECT_EQ(pause.Next(0, 0.5).count(), expected);
    pause.Reset();
  }
  ReopenPause spread(milliseconds(100), milliseconds(200), milliseconds(200));
  EXPECT_EQ(spread.Next(0.1, 0).count(), 90);
  EXPECT_EQ(spread.Next(0.1, 0.75).count(), 210);
}

TEST(RetryTest, WaitsBetweenRoundsOfAMajority) {
  const milliseconds wait(100);
  EXPECT_EQ(RetryWait(1, 3, wait, 0.1, 0.5), milliseconds(0));
  EXPECT_EQ(RetryWait(2, 3, wait, 0.1, 0.5), wait);
  EXPECT_EQ(RetryWait(3, 3, wait, 0.1, 0.5), milliseconds(0));
  EXPECT_EQ(RetryWait(1, 1, wait, 0.1, 0.5), wait);
  EXPECT_EQ(RetryWait(2, 3, wait, 0.1, 0), milliseconds(90));
  EXPECT_EQ(RetryWait(2, 3, wait, 0.1, 1), milliseconds(110));
}

TEST(OutcomeTest, OfErrors) {
  const struct {
    Status status;
    Outcome outcome;
  } cases[] = {
      {absl::OkStatus(), Outcome::kDone},
      {Unavailable("Socket closed"), Outcome::kUnknown},
      {MarkNeverSent(Unavailable("failed to connect")), Outcome::kNotDone},
      {MakeStatus(absl::StatusCode::kDeadlineExceeded, ""), Outcome::kUnknown},
      {Unknown("raft proposal dropped"), Outcome::kUnknown},
      {PermissionDenied("etcdserver: permission denied"), Outcome::kNotDone},
      {ResourceExhausted("etcdserver: mvcc: database space exceeded"), Outcome::kNotDone},
      {ResourceExhausted("Sent message larger than max (3 vs. 2)"), Outcome::kNotDone},
      // The write was done; only its answer was too large.
      {ResourceExhausted("Received message larger than max (3 vs. 2)"), Outcome::kUnknown},
  };
  for (const auto& c : cases) EXPECT_EQ(OutcomeOf(c.status), c.outcome) << c.status;
}

}  // namespace
}  // namespace quorate::client
