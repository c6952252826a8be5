// check perf, check datascale.
#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <memory>
#include <optional>
#include <variant>

#include "base/env_posix.h"
#include "cmd/cli/go_syntax.h"
#include "cmd/http_client/http_client.h"
#include "cmd/quoratectl/check_commands.h"
#include "cmd/quoratectl/end_signals.h"
#include "cmd/quoratectl/perf_verdict.h"
#include "cmd/quoratectl/put_load.h"

namespace quorate::cmd {
namespace {

using Clients = std::vector<std::unique_ptr<client::Client>>;

// Shared by the Puts of all "clients" of a load; each has far more streams than that needs.
constexpr size_t kConnectionsMax = 20;
constexpr std::chrono::seconds kCleanUpTimeout{30};
constexpr std::chrono::seconds kPerfDuration{60};

struct LoadName {
  std::string_view name;
  size_t size;  // Its place in the tables below.
};
constexpr LoadName kLoadNames[] = {{"s", 0}, {"small", 0}, {"m", 1},  {"medium", 1},
                                   {"l", 2}, {"large", 2}, {"xl", 3}, {"xLarge", 3}};

// Source of the numbers: etcdctl/ctlv3/command/check.go.
struct PerfLoad {
  uint64_t per_second;
  size_t clients;
};
constexpr std::array<PerfLoad, 4> kPerfLoads = {{{150, 50}, {1000, 200}, {8000, 500}, {15000, 1000}}};
struct ScaleLoad {
  uint64_t count;
  size_t clients;
};
constexpr std::array<ScaleLoad, 4> kScaleLoads = {
    {{10'000, 50}, {100'000, 200}, {1'000'000, 500}, {3'000'000, 1000}}};

struct CheckFlags {
  std::string load = "s";
  std::string prefix;
  bool auto_compact = false;
  bool auto_defrag = false;
};

std::optional<size_t> LoadSize(std::string_view name) {
  const auto* const found = std::find_if(std::begin(kLoadNames), std::end(kLoadNames),
                                         [&](const LoadName& one) { return one.name == name; });
  if (found == std::end(kLoadNames)) return std::nullopt;
  return found->size;
}

client::CallOptions CleanUpCall() {
  client::CallOptions call;
  call.timeout = kCleanUpTimeout;
  return call;
}

// The clients of a load; nothing: it has said why, and `code` is how to end.
std::optional<Clients> ConnectAll(CtlSession* session, size_t count, int* code) {
  if (const auto ended = session->Prepare()) {
    *code = *ended;
    return std::nullopt;
  }
  const auto endpoints = session->Endpoints();
  Clients clients;
  while (endpoints.ok() && clients.size() < std::min(count, kConnectionsMax)) {
    auto client = session->ConnectTo(*endpoints);
    if (!client.ok()) {
      *code = session->Fail(client.status(), ExitCode::kBadConnection);
      return std::nullopt;
    }
    clients.push_back(*std::move(client));
  }
  if (endpoints.ok()) return clients;
  *code = session->Fail(endpoints.status());
  return std::nullopt;
}

std::vector<client::Client*> Pointers(const Clients& clients) {
  std::vector<client::Client*> pointers;
  for (const auto& client : clients) pointers.push_back(client.get());
  return pointers;
}

// Nothing when no key has the prefix, else how to end.
std::optional<int> RefuseUsedPrefix(CtlSession* session, client::Client* client, const std::string& prefix) {
  const auto found = client->kv().Get(client::Prefix(prefix), {.limit = 1}, session->Call());
  if (!found.ok()) return session->Fail(found.status());
  if (found->kvs().empty()) return std::nullopt;
  return Fail(
      ExitCode::kInvalidInput,
      "prefix " + GoQuote(prefix) + " has keys. Delete with etcdctl del --prefix " + prefix + " first");
}

Status CompactAt(client::Client* client, int64_t revision) {
  Print("Compacting with revision " + std::to_string(revision) + "\n");
  QUORATE_RETURN_IF_ERROR(client->kv().Compact(revision, true, CleanUpCall()).status());
  Print("Compacted with revision " + std::to_string(revision) + "\n");
  return absl::OkStatus();
}

Status Defragment(client::Client* client) {
  for (const std::string& endpoint : client->endpoints()) {
    Print("Defragmenting " + GoQuote(endpoint) + "\n");
    client::CallOptions call = CleanUpCall();
    call.endpoint = endpoint;
    QUORATE_RETURN_IF_ERROR(client->maintenance().Defragment(call).status());
    Print("Defragmented " + GoQuote(endpoint) + "\n");
  }
  return absl::OkStatus();
}

// Takes the keys of the load away again, and what the flags say besides.
Status CleanUp(client::Client* client, const CheckFlags& flags) {
  const auto deleted = client->kv().Delete(client::Prefix(flags.prefix), {}, CleanUpCall());
  QUORATE_RETURN_IF_ERROR(deleted.status());
  if (flags.auto_compact) QUORATE_RETURN_IF_ERROR(CompactAt(client, deleted->header().revision()));
  if (flags.auto_defrag) QUORATE_RETURN_IF_ERROR(Defragment(client));
  return absl::OkStatus();
}

PutLoadResult RunShown(const Clients& clients, const PutLoad& load, const EndSignals& signals) {
  SystemClock clock;
  Progress progress = MakeProgress("checking", Progress::Unit::kItems, &clock);
  return RunPutLoad(Pointers(clients), load, progress.Callback(), signals.stop());
}

int UnknownLoad(const std::string& load) {
  return Fail(ExitCode::kBadFeature, "unknown load option " + load);
}

int Perf(CtlSession* session, const CheckFlags& flags) {
  const auto size = LoadSize(flags.load);
  if (!size) return UnknownLoad(flags.load);
  const PerfLoad& shape = kPerfLoads[*size];
  // A password is asked for first: until then there is nothing to give back.
  if (session->Prepare()) return session->exit_code();
  const EndSignals signals;
  int code = 0;
  const auto clients = ConnectAll(session, shape.clients, &code);
  if (!clients) return code;
  client::Client* const first = clients->front().get();
  if (const auto ended = RefuseUsedPrefix(session, first, flags.prefix)) return *ended;
  const PutLoadResult result = RunShown(*clients,
                                        {.prefix = flags.prefix,
                                         .key_bytes = 256,
                                         .value_bytes = 1024,
                                         .in_flight = shape.clients,
                                         .duration = kPerfDuration,
                                         .per_second = shape.per_second},
                                        signals);
  if (const Status cleaned = CleanUp(first, flags); !cleaned.ok()) return session->Fail(cleaned);
  if (signals.stop().stop_requested()) return Fail(ExitCode::kInterrupted, "interrupted");
  const PerfVerdict verdict = JudgePerf(result, shape.per_second);
  Print(verdict.text);
  return verdict.passed ? 0 : static_cast<int>(ExitCode::kError);
}

// What /metrics says of the memory of the server's process, in bytes; nothing: it has said why.
std::optional<double> ResidentBytes(CtlSession* session, const std::string& endpoint) {
  const GlobalFlags& flags = session->flags();
  const bool named = endpoint.starts_with("http://") || endpoint.starts_with("https://");
  const bool tls = !flags.cert.empty() || !flags.cacert.empty() || !flags.insecure_transport;
  const std::string url = (named ? "" : tls ? "https://" : "http://") + endpoint + "/metrics";
  HttpClient http({.files = {.ca = flags.cacert, .cert = flags.cert, .key = flags.key},
                   .server_name = "",
                   .skip_verify = flags.insecure_skip_tls_verify});
  const auto answer =
      http.Do({.method = "GET", .url = url, .body = {}, .credentials = {}}, {.answer = kCleanUpTimeout});
  if (const auto* const failure = std::get_if<HttpFailure>(&answer)) {
    Print("fetch error: " + failure->text + "\n");
    return std::nullopt;
  }
  constexpr std::string_view kName = "process_resident_memory_bytes";
  const std::string body = "\n" + std::get<HttpReply>(answer).body;
  const size_t at = body.find("\n" + std::string(kName) + " ");
  if (at == std::string::npos) {
    Print("could not find: " + std::string(kName) + "\n");
    return std::nullopt;
  }
  const size_t begin = at + kName.size() + 2;
  double bytes = 0;
  const auto parsed = std::from_chars(body.data() + begin, body.data() + body.size(), bytes);
  if (parsed.ec == std::errc() && bytes > 0) return bytes;
  Print("parse error: " + body.substr(begin, body.find('\n', begin) - begin) + "\n");
  return std::nullopt;
}

int MemoryUnknown(const char* when) {
  Print("FAIL: Could not read process_resident_memory_bytes " + std::string(when) + " the put operations.\n");
  return static_cast<int>(ExitCode::kError);
}

int ShowMemory(const PutLoadResult& result, double bytes) {
  if (!result.errors.empty()) {
    Print(ErrorLines(result));
    return static_cast<int>(ExitCode::kError);
  }
  char text[96];
  std::snprintf(text, sizeof text, "PASS: Approximate system memory used : %.2f MB.\n",
                bytes / (1024 * 1024));
  Print(text);
  return 0;
}

int Datascale(CtlSession* session, const CheckFlags& flags) {
  const auto size = LoadSize(flags.load);
  if (!size) return UnknownLoad(flags.load);
  const ScaleLoad& shape = kScaleLoads[*size];
  // A password is asked for first: until then there is nothing to give back.
  if (session->Prepare()) return session->exit_code();
  const EndSignals signals;
  int code = 0;
  const auto clients = ConnectAll(session, shape.clients, &code);
  if (!clients) return code;
  client::Client* const first = clients->front().get();
  if (const auto ended = RefuseUsedPrefix(session, first, flags.prefix)) return *ended;
  const std::string endpoint = first->endpoints().front();
  const auto before = ResidentBytes(session, endpoint);
  if (!before) return MemoryUnknown("before");
  // Key and value are half of it each.
  constexpr size_t kKeyValueBytes = 1024;
  Print("Start data scale check for work load [" + std::to_string(shape.count) + " key-value pairs, " +
        std::to_string(kKeyValueBytes) + " bytes per key-value, " + std::to_string(shape.clients) +
        " concurrent clients].\n");
  std::fflush(stdout);
  const PutLoadResult result = RunShown(*clients,
                                        {.prefix = flags.prefix,
                                         .key_bytes = kKeyValueBytes / 2,
                                         .value_bytes = kKeyValueBytes / 2,
                                         .in_flight = shape.clients,
                                         .count = shape.count},
                                        signals);
  const auto after = ResidentBytes(session, endpoint);
  if (const Status cleaned = CleanUp(first, flags); !cleaned.ok()) return session->Fail(cleaned);
  if (signals.stop().stop_requested()) return Fail(ExitCode::kInterrupted, "interrupted");
  if (!after) return MemoryUnknown("after");
  return ShowMemory(result, *after - *before);
}

void AddFlags(CLI::App* command, CheckFlags* flags, const std::string& what) {
  command
      ->add_option("--load", flags->load,
                   "The " + what +
                       " check's workload model. Accepted workloads: s(small), m(medium), l(large), "
                       "xl(xLarge)")
      ->default_str(flags->load);
  command->add_option("--prefix", flags->prefix, "The prefix for writing the " + what + " check's keys.")
      ->default_str(flags->prefix);
  command->add_flag("--auto-compact", flags->auto_compact,
                    "Compact storage with last revision after test is finished.");
  command->add_flag("--auto-defrag", flags->auto_defrag, "Defragment storage after test is finished.");
}

}  // namespace

void AddCheckCommands(CommandTree* tree, CtlSession* session) {
  CLI::App* check =
      tree->Add(tree->root(), "check", "commands for checking properties of the etcd cluster", "", {});
  const auto perf_flags = std::make_shared<CheckFlags>();
  perf_flags->prefix = "/etcdctl-check-perf/";
  AddFlags(tree->Add(check, "perf", "Check the performance of the etcd cluster", "[options]",
                     [=](const Arguments&) { return Perf(session, *perf_flags); }),
           perf_flags.get(), "performance");
  const auto scale_flags = std::make_shared<CheckFlags>();
  scale_flags->prefix = "/etcdctl-check-datascale/";
  CLI::App* scale =
      tree->Add(check, "datascale",
                "Check the memory usage of holding data for different workloads on a given server endpoint.",
                "[options]", [=](const Arguments&) { return Datascale(session, *scale_flags); });
  AddFlags(scale, scale_flags.get(), "datascale");
  scale->footer(
      "DESCRIPTION:\n\tIf no endpoint is provided, localhost will be used. If multiple endpoints are "
      "provided, "
      "first endpoint will be used.");
}

}  // namespace quorate::cmd
