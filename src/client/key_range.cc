#include "quorate/client/key_range.h"

namespace quorate::client {
namespace {

// An empty key is no key at all; the first one there can be, and the end beyond all, are written so.
const std::string kZero(1, '\0');

}  // namespace

std::string PrefixEnd(std::string_view prefix) {
  std::string end(prefix);
  while (!end.empty() && static_cast<unsigned char>(end.back()) == 0xff) end.pop_back();
  if (end.empty()) return kZero;
  ++end.back();
  return end;
}

KeyRange Prefix(std::string_view prefix) {
  if (prefix.empty()) return AllKeys();
  return {prefix, std::string_view(PrefixEnd(prefix))};
}

KeyRange FromKey(std::string_view first) { return {first.empty() ? std::string_view(kZero) : first, kZero}; }

KeyRange AllKeys() { return {std::string_view(kZero), std::string_view(kZero)}; }

}  // namespace quorate::client
