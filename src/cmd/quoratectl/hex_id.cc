#include "cmd/quoratectl/hex_id.h"

#include <charconv>
#include <concepts>

#include "cmd/cli/go_syntax.h"

namespace quorate::cmd {
namespace {

// As strconv.ParseInt and ParseUint with base 16 do. Returns why not, or nothing.
template <std::integral Number>
std::string ReadHex(const std::string& text, const char* function, Number* number) {
  const char* begin = text.data();
  const char* const end = begin + text.size();
  // from_chars knows no plus, and ParseUint no sign at all.
  if (std::is_signed_v<Number> && text.starts_with('+') && !text.starts_with("+-")) ++begin;
  const auto [stopped, error] = std::from_chars(begin, end, *number, 16);
  const std::string parsing = "strconv." + std::string(function) + ": parsing " + GoQuote(text) + ": ";
  if (error == std::errc::result_out_of_range && stopped == end) return parsing + "value out of range";
  return error == std::errc() && stopped == end ? "" : parsing + "invalid syntax";
}

StatusOr<int64_t> ParseLease(const std::string& text, std::string_view what) {
  int64_t id = 0;
  const std::string why = ReadHex(text, "ParseInt", &id);
  if (why.empty()) return id;
  return InvalidArgument(std::string(what) + " (" + why + "), expecting ID in Hex");
}

}  // namespace

StatusOr<uint64_t> ParseHex(const std::string& text) {
  uint64_t number = 0;
  const std::string why = ReadHex(text, "ParseUint", &number);
  if (why.empty()) return number;
  return InvalidArgument(why);
}

StatusOr<uint64_t> ParseMemberId(const std::string& text) {
  const auto id = ParseHex(text);
  if (id.ok()) return *id;
  return InvalidArgument("bad member ID arg (" + std::string(Message(id.status())) +
                         "), expecting ID in Hex");
}

StatusOr<int64_t> ParseLeaseArgument(const std::string& text) { return ParseLease(text, "bad lease ID arg"); }

StatusOr<int64_t> ParseLeaseId(const std::string& text) { return ParseLease(text, "bad lease ID"); }

}  // namespace quorate::cmd
