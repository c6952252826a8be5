// watch.
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <memory>
#include <mutex>
#include <thread>

#include "cmd/cli/go_syntax.h"
#include "cmd/quoratectl/commands.h"
#include "cmd/quoratectl/line_words.h"
#include "cmd/quoratectl/watch_arguments.h"
#include "cmd/session/child_process.h"
#include "cmd/session/error_text.h"
#include "cmd/session/message_json.h"

namespace quorate::cmd {
namespace {

using client::WatchResponse;

std::string EventType(const mvccpb::Event& event) {
  return event.type() == mvccpb::Event::DELETE ? "DELETE" : "PUT";
}

std::string WatchLines(const WatchResponse& response, bool hex) {
  std::string text;
  for (const auto& event : response.events()) {
    text += EventType(event) + "\n";
    if (event.has_prev_kv()) text += KeyLines(event.prev_kv(), hex, false);
    text += KeyLines(event.kv(), hex, false);
  }
  return text;
}

std::string WatchFields(const WatchResponse& response, bool hex) {
  std::string text = HeaderFields(response.header(), hex);
  for (const auto& event : response.events()) {
    text += FieldLine("Type", std::string_view(EventType(event)));
    if (event.has_prev_kv()) text += KeyFields(event.prev_kv(), "Prev", hex);
    text += KeyFields(event.kv(), "", hex);
  }
  return text;
}

// The client's struct of etcd, not the message.
std::string WatchJson(const WatchResponse& response) {
  std::string events;
  for (const auto& event : response.events()) events += (events.empty() ? "" : ",") + MessageJson(event);
  return JsonObject()
      .Add("Header", MessageJson(response.header()))
      .Add("Events", "[" + events + "]")
      .AddNumber("CompactRevision", response.compact_revision())
      .AddBool("Canceled", response.canceled())
      .AddBool("Created", response.created())
      .Text();
}

// The fields that etcd's client keeps of the message.
WatchResponse WatchMessage(const WatchResponse& response) {
  WatchResponse kept;
  *kept.mutable_header() = response.header();
  *kept.mutable_events() = response.events();
  kept.set_compact_revision(response.compact_revision());
  kept.set_canceled(response.canceled());
  kept.set_created(response.created());
  return kept;
}

int ShowWatch(CtlSession* session, const WatchResponse& response) {
  const WatchResponse kept = WatchMessage(response);
  const int code = session->Show({.simple = [&] { return WatchLines(response, session->hex()); },
                                  .fields = [&] { return WatchFields(response, session->hex()); },
                                  .json = [&] { return WatchJson(response); },
                                  .message = &kept});
  std::fflush(stdout);
  return code;
}

std::string GoList(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : " ") + GoQuote(word);
  return "[" + text + "]";
}

// Returns the exit code when the program is to end.
std::optional<int> RunForEvents(const WatchResponse& response, const std::vector<std::string>& exec) {
  for (const auto& event : response.events()) {
    const auto ended = RunChild(exec, {{"ETCD_WATCH_REVISION", std::to_string(response.header().revision())},
                                       {"ETCD_WATCH_EVENT_TYPE", GoQuote(EventType(event))},
                                       {"ETCD_WATCH_KEY", GoQuote(event.kv().key())},
                                       {"ETCD_WATCH_VALUE", GoQuote(event.kv().value())}});
    if (ended.ok() && *ended == 0) continue;
    const std::string why = ended.ok() ? ChildEndText(*ended) : std::string(Message(ended.status()));
    std::fprintf(stderr, "command %s error (%s)\n", GoList(exec).c_str(), why.c_str());
    return 1;
  }
  return std::nullopt;
}

client::WatchOptions OptionsOf(const WatchFlags& flags) {
  return {.start_revision = flags.rev, .prev_kv = flags.prev_kv, .progress_notify = flags.progress_notify};
}

client::KeyRange KeysOf(const WatchTarget& target, bool prefix) {
  if (prefix) return client::Prefix(target.key);
  return {target.key, target.range_end};
}

// Several watches of one program print one after the other.
std::mutex printing;

// The server's reason, as etcd's client shows it.
std::string ReasonText(const Status& status) {
  const std::string text = EtcdText(status);
  return status.code() == absl::StatusCode::kPermissionDenied
             ? "rpc error: code = PermissionDenied desc = " + text
             : text;
}

// The end of a watch, as an answer.
WatchResponse Canceled(const client::Watch& watch) {
  WatchResponse response;
  response.set_canceled(true);
  response.set_compact_revision(watch.compact_revision());
  *response.mutable_header() = watch.end_header();
  return response;
}

// Prints what comes until the watch ends; returns how the program ends then: kInterrupted when the server
// ended the watch.
int Follow(CtlSession* session, client::Watch* watch, const std::vector<std::string>& exec) {
  WatchResponse last;
  while (true) {
    const auto response = watch->Next();
    const std::lock_guard lock(printing);
    if (!response.ok()) {
      std::fprintf(stderr, "watch was canceled (%s)\n", ReasonText(response.status()).c_str());
      const int shown = ShowWatch(session, Canceled(*watch));
      return shown != 0 ? shown : static_cast<int>(ExitCode::kInterrupted);
    }
    if (response->events().empty() && !response->created() && response->header().revision() != 0) {
      Print("progress notify: " + std::to_string(response->header().revision()) + "\n");
    }
    if (const int shown = ShowWatch(session, *response); shown != 0) return shown;
    if (exec.empty()) continue;
    if (const auto code = RunForEvents(*response, exec)) return *code;
  }
}

WatchEnvironment ReadEnvironment() {
  const auto get = [](const char* name) {
    const char* const value = std::getenv(name);
    return std::string(value == nullptr ? "" : value);
  };
  return {get("ETCDCTL_WATCH_KEY"), get("ETCDCTL_WATCH_RANGE_END")};
}

// One line of the interactive mode that begins with `watch`; an error tells why it can't be.
struct InteractiveLine {
  CommandTree tree{"", ""};
  WatchFlags flags;
  CommandTree::Outcome outcome;

