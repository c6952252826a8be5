// Text to value and back, for each kind of flag.
#include <algorithm>
#include <limits>
#include <set>

#include "cmd/cli/go_syntax.h"
#include "cmd/quorate/flag_table.h"

namespace quorate::cmd {
namespace {

template <typename T>
T& At(const Flag& flag, Options& options) {
  return std::get<T& (*)(Options&)>(flag.field)(options);
}

std::vector<std::string> SortedUnique(const std::vector<std::string>& parts) {
  const std::set<std::string> unique(parts.begin(), parts.end());
  return {unique.begin(), unique.end()};
}

Status SetUrls(std::string_view text, std::vector<Url>* field) {
  if (text.empty()) return absl::OkStatus();
  QUORATE_ASSIGN_OR_RETURN(std::vector<Url> urls, ParseUrls(SplitCommas(text)));
  urls.erase(std::unique(urls.begin(), urls.end()), urls.end());
  *field = std::move(urls);
  return absl::OkStatus();
}

Status SetOrigins(std::string_view text, std::vector<std::string>* field) {
  if (text == "*") {
    *field = {"*"};
    return absl::OkStatus();
  }
  std::vector<Url> urls;
  QUORATE_ASSIGN_OR_RETURN(urls, ParseUrls(SplitCommas(text)));
  std::vector<std::string> origins;
  origins.reserve(urls.size());
  for (const Url& url : urls) origins.push_back(url.String());
  *field = SortedUnique(origins);
  return absl::OkStatus();
}

Status SetUint(const Flag& flag, std::string_view text, Options* options) {
  QUORATE_ASSIGN_OR_RETURN(const uint64_t value, ParseGoUint(text));
  if (std::holds_alternative<uint64_t& (*)(Options&)>(flag.field)) {
    At<uint64_t>(flag, *options) = value;
    return absl::OkStatus();
  }
  if (value > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) {
    return InvalidArgument("value out of range");
  }
  At<int64_t>(flag, *options) = static_cast<int64_t>(value);
  return absl::OkStatus();
}

Status SetUint32(const Flag& flag, std::string_view text, Options* options) {
  const auto value = ParseGoUint(text);
  const std::string prefix = "strconv.ParseUint: parsing " + GoQuote(text) + ": ";
  if (!value.ok()) {
    const bool range = Message(value.status()) == "value out of range";
    return InvalidArgument(prefix + (range ? "value out of range" : "invalid syntax"));
  }
  if (*value > std::numeric_limits<uint32_t>::max()) return InvalidArgument(prefix + "value out of range");
  At<uint64_t>(flag, *options) = *value;
  return absl::OkStatus();
}

Status SetDuration(const Flag& flag, std::string_view text, Options* options) {
  const auto nanos = ParseGoDuration(text);
  if (!nanos.ok()) return InvalidArgument("parse error");
  At<int64_t>(flag, *options) = *nanos;
  return absl::OkStatus();
}

Status SetChoice(const Flag& flag, std::string_view text, Options* options) {
  for (const std::string& choice : SplitCommas(flag.choices)) {
    if (choice == text) {
      At<std::string>(flag, *options) = choice;
      return absl::OkStatus();
    }
  }
  return InvalidArgument("invalid value");
}

struct Gate {
  std::string_view name;
  bool FeatureGates::*member;
  bool alpha;
};
constexpr Gate kGateTable[] = {
    {"CompactHashCheck", &FeatureGates::compact_hash_check, true},
    {"InitialCorruptCheck", &FeatureGates::initial_corrupt_check, true},
    {"StopGRPCServiceOnDefrag", &FeatureGates::stop_grpc_service_on_defrag, true},
    {"LeaseCheckpoint", &FeatureGates::lease_checkpoint, true},
    {"LeaseCheckpointPersist", &FeatureGates::lease_checkpoint_persist, true},
    {"SetMemberLocalAddr", &FeatureGates::set_member_local_addr, true},
    {"TxnModeWriteWithSharedBuffer", &FeatureGates::txn_mode_write_with_shared_buffer, false},
    {"FastLeaseKeepAlive", &FeatureGates::fast_lease_keep_alive, false},
    {"PriorityRequest", &FeatureGates::priority_request, true},
};

std::string_view TrimSpaces(std::string_view s) {
  while (!s.empty() && s.front() == ' ') s.remove_prefix(1);
  while (!s.empty() && s.back() == ' ') s.remove_suffix(1);
  return s;
}

std::string RenderDuration(int64_t nanos) { return log::Duration("", nanos).json; }

}  // namespace

Status SetFeatureGates(std::string_view text, FeatureGates* gates) {
  std::set<std::string_view> given;
  const std::vector<std::string> parts = SplitCommas(text);
  for (const std::string& part : parts) {
    if (part.empty()) continue;
    const size_t equals = part.find('=');
    const std::string_view name = TrimSpaces(std::string_view(part).substr(0, equals));
    if (equals == std::string::npos) return InvalidArgument("missing bool value for " + std::string(name));
    const std::string_view value_text = TrimSpaces(std::string_view(part).substr(equals + 1));
    const auto value = ParseGoBool(value_text);
    if (!value.ok()) {
      return InvalidArgument("invalid value of " + std::string(name) + "=" + std::string(value_text) +
                             ", err: strconv.ParseBool: parsing " + GoQuote(value_text) + ": invalid syntax");
    }
    if (name == "AllAlpha") {
      gates->all_alpha = *value;
    } else if (name == "AllBeta") {
      gates->all_beta = *value;
    } else {
      const auto* gate = std::find_if(std::begin(kGateTable), std::end(kGateTable),
                                      [&](const Gate& g) { return g.name == name; });
      if (gate == std::end(kGateTable)) {
        return InvalidArgument("unrecognized feature gate: " + std::string(name));
      }
      gates->*(gate->member) = *value;
    }
    given.insert(name);
  }
  // AllAlpha and AllBeta speak for the gates that were not named themselves.
  for (const Gate& gate : kGateTable) {
    const std::string_view all = gate.alpha ? "AllAlpha" : "AllBeta";
    if (given.contains(all) && !given.contains(gate.name)) {
      gates->*(gate.member) = gate.alpha ? gates->all_alpha : gates->all_beta;
    }
  }
  return absl::OkStatus();
}

Status SetValue(const Flag& flag, std::string_view text, Options* options) {
  switch (flag.kind) {
    case Kind::kIgnored:
      return absl::OkStatus();
    case Kind::kString:
      if (!std::holds_alternative<std::monostate>(flag.field))
        At<std::string>(flag, *options) = std::string(text);
      return absl::OkStatus();
    case Kind::kBool: {
      QUORATE_ASSIGN_OR_RETURN(const bool value, ParseGoBool(text));
      At<bool>(flag, *options) = value;
      return absl::OkStatus();
    }
    case Kind::kInt: {
      QUORATE_ASSIGN_OR_RETURN(const int64_t value, ParseGoInt(text));
      At<int64_t>(flag, *options) = value;
      return absl::OkStatus();
    }
    case Kind::kUint:
      return SetUint(flag, text, options);
    case Kind::kUint32:
      return SetUint32(flag, text, options);
    case Kind::kDuration:
      return SetDuration(flag, text, options);
    case Kind::kUrls:
      return SetUrls(text, &At<std::vector<Url>>(flag, *options));
    case Kind::kOrigins:
      return SetOrigins(text, &At<std::vector<std::string>>(flag, *options));
    case Kind::kStringSet:
      At<std::vector<std::string>>(flag, *options) = SortedUnique(SplitCommas(text));
      return absl::OkStatus();
    case Kind::kStringList:
      At<std::vector<std::string>>(flag, *options) = SplitCommas(text);
      return absl::OkStatus();
    case Kind::kChoice:
      return SetChoice(flag, text, options);
    case Kind::kGates:
      QUORATE_RETURN_IF_ERROR(SetFeatureGates(text, &options->gates));
      At<std::string>(flag, *options) = std::string(text);
      return absl::OkStatus();
  }
  return Internal("a flag of unknown kind");
}

std::string RenderValue(const Flag& flag, Options& options) {
  if (flag.name == "discovery-password") return options.discovery.password.empty() ? "" : "<hidden>";
  const auto join = [](const std::vector<std::string>& parts) {
    std::string out;
    for (const std::string& part : parts) {
      if (!out.empty()) out += ',';
      out += part;
    }
    return out;
  };
  switch (flag.kind) {
    case Kind::kIgnored:
      return "";
    case Kind::kString:
      return std::holds_alternative<std::monostate>(flag.field) ? "" : At<std::string>(flag, options);
    case Kind::kChoice:
    case Kind::kGates:
      return At<std::string>(flag, options);
    case Kind::kBool:
      return At<bool>(flag, options) ? "true" : "false";
    case Kind::kDuration: {
      const std::string quoted = RenderDuration(At<int64_t>(flag, options));
      return quoted.size() >= 2 ? quoted.substr(1, quoted.size() - 2) : quoted;
    }
    case Kind::kInt:
      return std::to_string(At<int64_t>(flag, options));
    case Kind::kUint:
    case Kind::kUint32:
      if (std::holds_alternative<int64_t& (*)(Options&)>(flag.field)) {
        return std::to_string(At<int64_t>(flag, options));
      }
      return std::to_string(At<uint64_t>(flag, options));
    case Kind::kUrls: {
      std::vector<std::string> parts;
      for (const Url& url : At<std::vector<Url>>(flag, options)) parts.push_back(url.String());
      return join(parts);
    }
    case Kind::kOrigins:
    case Kind::kStringSet:
    case Kind::kStringList:
      return join(At<std::vector<std::string>>(flag, options));
  }
  return "";
}

}  // namespace quorate::cmd
