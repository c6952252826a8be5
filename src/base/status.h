// Errors are absl::Status / absl::StatusOr. Debian builds Abseil with a string_view of its own, so this
// header is the one place where the std types and Abseil's meet.
#pragma once

#include <string>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace quorate {

using absl::Status;
using absl::StatusOr;

inline Status MakeStatus(absl::StatusCode code, std::string_view message) {
  return Status(code, absl::string_view(message.data(), message.size()));
}
inline Status InvalidArgument(std::string_view m) {
  return MakeStatus(absl::StatusCode::kInvalidArgument, m);
}
inline Status NotFound(std::string_view m) { return MakeStatus(absl::StatusCode::kNotFound, m); }
inline Status FailedPrecondition(std::string_view m) {
  return MakeStatus(absl::StatusCode::kFailedPrecondition, m);
}
inline Status AlreadyExists(std::string_view m) { return MakeStatus(absl::StatusCode::kAlreadyExists, m); }
inline Status PermissionDenied(std::string_view m) {
  return MakeStatus(absl::StatusCode::kPermissionDenied, m);
}
inline Status OutOfRange(std::string_view m) { return MakeStatus(absl::StatusCode::kOutOfRange, m); }
inline Status Unavailable(std::string_view m) { return MakeStatus(absl::StatusCode::kUnavailable, m); }
inline Status Internal(std::string_view m) { return MakeStatus(absl::StatusCode::kInternal, m); }
inline Status Unknown(std::string_view m) { return MakeStatus(absl::StatusCode::kUnknown, m); }
// Bytes on disk are damaged. The message names file, offset and the way out.
inline Status DataLoss(std::string_view m) { return MakeStatus(absl::StatusCode::kDataLoss, m); }
inline Status ResourceExhausted(std::string_view m) {
  return MakeStatus(absl::StatusCode::kResourceExhausted, m);
}

inline std::string_view Message(const Status& s) { return {s.message().data(), s.message().size()}; }

}  // namespace quorate

// Returns the error of a Status expression from the enclosing function.
#define QUORATE_RETURN_IF_ERROR(expr)                                                           \
  do {                                                                                          \
    if (::absl::Status quorate_status_ = (expr); !quorate_status_.ok()) return quorate_status_; \
  } while (false)

#define QUORATE_CONCAT_INNER_(a, b) a##b
#define QUORATE_CONCAT_(a, b) QUORATE_CONCAT_INNER_(a, b)

// Assigns the value of a StatusOr expression to lhs (which may declare a variable), or returns its error.
#define QUORATE_ASSIGN_OR_RETURN(lhs, expr) \
  QUORATE_ASSIGN_OR_RETURN_(QUORATE_CONCAT_(quorate_or_, __LINE__), lhs, expr)
#define QUORATE_ASSIGN_OR_RETURN_(tmp, lhs, expr) \
  auto tmp = (expr);                              \
  if (!tmp.ok()) return tmp.status();             \
  lhs = *std::move(tmp)
