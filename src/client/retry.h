// What to do after an attempt has failed: etcd's rules. Pure.
#pragma once

#include <chrono>
#include <cstddef>

#include "base/status.h"

namespace quorate::client {

enum class NextStep { kGiveUp, kRetry, kRetryWithNewToken };

struct FailedAttempt {
  bool repeatable = false;  // A read, or a write of which the caller said so.
  bool never_sent = false;  // No byte of it was handed to a connection.
  bool timed_out = false;   // The attempt was given up, not the call.
  bool has_user = false;    // A token can be had.
  size_t endpoints = 0;
};

// R1: what may have changed something is not sent again, unless repeatable.
NextStep AfterFailure(const Status& status, const FailedAttempt& attempt);

// The server does not know the token, or it is from before a change of users and roles.
bool IsBadToken(const Status& status);
// That, or there was no token where one is needed: a user has to log in again.
bool WantsNewToken(const Status& status);

// How long to wait before attempt number `attempt` (1 is the second one): nothing within a round over a
// majority of the endpoints. `random` in [0, 1).
std::chrono::milliseconds RetryWait(int attempt, size_t endpoints, std::chrono::milliseconds wait,
                                    double jitter, double random);

// The wait, more or less by up to the fraction `jitter`. `random` in [0, 1).
std::chrono::milliseconds Jittered(std::chrono::milliseconds wait, double jitter, double random);

// Whether a stream that ended so may be opened again. Everything that a member's end, a lost connection or a
// lost leader looks like; not what another try could only repeat.
bool MayReopen(const Status& status);

// Marks an error of a request that surely never reached a server; OutcomeOf reads the mark.
Status MarkNeverSent(Status status);
// Marks the error of the last attempt when an earlier one may have done the request.
Status MarkPerhapsDone(Status status);

}  // namespace quorate::client
