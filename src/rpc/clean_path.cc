#include "rpc/clean_path.h"

#include <algorithm>
#include <vector>

namespace quorate::rpc {

bool IsCleanPath(std::string_view path) {
  for (size_t at = path.find('/'); at != std::string_view::npos; at = path.find('/', at + 1)) {
    const std::string_view element = path.substr(at + 1, path.find('/', at + 1) - at - 1);
    const bool last = at + 1 + element.size() == path.size();
    if (element == "." || element == ".." || (element.empty() && !last)) return false;
  }
  return true;
}

std::string CleanPath(std::string_view path) {
  std::vector<std::string_view> kept;
  bool slash_at_end = false;
  for (size_t at = 0; at < path.size();) {
    const size_t end = std::min(path.find('/', at + 1), path.size());
    const std::string_view element = path.substr(at + 1, end - at - 1);
    slash_at_end = element.empty();
    if (element == ".." && !kept.empty()) kept.pop_back();
    if (!element.empty() && element != "." && element != "..") kept.push_back(element);
    at = end;
  }
  std::string clean;
  for (const std::string_view element : kept) clean.append("/").append(element);
  if (slash_at_end || clean.empty()) clean += '/';
  return clean;
}

std::string EscapePath(std::string_view path) {
  constexpr std::string_view kHex = "0123456789ABCDEF";
  constexpr std::string_view kPlain = "-_.~$&+,/:;=@";
  std::string out;
  for (const char c : path) {
    const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    if (letter || kPlain.find(c) != std::string_view::npos) {
      out += c;
    } else {
      const auto byte = static_cast<unsigned char>(c);
      out.append({'%', kHex[byte >> 4], kHex[byte & 15]});
    }
  }
  return out;
}

std::string RedirectPage(std::string_view url) {
  std::string page = "<a href=\"";
  for (const char c : url) {
    switch (c) {
      case '&':
        page += "&amp;";
        break;
      case '<':
        page += "&lt;";
        break;
      case '>':
        page += "&gt;";
        break;
      case '"':
        page += "&#34;";
        break;
      case '\'':
        page += "&#39;";
        break;
      default:
        page += c;
    }
  }
  return page + "\">Moved Permanently</a>.\n\n";
}

}  // namespace quorate::rpc
