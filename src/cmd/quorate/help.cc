#include <initializer_list>
#include <string>
#include <string_view>

#include "cmd/quorate/flag_table.h"
#include "cmd/quorate/options.h"

namespace quorate::cmd {
namespace {

struct Heading {
  Section section;
  std::string_view text;
};
constexpr Heading kHeadings[] = {
    {Section::kMember, "Member"},
    {Section::kClustering, "Clustering"},
    {Section::kSecurity, "Security"},
    {Section::kAuth, "Auth"},
    {Section::kProfiling, "Profiling and Monitoring"},
    {Section::kLogging, "Logging"},
    {Section::kTracing, "Distributed tracing"},
    {Section::kFeatures, "Features"},
    {Section::kUnsafe, "Unsafe feature"},
};

}  // namespace

std::string HelpText(std::string_view) {
  std::string text;
  const auto add = [&text](std::initializer_list<std::string_view> parts) {
    for (std::string_view part : parts) text.append(part);
  };
  for (const Heading& heading : kHeadings) {
    add({"\n", heading.text, ":\n"});
    for (const Flag& flag : FlagTable()) {
      if (flag.section != heading.section) continue;
      add({"  --", flag.name, " '", flag.shown_default, "'\n    ", flag.help});
      add({flag.later == Later::kNow ? "\n" : " (Comes with a later release of Quorate.)\n"});
    }
  }
  return text +
         "\nCAUTIOUS with unsafe flag! It may break the guarantees given by the consensus protocol!\n\n"
         "Every flag is also an environment variable: --snapshot-count is ETCD_SNAPSHOT_COUNT.\n";
}

}  // namespace quorate::cmd
