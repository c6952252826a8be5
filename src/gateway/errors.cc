#include "gateway/errors.h"

#include "base/go_json.h"
#include "net/http.h"

namespace quorate::gateway {

using net::Code;

int HttpStatus(Code code, Era era) {
  switch (code) {
    case Code::kOk:
      return 200;
    case Code::kCancelled:
      return era == Era::k36 ? 499 : 408;
    case Code::kInvalidArgument:
    case Code::kOutOfRange:
      return 400;
    case Code::kFailedPrecondition:
      return era == Era::k34 ? 412 : 400;
    case Code::kDeadlineExceeded:
      return 504;
    case Code::kNotFound:
      return 404;
    case Code::kAlreadyExists:
    case Code::kAborted:
      return 409;
    case Code::kPermissionDenied:
      return 403;
    case Code::kUnauthenticated:
      return 401;
    case Code::kResourceExhausted:
      return 429;
    case Code::kUnimplemented:
      return 501;
    case Code::kUnavailable:
      return 503;
    case Code::kUnknown:
    case Code::kInternal:
    case Code::kDataLoss:
      return 500;
  }
  return 500;
}

std::string ErrorBody(Code code, std::string_view message, Era era) {
  const std::string number = std::to_string(static_cast<int>(code));
  std::string text;
  AppendGoString(text, message);
  if (era == Era::k36) return "{\"code\":" + number + ",\"message\":" + text + "}";
  return "{\"error\":" + text + ",\"message\":" + text + ",\"code\":" + number + "}";
}

std::string StreamErrorLine(Code code, std::string_view message, Era era) {
  if (era == Era::k36) return "{\"error\":" + ErrorBody(code, message, era) + "}\n";
  const int status = HttpStatus(code, era);
  std::string line = "{\"error\":{\"grpc_code\":" + std::to_string(static_cast<int>(code)) +
                     ",\"http_code\":" + std::to_string(status) + ",\"message\":";
  AppendGoString(line, message);
  line += ",\"http_status\":";
  AppendGoString(line, net::HttpReason(status));
  return line + "}}";
}

}  // namespace quorate::gateway
