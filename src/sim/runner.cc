#include "sim/runner.h"

#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <utility>

#include "base/check.h"
#include "base/wire.h"

namespace quorate::sim {
namespace {

// Fields of a report, in protobuf's wire format.
enum Field : uint32_t {
  kOk = 1,
  kCheck,
  kFailure,
  kTraceHash,
  kEvents,
  kOperations,
  kAcknowledged,
  kWatchEvents,
  kApplied,
  kLeaders,
  kVirtualNanos,
  kTraceLine,
};

std::string Encode(const RunResult& result) {
  std::string out;
  wire::AppendVarintField(out, kOk, result.ok);
  wire::AppendBytesField(out, kCheck, result.check);
  wire::AppendBytesField(out, kFailure, result.failure);
  wire::AppendVarintField(out, kTraceHash, result.trace_hash);
  wire::AppendVarintField(out, kEvents, result.events);
  wire::AppendVarintField(out, kOperations, result.operations);
  wire::AppendVarintField(out, kAcknowledged, result.acknowledged);
  wire::AppendVarintField(out, kWatchEvents, result.watch_events);
  wire::AppendVarintField(out, kApplied, result.applied);
  wire::AppendVarintField(out, kLeaders, result.leaders);
  wire::AppendVarintField(out, kVirtualNanos, static_cast<uint64_t>(result.virtual_nanos));
  for (const std::string& line : result.trace) wire::AppendBytesField(out, kTraceLine, line);
  return out;
}

bool Decode(std::string_view bytes, RunResult* result) {
  wire::Reader in(bytes);
  bool whole = false;
  while (in.Next()) {
    switch (in.field()) {
      case kOk:
        result->ok = in.varint() != 0;
        break;
      case kCheck:
        result->check = in.bytes();
        break;
      case kFailure:
        result->failure = in.bytes();
        break;
      case kTraceHash:
        result->trace_hash = in.varint();
        break;
      case kEvents:
        result->events = in.varint();
        break;
      case kOperations:
        result->operations = in.varint();
        break;
      case kAcknowledged:
        result->acknowledged = in.varint();
        break;
      case kWatchEvents:
        result->watch_events = in.varint();
        break;
      case kApplied:
        result->applied = in.varint();
        break;
      case kLeaders:
        result->leaders = in.varint();
        break;
      case kVirtualNanos:
        result->virtual_nanos = static_cast<int64_t>(in.varint());
        whole = true;
        break;
      default:
        result->trace.emplace_back(in.bytes());
    }
  }
  return in.ok() && whole;
}

void WriteAll(int descriptor, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t written = write(descriptor, bytes.data(), bytes.size());
    if (written <= 0) return;
    bytes.remove_prefix(static_cast<size_t>(written));
  }
}

// False when the time was over before the other side closed.
bool ReadAll(int descriptor, int seconds, std::string* out) {
  using Time = std::chrono::steady_clock;
  const auto deadline = Time::now() + std::chrono::seconds(seconds);
  char buffer[65536];
  for (;;) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Time::now()).count();
    pollfd poll_on{descriptor, POLLIN, 0};
    if (left <= 0 || poll(&poll_on, 1, static_cast<int>(left)) <= 0) return false;
    const ssize_t got = read(descriptor, buffer, sizeof buffer);
    if (got <= 0) return true;
    out->append(buffer, static_cast<size_t>(got));
  }
}

}  // namespace

RunResult ToResult(const Outcome& outcome) {
  RunResult result;
  result.ok = outcome.ok;
  result.check = outcome.check;
  result.failure = outcome.failure;
  result.trace_hash = outcome.trace_hash;
  result.events = outcome.events;
  result.operations = outcome.operations;
  result.acknowledged = outcome.acknowledged;
  result.watch_events = outcome.watch_events;
  result.applied = outcome.applied;
  result.leaders = outcome.leaders;
  result.virtual_nanos = outcome.virtual_nanos;
  result.trace = outcome.trace;
  return result;
}

RunResult RunInChild(const std::function<Outcome()>& simulate, int seconds) {
  int ends[2];
  QUORATE_CHECK(pipe(ends) == 0);
  const pid_t child = fork();
  QUORATE_CHECK(child >= 0);
  if (child == 0) {
    close(ends[0]);
    WriteAll(ends[1], Encode(ToResult(simulate())));
    _exit(0);
  }
  close(ends[1]);
  std::string bytes;
  const bool in_time = ReadAll(ends[0], seconds, &bytes);
  close(ends[0]);
  if (!in_time) kill(child, SIGKILL);
  int status = 0;
  waitpid(child, &status, 0);
  RunResult result;
  if (in_time && Decode(bytes, &result)) return result;
  result = {};
  result.check = in_time ? "crash" : "timeout";
  result.failure = in_time ? std::string("the process died: ") +
                                 (WIFSIGNALED(status) ? strsignal(WTERMSIG(status)) : "exit") +
                                 "; its last words are above"
                           : "no end after " + std::to_string(seconds) + " s";
  return result;
}

// Halves first, then smaller pieces, then one by one (Zeller's ddmin without the subsets).
std::vector<Fault> Shrink(std::vector<Fault> plan,
                          const std::function<bool(const std::vector<Fault>&)>& fails, int runs) {
  for (size_t piece = std::max<size_t>(plan.size() / 2, 1); runs > 0;) {
    bool smaller = false;
    for (size_t begin = 0; begin < plan.size() && runs > 0;) {
      std::vector<Fault> without(plan.begin(), plan.begin() + static_cast<std::ptrdiff_t>(begin));
      const size_t end = std::min(begin + piece, plan.size());
      without.insert(without.end(), plan.begin() + static_cast<std::ptrdiff_t>(end), plan.end());
      --runs;
      if (fails(without)) {
        plan = std::move(without);
        smaller = true;
      } else {
        begin = end;
      }
    }
    if (piece == 1 && !smaller) break;
    if (piece > 1) piece /= 2;
  }
  return plan;
}

}  // namespace quorate::sim
