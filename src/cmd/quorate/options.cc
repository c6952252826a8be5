#include "cmd/quorate/options.h"

#include <algorithm>
#include <map>
#include <optional>
#include <set>

#include "cmd/cli/go_syntax.h"
#include "cmd/quorate/config_file.h"
#include "cmd/quorate/flag_table.h"
#include "cmd/quorate/validate.h"

namespace quorate::cmd {
namespace {

constexpr std::string_view kUsage = R"(Usage:

  PROGRAM [flags]
    Start a server.

  PROGRAM --version
    Show the version.

  PROGRAM -h | --help
    Show all flags.

  PROGRAM --config-file
    Path to the server configuration file. Note that if a configuration file is provided, other command line flags and environment variables will be ignored.
    Durations in the file are integer nanoseconds (600000000000 for 10m), except heartbeat-interval and election-timeout, which are milliseconds.
)";

std::string_view BaseName(std::string_view program) {
  const size_t slash = program.rfind('/');
  return slash == std::string_view::npos ? program : program.substr(slash + 1);
}

std::string UsageText(std::string_view program) {
  std::string text(kUsage);
  for (size_t at = text.find("PROGRAM"); at != std::string::npos; at = text.find("PROGRAM")) {
    text.replace(at, 7, BaseName(program));
  }
  return text + "\n";
}

std::string VersionText(std::string_view program) {
  const std::string ours = "quorate Version: " + std::string(kQuorateVersion) + "\n";
  const std::string theirs = "etcd Version: " + std::string(kEtcdVersion) + "\n";
  const std::string rest =
      "Git SHA: Not provided\nGo Version: none (C++20)\nGo OS/Arch: linux/"
#if defined(__x86_64__)
      "amd64\n";
#elif defined(__aarch64__)
      "arm64\n";
#else
      "other\n";
#endif
  if (BaseName(program) == "etcd") return theirs + rest + ours;
  return ours + theirs + rest;
}

struct Given {
  const Flag* flag;
  std::string value;
};

enum class ArgsOutcome { kOk, kHelp, kBad };

// What package flag makes of the arguments, in order, before anything is applied.
struct Args {
  ArgsOutcome outcome = ArgsOutcome::kOk;
  std::string error;
  std::vector<Given> given;
  std::optional<std::string> stray;  // The first argument that is no flag; may be empty.
  bool version = false;
};

Args BadArgs(Args args, std::string error) {
  args.outcome = ArgsOutcome::kBad;
  args.error = std::move(error);
  return args;
}

// `scratch` receives the values as they come, so that a bad one is reported at its place.
Args ParseArgs(const std::vector<std::string>& argv) {
  Args out;
  Options scratch;
  for (size_t i = 0; i < argv.size(); ++i) {
    const std::string& arg = argv[i];
    if (arg.size() < 2 || arg[0] != '-') {
      out.stray = arg;
      return out;
    }
    if (arg == "--") {
      if (i + 1 < argv.size()) out.stray = argv[i + 1];
      return out;
    }
    std::string name = arg.substr(arg[1] == '-' ? 2 : 1);
    if (name.empty() || name[0] == '-' || name[0] == '=') return BadArgs(out, "bad flag syntax: " + arg);
    std::optional<std::string> value;
    if (const size_t equals = name.find('=', 1); equals != std::string::npos) {
      value = name.substr(equals + 1);
      name.resize(equals);
    }
    if (name == "version") {
      const auto on = ParseGoBool(value.value_or("true"));
      if (!on.ok()) {
        return BadArgs(out, "invalid boolean value " + GoQuote(*value) + " for -version: parse error");
      }
      out.version = *on;
      continue;
    }
    const Flag* flag = FindFlag(name);
    if (flag == nullptr) {
      if (name == "help" || name == "h") {
        out.outcome = ArgsOutcome::kHelp;
        return out;
      }
      return BadArgs(out, "flag provided but not defined: -" + name);
    }
    if (!value && IsBoolFlag(*flag)) value = "true";
    if (!value) {
      if (i + 1 == argv.size()) return BadArgs(out, "flag needs an argument: -" + name);
      value = argv[++i];
    }
    if (const Status s = SetValue(*flag, *value, &scratch); !s.ok()) {
      const std::string_view kind = flag->kind == Kind::kBool ? "invalid boolean value " : "invalid value ";
      const std::string_view before = flag->kind == Kind::kBool ? " for -" : " for flag -";
      return BadArgs(out, std::string(kind) + GoQuote(*value) + std::string(before) + name + ": " +
                              std::string(Message(s)));
    }
    out.given.push_back({flag, *value});
  }
  return out;
}

std::map<std::string, std::string> EnvironmentMap(const std::vector<std::string>& environment) {
  std::map<std::string, std::string> map;
  for (const std::string& entry : environment) {
    const size_t equals = entry.find('=');
    if (equals != std::string::npos) map.emplace(entry.substr(0, equals), entry.substr(equals + 1));
  }
  return map;
}

ParseResult Fail(ParseResult result, const std::string& error) {
  result.notices.push_back({log::Level::kWarn, "failed to verify flags", {{"error", error}}});
  if (error == kAdvertiseMissing) {
    result.notices.push_back({log::Level::kWarn, "advertise client URLs are not set", {{"error", error}}});
  }
  result.options.reset();
  result.exit_code = 1;
  return result;
}

// Adds what the environment gives to `given`. False after a conflict, which is fatal (etcd:
// flags.SetFlagsFromEnv).
bool AddEnvironment(const std::vector<std::string>& environment, std::vector<Given>* given,
                    ParseResult* result, Status* error) {
  auto map = EnvironmentMap(environment);
  if (const auto it = map.find("ETCD_VERSION"); it != map.end() && !it->second.empty()) {
    result->notices.push_back({log::Level::kWarn,
                               "cannot set special environment variable",
                               {{"key", it->first}, {"value", it->second}}});
  }
  std::set<std::string> by_flag;
  for (const Given& g : *given) by_flag.insert(EnvironmentName(*g.flag));
  std::set<std::string> used;
  Options scratch;
  for (const Flag& flag : FlagTable()) {
    const std::string name = EnvironmentName(flag);
    const auto it = map.find(name);
    if (it == map.end() || it->second.empty() || by_flag.contains(name)) continue;
    used.insert(name);
    if (const Status s = SetValue(flag, it->second, &scratch); !s.ok()) {
      *error = InvalidArgument("invalid value " + GoQuote(it->second) + " for " + name + ": " +
                               std::string(Message(s)));
      continue;
    }
    given->push_back({&flag, it->second});
    const bool secret = flag.name == "discovery-password";
    result->notices.push_back(
        {log::Level::kInfo,
         "recognized and used environment variable",
         {{"variable-name", name}, {"variable-value", secret ? "<hidden>" : it->second}}});
  }
  for (const auto& [name, value] : map) {
    if (used.contains(name)) continue;
    if (by_flag.contains(name)) {
      result->notices.push_back(
          {log::Level::kFatal,
           "conflicting environment variable is shadowed by corresponding command-line flag "
           "(either unset environment variable or disable flag))",
           {{"environment-variable", name}}});
      return false;
    }
    if (name.starts_with("ETCD_") && name != "ETCD_VERSION") {
      result->notices.push_back({log::Level::kWarn,
                                 "unrecognized environment variable",
                                 {{"environment-variable", name + "=" + value}}});
    }
  }
  return true;
}

bool IsGiven(const std::vector<const Flag*>& given, std::string_view name) {
  return std::any_of(given.begin(), given.end(), [&](const Flag* f) { return f->name == name; });
}

// Warnings about the use of older settings.
void NoteOldSettings(const std::vector<const Flag*>& given, ParseResult* result) {
  for (const Flag* flag : given) {
    const std::string name(flag->name);
    if (flag->kind == Kind::kIgnored || std::holds_alternative<std::monostate>(flag->field)) {
      result->notices.push_back(
          {log::Level::kWarn, "flag is no longer supported - ignoring", {{"flag-name", name}}});
    } else if (!flag->replaced_by.empty()) {
      result->notices.push_back({log::Level::kWarn,
                                 "--" + name +
                                     " is deprecated in v3.6 and will be decommissioned in v3.7. Use '--" +
                                     std::string(flag->replaced_by) + "' instead.",
                                 {}});
    } else if (!flag->warning.empty()) {
      result->notices.push_back({log::Level::kWarn, std::string(flag->warning), {}});
    }
  }
}

// Applies flags and environment; what only they can say (config files have their own rules) is settled here.
Status ApplyGiven(const std::vector<Given>& given, Options* options) {
  // Older spellings first, so that the current one wins when both were given.
  for (const bool older : {true, false}) {
    for (const Given& g : given) {
      if (g.flag->replaced_by.empty() == older) continue;
      QUORATE_RETURN_IF_ERROR(SetValue(*g.flag, g.value, options));
    }
  }
  std::vector<const Flag*> flags;
  flags.reserve(given.size());
  for (const Given& g : given) flags.push_back(g.flag);
  if (IsGiven(flags, "listen-client-urls") && !IsGiven(flags, "advertise-client-urls")) {
    options->advertise_client_urls.clear();
  }
  if (options->discovery.fallback == "proxy") {
    return InvalidArgument(
        "v2 proxy is deprecated, and --discovery-fallback can't be configured as \"proxy\"");
  }
  return absl::OkStatus();
}

void RaisePeerTimeouts(Options* options, ParseResult* result) {
  constexpr int64_t kMin = 5'000'000'000;
  const auto raise = [&](int64_t* nanos, std::string_view name) {
    if (*nanos >= kMin) return;
    *nanos = kMin;
    result->notices.push_back({log::Level::kInfo, std::string(name) + " increased to minimum value: 5s", {}});
  };
  raise(&options->raft_read_timeout_nanos, "raft-read-timeout");
  raise(&options->raft_write_timeout_nanos, "raft-write-timeout");
}

// The initial cluster stays as it was given; else it is what the name and the advertised URLs say, unless
// discovery supplies it (etcd: UpdateDefaultClusterFromName).
void FillInitialCluster(bool was_given, Options* options) {
  if (was_given) return;
  if (!options->discovery.srv.empty() || !options->discovery.srv_name.empty() ||
      !options->discovery.endpoints.empty()) {
    options->initial_cluster.clear();
    return;
  }
  if (options->name == "default") {
    options->initial_cluster = "default=http://localhost:2380";
    return;
  }
  const std::string name = options->name.empty() ? "default" : options->name;
  options->initial_cluster.clear();
  for (const Url& url : options->initial_advertise_peer_urls) {
    if (!options->initial_cluster.empty()) options->initial_cluster += ',';
    options->initial_cluster += name + "=" + url.String();
  }
}

ParseResult Finish(Options options, const std::vector<const Flag*>& given, ParseResult result) {
  NoteOldSettings(given, &result);
  const bool cluster_given = IsGiven(given, "initial-cluster") && !options.initial_cluster.empty();
  FillInitialCluster(cluster_given, &options);
  if (const Status s = Validate(&options, &result.notices); !s.ok()) {
    return Fail(std::move(result), std::string(Message(s)));
  }
  if (options.data_dir.empty()) {
    options.data_dir = options.name + ".etcd";
    result.notices.push_back(
        {log::Level::kWarn, "'data-dir' was empty; using default", {{"data-dir", options.data_dir}}});
  }
  for (const Flag* flag : given) {
    options.given.emplace_back(std::string(flag->name), RenderValue(*flag, options));
  }
  result.options = std::move(options);
  return result;
}

ParseResult FromFile(const std::string& path, ParseResult result) {
  Options options;
  std::vector<const Flag*> given;
  const Status read = ReadConfigFile(path, &options, &given);
  if (!read.ok()) return Fail(std::move(result), std::string(Message(read)));
  options.config_file = path;
  result.notices.push_back(
      {log::Level::kInfo,
       "loaded server configuration, other configuration command line flags and environment "
       "variables will be ignored if provided",
       {{"path", path}}});
  return Finish(std::move(options), given, std::move(result));
}

}  // namespace

