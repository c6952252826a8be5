// The one table of settings: a row per spelling, with everything that parsing, help and refusals need to know
// of it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/status.h"
#include "cmd/quorate/options.h"

namespace quorate::cmd {

// How a value is written; each is one of Go's flag types or of etcd's own (pkg/flags).
enum class Kind {
  kString,
  kBool,
  kInt,
  kUint,
  kUint32,
  kDuration,    // Flags: "10m"; YAML: integer nanoseconds.
  kUrls,        // Comma list; sorted, no duplicates; "" leaves the default.
  kOrigins,     // kUrls as strings, or "*".
  kStringSet,   // Comma list; sorted, no duplicates.
  kStringList,  // Comma list, as written.
  kChoice,      // One of `choices`.
  kGates,       // "A=true,B=false"
  kIgnored,     // Accepted, warned, without effect.
};

enum class Section {
  kMember,
  kClustering,
  kSecurity,
  kAuth,
  kProfiling,
  kLogging,
  kTracing,
  kFeatures,
  kUnsafe,
  kHidden
};

// Why a setting that differs from its default can't be served by this release.
enum class Later { kNow, kTracing, kLogRotation, kV2Proxy, kV2Discovery, kV2Emulation };

using Field = std::variant<std::monostate, bool& (*)(Options&), int64_t& (*)(Options&),
                           uint64_t& (*)(Options&), std::string& (*)(Options&),
                           std::vector<std::string>& (*)(Options&), std::vector<Url>& (*)(Options&)>;

struct Flag {
  std::string_view name;
  Kind kind;
  Section section;
  Field field;
  std::string_view shown_default;  // In --help.
  std::string_view help;
  Later later = Later::kNow;
  std::string_view choices = {};      // kChoice: comma list.
  std::string_view yaml_key = {};     // Empty: same as `name`; "-": the file has no such key.
  std::string_view replaced_by = {};  // An older spelling: what to write now.
  std::string_view warning = {};      // The original's own words where it warns about use.
};

// All rows, in the order of --help.
const std::vector<Flag>& FlagTable();
const Flag* FindFlag(std::string_view name);

// "ETCD_" + the name in upper case with underscores.
std::string EnvironmentName(const Flag& flag);
// A flag that takes no argument of its own.
bool IsBoolFlag(const Flag& flag);

// Parses `text` into the flag's field. The error is the bare reason ("parse error").
Status SetValue(const Flag& flag, std::string_view text, Options* options);
// The value as it would be written on the command line; secrets as "<hidden>".
std::string RenderValue(const Flag& flag, Options& options);

Status SetFeatureGates(std::string_view text, FeatureGates* gates);

}  // namespace quorate::cmd
