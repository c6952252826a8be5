#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <climits>
#include <csignal>
#include <cstdio>
#include <ctime>
#include <memory>

#include "cmd/cli/exit_code.h"
#include "cmd/cli/go_syntax.h"
#include "cmd/procedures/cluster_access.h"
#include "cmd/procedures/commands.h"
#include "cmd/procedures/watch_report.h"

namespace quorate::cmd {
namespace {

constexpr int64_t kMilliNanos = 1'000'000;
// A look is several requests to each member.
constexpr int64_t kIntervalMinNanos = 100 * kMilliNanos;
// Another screen than the one with what was typed, which comes back at the end; the cursor is hidden
// meanwhile.
constexpr char kEnterScreen[] = "\x1b[?1049h\x1b[?25l";
constexpr char kLeaveScreen[] = "\x1b[?25h\x1b[?1049l";
// To the upper left corner; and from the cursor on all is wiped, so that nothing flickers.
constexpr char kHome[] = "\x1b[H";
constexpr char kWipeRest[] = "\x1b[J";
constexpr char kWipeLine[] = "\x1b[K\n";

volatile std::sig_atomic_t g_stop = 0;

struct WatchFlags {
  int64_t interval_nanos = 1'000'000'000;
  int64_t count = 0;  // 0: for ever.
};

// Returns early when the program is told to end.
void Sleep(int64_t nanos) {
  for (int64_t left = nanos / kMilliNanos; left > 0 && g_stop == 0;) {
    const int64_t part = std::min<int64_t>(left, INT_MAX);
    poll(nullptr, 0, static_cast<int>(part));
    left -= part;
  }
}

void Draw(const std::string& text) {
  std::fputs(kHome, stdout);
  size_t begin = 0;
  while (begin < text.size()) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    std::fwrite(text.data() + begin, 1, end - begin, stdout);
    std::fputs(kWipeLine, stdout);
    begin = end + 1;
  }
  std::fputs(kWipeRest, stdout);
}

int64_t Now() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

int Watch(CtlSession* session, const WatchFlags& flags) {
  if (flags.interval_nanos < kIntervalMinNanos) {
    return Fail(ExitCode::kBadArguments, "--interval must be at least " + GoDuration(kIntervalMinNanos) +
                                             ", it is " + GoDuration(flags.interval_nanos));
  }
  ClusterAccess access(session);
  if (const auto code = access.Open(false)) return *code;
  const bool terminal = isatty(STDOUT_FILENO) != 0;
  for (const int number : {SIGINT, SIGTERM, SIGHUP}) {
    struct sigaction action {};
    action.sa_handler = [](int) { g_stop = 1; };
    sigaction(number, &action, nullptr);
  }
  if (terminal) std::fputs(kEnterScreen, stdout);
  std::unique_ptr<Look> before;
  bool answered = true;
  for (int64_t i = 0; g_stop == 0 && (flags.count == 0 || i < flags.count); ++i) {
    if (i > 0) Sleep(flags.interval_nanos);
    if (g_stop != 0) break;
    auto state = access.Read();
    answered = state.ok();
    if (!answered) {
      const std::string line = "no member answers: " + std::string(Message(state.status())) + "\n";
      terminal ? Draw(line) : static_cast<void>(std::fputs(line.c_str(), stdout));
    } else {
      auto now = std::make_unique<Look>(Look{*std::move(state), Now(), std::time(nullptr)});
      const auto findings = Examine(now->state, now->unix_time, HealthLimits());
      if (terminal) {
        Draw(WatchScreen(before.get(), *now, findings));
      } else {
        std::fputs(WatchLine(before.get(), *now, findings).c_str(), stdout);
      }
      before = std::move(now);
    }
    std::fflush(stdout);
  }
  if (terminal) std::fputs(kLeaveScreen, stdout);
  // With --count somebody may ask for the outcome.
  return answered ? 0 : static_cast<int>(ExitCode::kError);
}

}  // namespace

void AddClusterWatchCommand(CommandTree* tree, CLI::App* cluster, CtlSession* session) {
  auto flags = std::make_shared<WatchFlags>();
  CLI::App* const watch =
      tree->Add(cluster, "watch", "Shows the cluster's state again and again, until interrupted", "",
                [session, flags](const Arguments&) { return Watch(session, *flags); });
  CommandTree::AddDuration(watch, "--interval", &flags->interval_nanos, "time between two looks");
  watch->add_option("--count", flags->count, "end after so many looks, 0: go on")->default_str("0");
}

}  // namespace quorate::cmd