  explicit InteractiveLine(const std::vector<std::string>& words) {
    AddWatchFlags(tree.Add(tree.root(), "watch", "", "", [](const Arguments&) { return 0; }), &flags);
    outcome = tree.Parse(words);
  }
};

// Watches run beside the reading of further lines; the program ends with the first that ends it, or with the
// input.
class InteractiveWatches {
 public:
  InteractiveWatches(CtlSession* session, client::Client* client, WatchEnvironment environment)
      : session_(*session), client_(*client), environment_(std::move(environment)) {}

  // Returns the exit code.
  int Read() {
    std::string line;
    while (std::getline(std::cin, line) && !std::cin.eof()) {
      const auto words = SplitWords(line);
      if (!words.ok()) return Fail(ExitCode::kInvalidInput, Message(words.status()));
      if (const auto code = Obey(*words, line)) return *code;
    }
    return Fail(ExitCode::kInvalidInput, "Error reading watch request line: EOF");
  }

 private:
  std::optional<int> Obey(const std::vector<std::string>& words, const std::string& line) {
    if (words.empty()) {
      std::fprintf(stderr, "Invalid command: %s (watch and progress supported)\n", line.c_str());
    } else if (words[0] == "progress") {
      client_.watches().RequestProgress();
    } else if (words[0] != "watch") {
      std::fprintf(stderr, "Invalid command %s (only support watch)\n", line.c_str());
    } else if (words.size() < 2 && environment_.key.empty()) {
      std::fprintf(stderr, "Invalid command %s (command type or key is not provided)\n", line.c_str());
    } else {
      return Start(words, line);
    }
    return std::nullopt;
  }

  std::optional<int> Start(const std::vector<std::string>& words, const std::string& line) {
    const InteractiveLine parsed(words);
    if (parsed.outcome.command == nullptr) {
      return Fail(ExitCode::kBadArguments,
                  parsed.outcome.error.empty() ? "pflag: help requested" : parsed.outcome.error);
    }
    const auto target = WatchTargetOf(parsed.outcome.arguments, environment_, false);
    if (!target.ok()) return Fail(ExitCode::kBadArguments, Message(target.status()));
    if (parsed.flags.prefix && !target->range_end.empty()) {
      std::fprintf(stderr, "Invalid command %s (`range_end` and `--prefix` are mutually exclusive)\n",
                   line.c_str());
      return std::nullopt;
    }
    auto watch = client_.watches().Start(KeysOf(*target, parsed.flags.prefix), OptionsOf(parsed.flags));
    // Not `this`, which goes before the thread does.
    std::thread([session = &session_, exec = target->exec, watch = std::move(watch)] {
      const int code = Follow(session, watch.get(), exec);
      // A watch that the server ends leaves the others alone, a failed command ends the program.
      if (code != static_cast<int>(ExitCode::kInterrupted)) std::_Exit(code);
    }).detach();
    return std::nullopt;
  }

  CtlSession& session_;
  client::Client& client_;
  const WatchEnvironment environment_;
};

int RunWatch(CtlSession* session, const WatchFlags& flags, const Arguments& arguments) {
  const WatchEnvironment environment = ReadEnvironment();
  if (environment.key.empty() && !environment.range_end.empty()) {
    return Fail(ExitCode::kBadArguments, "ETCDCTL_WATCH_KEY is empty but got ETCDCTL_WATCH_RANGE_END=" +
                                             GoQuote(environment.range_end));
  }
  if (flags.interactive) {
    client::Client* const client = session->Connect();
    if (client == nullptr) return session->exit_code();
    const int code = InteractiveWatches(session, client, environment).Read();
    std::fflush(stdout);
    // Without waiting for the watches.
    std::_Exit(code);
  }
  const auto target = WatchTargetOf(arguments, environment, flags.prefix);
  if (!target.ok()) return Fail(ExitCode::kBadArguments, Message(target.status()));
  client::Client* const client = session->Connect();
  if (client == nullptr) return session->exit_code();
  const auto watch = client->watches().Start(KeysOf(*target, flags.prefix), OptionsOf(flags));
  const int code = Follow(session, watch.get(), target->exec);
  if (code != static_cast<int>(ExitCode::kInterrupted)) return code;
  return Fail(ExitCode::kInterrupted, "watch is canceled by the server");
}

}  // namespace

void AddWatchCommand(CommandTree* tree, CtlSession* session) {
  const auto flags = std::make_shared<WatchFlags>();
  CLI::App* command = tree->Add(
      tree->root(), "watch", "Watches events stream on keys or prefixes",
      "[options] [key or prefix] [range_end] [--] [exec-command arg1 arg2 ...]",
      [session, flags](const Arguments& arguments) { return RunWatch(session, *flags, arguments); });
  AddWatchFlags(command, flags.get());
}

}  // namespace quorate::cmd
