#include "net/http1_rules.h"

#include <boost/beast/core/string.hpp>
#include <boost/beast/http/rfc7230.hpp>

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <system_error>

#include "absl/strings/ascii.h"

namespace quorate::net {
namespace http = boost::beast::http;

namespace {

constexpr unsigned kHttp11 = 11;

std::string_view StdView(boost::beast::string_view v) { return {v.data(), v.size()}; }

// As golang.org/x/net/http/httpguts has it: what may stand in a host and its port, in any order.
bool IsHost(std::string_view value) {
  constexpr std::string_view kOthers = "!$%&()*+,-.:;=['_]~";
  return std::ranges::all_of(value, [&](char c) {
    return absl::ascii_isalnum(static_cast<unsigned char>(c)) || kOthers.find(c) != std::string_view::npos;
  });
}

// A path, "*", or "scheme:...", as for a proxy; with whole escapes before the query.
bool IsTarget(std::string_view target) {
  if (!PercentDecode(target.substr(0, target.find('?')), false)) return false;
  if (target.starts_with('/') || target == "*") return true;
  const std::string_view scheme = target.substr(0, target.find(':'));
  return scheme.size() < target.size() && !scheme.empty() &&
         absl::ascii_isalpha(static_cast<unsigned char>(scheme[0])) &&
         std::ranges::all_of(scheme, [](char c) {
           return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '+' || c == '-' || c == '.';
         });
}

// One number, spelled the same however often it is said. (Beast takes lists of it, and 2 beside 02.)
bool LengthIsOne(const Http1Head& head) {
  const auto [begin, end] = head.equal_range(http::field::content_length);
  if (begin == end) return true;
  const std::string_view length = StdView(begin->value());
  int64_t number = 0;
  const auto [rest, error] = std::from_chars(length.data(), length.data() + length.size(), number);
  return error == std::errc() && rest == length.data() + length.size() && number >= 0 &&
         std::all_of(begin, end, [&](const auto& field) { return StdView(field.value()) == length; });
}

bool SaysContinue(const Http1Head& head) {
  return http::token_list(head[http::field::expect]).exists("100-continue");
}

}  // namespace

std::optional<Http1Refusal> CheckHead(const Http1Head& head) {
  constexpr int kBadRequest = 400;
  constexpr int kExpectationFailed = 417;
  constexpr int kNotImplemented = 501;
  if (!IsTarget(StdView(head.target()))) return Http1Refusal{kBadRequest};
  const size_t hosts = head.count(http::field::host);
  if (hosts > 1 || !LengthIsOne(head)) return Http1Refusal{kBadRequest};
  // Where another coding's body ends can't be known: what follows might be taken for a request (RFC
  // 9112, 6.3).
  const auto coding = head.find(http::field::transfer_encoding);
  if (coding != head.end() && !boost::beast::iequals(coding->value(), "chunked")) {
    return Http1Refusal{kNotImplemented};
  }
  if (hosts == 0 && head.version() >= kHttp11) {
    return Http1Refusal{kBadRequest, "missing required Host header"};
  }
  if (hosts == 1 && !IsHost(StdView(head[http::field::host]))) {
    return Http1Refusal{kBadRequest, "malformed Host header"};
  }
  if (!head[http::field::expect].empty() && !SaysContinue(head)) return Http1Refusal{kExpectationFailed};
  return std::nullopt;
}

// A client of HTTP/1.0 knows no 100, whatever it says (RFC 9110, 10.1.1).
bool ExpectsContinue(const Http1Head& head) { return head.version() >= kHttp11 && SaysContinue(head); }

// HTTP/1.0 has no chunks: a proxy of that version may have taken their bytes for another request (RFC 9112,
// 6.1).
bool EndIsSure(const Http1Head& head) {
  return head.version() >= kHttp11 || head.count(http::field::transfer_encoding) == 0;
}

}  // namespace quorate::net