ParseResult ParseOptions(std::string_view program, const std::vector<std::string>& args,
                         const std::vector<std::string>& environment) {
  ParseResult result;
  if (!args.empty() && (args[0] == "gateway" || args[0] == "grpc-proxy")) {
    result.exit_code = 1;
    result.err = std::string(BaseName(program)) + ": the " + args[0] +
                 " command comes with a later release of Quorate; etcd's own works with this server\n";
    return result;
  }
  Args parsed = ParseArgs(args);
  if (parsed.outcome == ArgsOutcome::kHelp) {
    result.err = UsageText(program);
    result.out = HelpText(program);
    return result;
  }
  if (parsed.outcome == ArgsOutcome::kBad) {
    result.exit_code = 2;
    result.err = parsed.error + "\n" + UsageText(program);
    return result;
  }
  if (parsed.stray) return Fail(std::move(result), GoQuote(*parsed.stray) + " is not a valid flag");
  if (parsed.version) {
    result.out = VersionText(program);
    return result;
  }
  std::string file;
  for (const Given& g : parsed.given) {
    if (g.flag->name == "config-file") file = g.value;
  }
  if (file.empty()) {
    const auto map = EnvironmentMap(environment);
    if (const auto it = map.find("ETCD_CONFIG_FILE"); it != map.end()) file = it->second;
  }
  if (!file.empty()) return FromFile(file, std::move(result));

  Status environment_error;
  if (!AddEnvironment(environment, &parsed.given, &result, &environment_error)) {
    result.exit_code = 1;
    return result;
  }
  if (!environment_error.ok()) return Fail(std::move(result), std::string(Message(environment_error)));
  Options options;
  if (const Status s = ApplyGiven(parsed.given, &options); !s.ok()) {
    return Fail(std::move(result), std::string(Message(s)));
  }
  RaisePeerTimeouts(&options, &result);
  std::vector<const Flag*> given;
  for (const Given& g : parsed.given) given.push_back(g.flag);
  return Finish(std::move(options), given, std::move(result));
}

}  // namespace quorate::cmd
