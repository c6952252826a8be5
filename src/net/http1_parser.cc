#include "net/http1_parser.h"

#include <boost/beast/http/error.hpp>

namespace quorate::net {

using boost::beast::http::error;

size_t Http1Parser::Put(std::string_view input, boost::system::error_code& error_code) {
  if (lines_ == Lines::kUnknown) {
    const size_t end = input.find('\n', searched_);
    searched_ = end == std::string_view::npos ? input.size() : end;
    if (end != std::string_view::npos) {
      lines_ = end > 0 && input[end - 1] != '\r' ? Lines::kLf : Lines::kCrLf;
    }
  }
  if (lines_ == Lines::kLf && !beast.is_header_done()) return PutBareHead(input, error_code);
  if (lines_ == Lines::kCrLf && !beast.is_header_done() && HasBareLine(input, &searched_)) {
    return error_code = error::bad_line_ending, 0;
  }
  const size_t taken = beast.put(boost::asio::const_buffer(input.data(), input.size()), error_code);
  // What is left is the head of a chunk, or the trailers, without their end.
  if (error_code == error::need_more && beast.is_header_done()) {
    size_t searched = 0;
    if (HasBareLine(input.substr(taken), &searched)) return error_code = error::bad_line_ending, 0;
  }
  return taken;
}

// Whether a line ends without '\r', from *searched on and up to an empty line. Beast would wait for the end
// of such a line.
bool Http1Parser::HasBareLine(std::string_view lines, size_t* searched) {
  for (size_t at; (at = lines.find('\n', *searched)) != std::string_view::npos; *searched = at + 1) {
    if (at == 0 || lines[at - 1] != '\r') return true;
    if (lines.substr(0, at + 1).ends_with("\r\n\r\n")) break;
  }
  return false;
}

// Go takes lines that end in a bare LF, which checks made with printf and nc have; Beast does not. They are
// made into whole ones here, where every line of the head is such a one: a head with lines of both kinds may
// have other lines for whoever has passed it on, and is refused, as is a body's chunk with such a line (RFC
// 9112, 11.2).
size_t Http1Parser::PutBareHead(std::string_view input, boost::system::error_code& error_code) {
  const size_t last = input.find("\n\n", searched_);
  const std::string_view head = input.substr(0, last);
  if (head.find('\r', searched_) != std::string_view::npos) return error_code = error::bad_line_ending, 0;
  if (head.size() > header_bytes_max_) return error_code = error::header_limit, 0;
  if (last == std::string_view::npos) {
    searched_ = head.size() - 1;
    return error_code = error::need_more, 0;
  }
  std::string whole;
  ReserveWiping(&whole, 2 * head.size() + 4);
  for (const char c : head) {
    if (c == '\n') whole.push_back('\r');
    whole.push_back(c);
  }
  whole.append("\r\n\r\n");
  const size_t taken = beast.put(boost::asio::const_buffer(whole.data(), whole.size()), error_code);
  const bool all = taken == whole.size() && beast.is_header_done();
  Wipe(&whole);
  if (!error_code && !all) error_code = error::bad_line_ending;
  return error_code ? 0 : last + 2;
}

}  // namespace quorate::net
