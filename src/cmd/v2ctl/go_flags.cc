#include "cmd/v2ctl/go_flags.h"

#include <algorithm>
#include <iterator>

#include "cmd/cli/go_syntax.h"
#include "cmd/cli/near_names.h"

namespace quorate::cmd::v2 {
namespace {

bool IsFlag(std::string_view arg) { return arg.size() > 1 && arg[0] == '-'; }

Status BadValue(std::string_view name, std::string_view value, std::string_view why, bool is_bool) {
  return InvalidArgument(std::string("invalid ") + (is_bool ? "boolean " : "") + "value " + GoQuote(value) +
                         (is_bool ? " for -" : " for flag -") + std::string(name) + ": " + std::string(why));
}

}  // namespace

const GoFlags::Flag* GoFlags::Find(std::string_view name) const {
  for (const Flag& flag : flags_) {
    if (std::find(flag.names.begin(), flag.names.end(), name) != flag.names.end()) return &flag;
  }
  return nullptr;
}

Status GoFlags::Unknown(std::string_view name) const {
  std::vector<std::string> names;
  // Every letter is near every other: those of one letter are not proposed.
  for (const Flag& flag : flags_) {
    std::copy_if(flag.names.begin(), flag.names.end(), std::back_inserter(names),
                 [](const std::string& known) { return known.size() > 1; });
  }
  return InvalidArgument("flag provided but not defined: -" + std::string(name) +
                         DidYouMean(NearNames(name, names), "--"));
}

StatusOr<std::vector<std::string>> GoFlags::Parse(const std::vector<std::string>& args) const {
  size_t i = 0;
  for (; i < args.size() && IsFlag(args[i]); ++i) {
    const std::string_view arg = args[i];
    if (arg == "--") {
      ++i;
      break;
    }
    std::string_view name = arg.substr(arg[1] == '-' ? 2 : 1);
    if (name.empty() || name[0] == '-' || name[0] == '=') {
      return InvalidArgument("bad flag syntax: " + std::string(arg));
    }
    const size_t equals = name.find('=');
    const bool has_value = equals != std::string_view::npos;
    std::string_view value = has_value ? name.substr(equals + 1) : std::string_view();
    name = name.substr(0, equals);
    const Flag* const flag = Find(name);
    if (flag == nullptr) return Unknown(name);
    if (bool* const* target = std::get_if<bool*>(&flag->value)) {
      const auto parsed = ParseGoBool(has_value ? value : "true");
      if (!parsed.ok()) return BadValue(name, value, Message(parsed.status()), true);
      **target = *parsed;
      continue;
    }
    if (!has_value) {
      if (i + 1 >= args.size()) return InvalidArgument("flag needs an argument: -" + std::string(name));
      value = args[++i];
    }
    if (std::string* const* target = std::get_if<std::string*>(&flag->value)) {
      **target = value;
      continue;
    }
    const auto parsed = ParseGoDuration(value);
    if (!parsed.ok()) return BadValue(name, value, "parse error", false);
    *std::get<int64_t*>(flag->value) = *parsed;
  }
  return std::vector<std::string>(args.begin() + static_cast<ptrdiff_t>(i), args.end());
}

std::vector<std::string> FlagsFirst(const std::vector<std::string>& args) {
  const auto dashes = std::find(args.begin(), args.end(), "--");
  const auto first = std::find_if(args.begin(), dashes, IsFlag);
  std::vector<std::string> out(first, dashes);
  out.insert(out.end(), args.begin(), first);
  out.insert(out.end(), dashes, args.end());
  return out;
}

}  // namespace quorate::cmd::v2
