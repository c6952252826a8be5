// quorate_sim: runs simulations; see Usage().
#include <sys/personality.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/logging.h"
#include "sim/program/peer_wire.h"
#include "sim/runner.h"
#include "sim/scenarios.h"
#include "sim/simulation.h"

namespace quorate::sim {
namespace {

constexpr int kRunSeconds = 300;
constexpr int kShrinkRuns = 150;

struct Arguments {
  std::optional<uint64_t> seed;
  std::optional<std::vector<size_t>> keep;  // Of the schedule, by position.
  std::string scenario;
  bool list = false;
  double hours = 0;
  int jobs = 1;
  int members = 0;  // 0: as the seed says.
  bool set_back = false;
  bool trace = false;
  bool shrink = true;
  bool help = false;
  std::string log_level = "none";
};

void Usage() {
  std::fputs(
      "usage: quorate_sim --seed N [--keep I,J,..] [--trace] [--no-shrink]   one simulation, again and "
      "exactly\n"
      "       quorate_sim --hours H [--jobs N]                               random seeds until the time is "
      "over\n"
      "       quorate_sim --scenario NAME | --list                           named scenarios\n"
      "\n"
      "  --keep I,J,..   only these faults of the seed's schedule, by position; an empty list: none\n"
      "  --members N     1, 3 or 5 instead of what the seed says\n"
      "  --set-back      disks are set back in time, too\n"
      "  --trace         print every event\n"
      "  --no-shrink     do not look for the faults that matter when it fails\n"
      "  --log LEVEL     of the members' own log: debug, info, warn, error, none (default)\n"
      "\n"
      "Ends with 1 when a promise was broken. Without arguments: --hours 0.02.\n",
      stderr);
}

SimulationOptions OptionsFor(const Arguments& arguments, uint64_t seed) {
  SimulationOptions options = arguments.set_back ? OptionsWithSetBacks(seed) : OptionsForSeed(seed);
  if (arguments.members > 0) options.members = arguments.members;
  options.wire = &PeerWire();
  return options;
}

RunResult RunPlan(const SimulationOptions& options, const std::vector<Fault>& plan) {
  return RunInChild(
      [&] {
        Simulation simulation(options);
        return simulation.Run(plan);
      },
      kRunSeconds);
}

std::string Positions(const std::vector<Fault>& all, const std::vector<Fault>& kept) {
  std::string text;
  size_t position = 0;
  for (const Fault& fault : kept) {
    while (position < all.size() && !(all[position] == fault)) ++position;
    text += (text.empty() ? "" : ",") + std::to_string(position++);
  }
  return text;
}

void PrintFailure(const RunResult& result) {
  std::printf("BROKEN PROMISE %s: %s\n", result.check.c_str(), result.failure.c_str());
}

// Finds the faults that matter, and prints all that is needed to understand it.
void Explain(const Arguments& arguments, uint64_t seed, const std::vector<Fault>& plan,
             const RunResult& failed) {
  SimulationOptions options = OptionsFor(arguments, seed);
  const std::vector<Fault> all = PlanFor(options);
  std::vector<Fault> kept = plan;
  if (arguments.shrink) {
    kept = Shrink(
        plan,
        [&](const std::vector<Fault>& smaller) {
          const RunResult result = RunPlan(options, smaller);
          return !result.ok && result.check == failed.check;
        },
        kShrinkRuns);
  }
  options.keep_trace = true;
  const RunResult result = RunPlan(options, kept);
  const size_t lines = arguments.trace ? result.trace.size() : std::min<size_t>(result.trace.size(), 200);
  std::printf("---- the last %zu of %zu events of seed %llu, %zu of %zu faults\n", lines, result.trace.size(),
              static_cast<unsigned long long>(seed), kept.size(), all.size());
  for (size_t i = result.trace.size() - lines; i < result.trace.size(); ++i)
    std::puts(result.trace[i].c_str());
  std::printf("---- schedule\n");
  for (const Fault& fault : kept) std::printf("  %s\n", Describe(fault).c_str());
  PrintFailure(result.ok ? failed : result);
  std::printf("replay: ./dev sim --seed %llu --keep %s%s%s\n", static_cast<unsigned long long>(seed),
              kept.empty() ? "''" : Positions(all, kept).c_str(), arguments.set_back ? " --set-back" : "",
              arguments.members > 0 ? (" --members " + std::to_string(arguments.members)).c_str() : "");
  std::fflush(stdout);
}

void PrintGood(uint64_t seed, const RunResult& result) {
  std::printf(
      "seed %llu: good; %.1f s, %llu events, %llu entries, %llu of %llu requests acknowledged, %llu watch "
      "events, "
      "%llu leaders, trace %016llx\n",
      static_cast<unsigned long long>(seed), static_cast<double>(result.virtual_nanos) / kSecond,
      static_cast<unsigned long long>(result.events), static_cast<unsigned long long>(result.applied),
      static_cast<unsigned long long>(result.acknowledged),
      static_cast<unsigned long long>(result.operations),
      static_cast<unsigned long long>(result.watch_events), static_cast<unsigned long long>(result.leaders),
      static_cast<unsigned long long>(result.trace_hash));
}

int RunSeed(const Arguments& arguments) {
  SimulationOptions options = OptionsFor(arguments, *arguments.seed);
  std::vector<Fault> plan = PlanFor(options);
  if (arguments.keep) {
    std::vector<Fault> kept;
    for (const size_t position : *arguments.keep) {
      if (position < plan.size()) kept.push_back(plan[position]);
    }
    plan = std::move(kept);
  }
  options.keep_trace = arguments.trace;
  const RunResult result = RunPlan(options, plan);
  if (result.ok) {
    for (const std::string& line : result.trace) std::puts(line.c_str());
    PrintGood(*arguments.seed, result);
    return 0;
  }
  PrintFailure(result);
  Explain(arguments, *arguments.seed, plan, result);
  return 1;
}

// One of the processes of a search. Returns the number of failures.
int Search(const Arguments& arguments, int job) {
  using Time = std::chrono::steady_clock;
  const auto end = Time::now() + std::chrono::duration<double>(arguments.hours * 3600);
  std::mt19937_64 seeds(std::random_device{}());
  std::set<std::string> explained;
  int failures = 0;
  uint64_t runs = 0;
  uint64_t entries = 0;
  double virtual_seconds = 0;
  while (Time::now() < end) {
    const uint64_t seed = seeds() % 1'000'000'000'000;
    const SimulationOptions options = OptionsFor(arguments, seed);
    const std::vector<Fault> plan = PlanFor(options);
    const RunResult result = RunPlan(options, plan);
    ++runs;
    entries += result.applied;
    virtual_seconds += static_cast<double>(result.virtual_nanos) / kSecond;
    if (result.ok) continue;
    ++failures;
    std::printf("seed %llu: ", static_cast<unsigned long long>(seed));
    PrintFailure(result);
    if (explained.insert(result.check).second) Explain(arguments, seed, plan, result);
    std::fflush(stdout);
  }
  std::printf("job %d: %llu simulations, %.1f virtual hours, %llu entries, %d failures\n", job,
              static_cast<unsigned long long>(runs), virtual_seconds / 3600,
              static_cast<unsigned long long>(entries), failures);
  std::fflush(stdout);
  return failures;
}

int SearchAll(const Arguments& arguments) {
  std::vector<pid_t> jobs;
  std::fflush(stdout);
  for (int job = 0; job < std::max(1, arguments.jobs); ++job) {
    const pid_t child = fork();
    if (child == 0) _exit(Search(arguments, job) == 0 ? 0 : 1);
    jobs.push_back(child);
  }
  int failed = 0;
  for (const pid_t job : jobs) {
    int status = 0;
    waitpid(job, &status, 0);
    failed |= status != 0;
  }
  return failed;
}

int RunScenarios(const Arguments& arguments) {
  int failed = 0;
  bool found = false;
  for (const Scenario& scenario : Scenarios()) {
    if (arguments.list) {
      std::printf("%-16s %s\n", scenario.name, scenario.original);
      continue;
    }
    if (arguments.scenario != "all" && arguments.scenario != scenario.name) continue;
    found = true;
    const RunResult result = RunInChild([&] { return RunScenario(scenario, arguments.trace); }, kRunSeconds);
    for (const std::string& line : result.trace) std::puts(line.c_str());
    std::printf("%s: ", scenario.name);
    if (result.ok) {
      std::puts("good");
    } else {
      PrintFailure(result);
      failed = 1;
    }
  }
  if (arguments.list || found) return failed;
  std::fprintf(stderr, "quorate_sim: there is no scenario '%s'; --list names them\n",
               arguments.scenario.c_str());
  return 2;
}

bool ParseKeep(std::string_view text, std::vector<size_t>* keep) {
  while (!text.empty()) {
    const size_t comma = std::min(text.find(','), text.size());
    char* end = nullptr;
    const std::string number(text.substr(0, comma));
    keep->push_back(std::strtoull(number.c_str(), &end, 10));
    if (number.empty() || *end != '\0') return false;
    text.remove_prefix(std::min(comma + 1, text.size()));
  }
  return true;
}

bool Parse(int argc, char** argv, Arguments* out) {
  for (int i = 1; i < argc; ++i) {
    const std::string_view flag = argv[i];
    const auto value = [&]() -> const char* { return i + 1 < argc ? argv[++i] : ""; };
    if (flag == "--seed") {
      out->seed = std::strtoull(value(), nullptr, 0);
    } else if (flag == "--keep") {
      if (!ParseKeep(value(), &out->keep.emplace())) return false;
    } else if (flag == "--hours") {
      out->hours = std::strtod(value(), nullptr);
    } else if (flag == "--jobs") {
      out->jobs = std::atoi(value());
    } else if (flag == "--members") {
      out->members = std::atoi(value());
    } else if (flag == "--scenario") {
      out->scenario = value();
    } else if (flag == "--log") {
      out->log_level = value();
    } else if (flag == "--list") {
      out->list = true;
    } else if (flag == "--set-back") {
      out->set_back = true;
    } else if (flag == "--trace") {
      out->trace = true;
    } else if (flag == "--help") {
      out->help = true;
    } else if (flag == "--no-shrink") {
      out->shrink = false;
    } else {
      return false;
    }
  }
  return true;
}

log::Level LevelOf(const std::string& name) {
  if (name == "debug") return log::Level::kDebug;
  if (name == "info") return log::Level::kInfo;
  if (name == "warn") return log::Level::kWarn;
  return name == "error" ? log::Level::kError : log::Level::kFatal;
}

// Containers of the members may order by address: with the same addresses, the same seed gives the same run
// in every process.
void FixAddresses(char** argv) {
  const int current = personality(0xffffffff);
  if (current < 0 || (current & ADDR_NO_RANDOMIZE) != 0) return;
  if (personality(static_cast<unsigned long>(current) | ADDR_NO_RANDOMIZE) < 0) return;
  execv("/proc/self/exe", argv);
}

int Main(int argc, char** argv) {
  Arguments arguments;
  const bool understood = Parse(argc, argv, &arguments);
  if (!understood || arguments.help) {
    Usage();
    return understood ? 0 : 2;
  }
  FixAddresses(argv);
  std::string error;
  log::Configure({.level = LevelOf(arguments.log_level), .outputs = {"stderr"}, .console = true}, &error);
  if (arguments.list || !arguments.scenario.empty()) return RunScenarios(arguments);
  if (arguments.seed) return RunSeed(arguments);
  if (arguments.hours <= 0) arguments.hours = 0.02;
  return SearchAll(arguments);
}

}  // namespace
}  // namespace quorate::sim

int main(int argc, char** argv) { return quorate::sim::Main(argc, argv); }
