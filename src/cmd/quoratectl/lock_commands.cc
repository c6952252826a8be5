// lock, elect.
#include <chrono>
#include <memory>

#include "cmd/quoratectl/end_signals.h"
#include "cmd/quoratectl/kv_text.h"
#include "cmd/quoratectl/lock_commands.h"
#include "cmd/session/child_process.h"
#include "quorate/client/election.h"
#include "quorate/client/mutex.h"

namespace quorate::cmd {
namespace {

constexpr int64_t kLockTtlSeconds = 10;
constexpr int64_t kSessionTtlSeconds = 60;  // Of elections, and where none is given.

// At once: whoever waits for it reads from a pipe.
int ShowAtOnce(CtlSession* session, const client::RangeResponse& response) {
  const int shown = session->Show({.simple = [&] { return GetLines(response, session->hex(), false); },
                                   .fields = [&] { return GetFields(response, session->hex()); },
                                   .message = &response});
  std::fflush(stdout);
  return shown;
}

StatusOr<std::unique_ptr<client::Session>> StartSession(CtlSession* session, client::Client* client,
                                                        int64_t ttl_seconds, const EndSignals& signals) {
  client::CallOptions call = session->Call();
  call.stop = signals.stop();
  const int64_t seconds = ttl_seconds > 0 ? ttl_seconds : kSessionTtlSeconds;
  return client::Session::Start(client, {.ttl = std::chrono::seconds(seconds), .call = call});
}

// Waits for as long as it takes.
client::CallOptions UntilStopped(const EndSignals& signals) {
  client::CallOptions call;
  call.timeout = std::chrono::milliseconds(0);
  call.stop = signals.stop();
  return call;
}

int RunUnderLock(CtlSession* session, client::Mutex* mutex, const std::vector<std::string>& command) {
  const auto ended = RunChild(
      command, {{"ETCD_LOCK_KEY", mutex->key()}, {"ETCD_LOCK_REV", std::to_string(mutex->revision())}});
  const Status unlocked = mutex->Unlock();
  if (!ended.ok()) return Fail(ended.status());
  if (*ended != 0) {
    Fail(ExitCode::kError, ChildEndText(*ended));
    return ChildExitCode(*ended);
  }
  return unlocked.ok() ? 0 : session->Fail(unlocked);
}

int HoldLock(CtlSession* session, client::Client* client, client::Session* lease, client::Mutex* mutex,
             const EndSignals& signals) {
  const auto key = client->kv().Get(mutex->key(), {}, UntilStopped(signals));
  if (!key.ok()) return session->Fail(key.status());
  if (key->kvs().empty()) return Fail(ExitCode::kError, "lock lost on init");
  if (const int shown = ShowAtOnce(session, *key); shown != 0) return shown;
  if (!WaitForEither(signals.stop(), lease->lost())) return Fail(ExitCode::kError, "session expired");
  const Status unlocked = mutex->Unlock();
  return unlocked.ok() ? 0 : session->Fail(unlocked);
}

int Lock(CtlSession* session, int64_t ttl_seconds, const Arguments& arguments) {
  const std::vector<std::string>& values = arguments.values;
  if (values.empty()) {
    return Fail(ExitCode::kBadArguments,
                "lock takes a lock name argument and an optional command to execute");
  }
  // A password is asked for first: until then there is nothing to give back.
  if (session->Prepare()) return session->exit_code();
  const EndSignals signals;
  client::Client* const client = session->Connect();
  if (client == nullptr) return session->exit_code();
  const auto lease = StartSession(session, client, ttl_seconds, signals);
  if (!lease.ok()) return session->Fail(lease.status());
  client::Mutex mutex(lease->get(), values[0]);
  if (const Status locked = mutex.Lock(UntilStopped(signals)); !locked.ok()) return session->Fail(locked);
  if (values.size() == 1) return HoldLock(session, client, lease->get(), &mutex, signals);
  return RunUnderLock(session, &mutex, {values.begin() + 1, values.end()});
}

int Observe(CtlSession* session, client::Election* election, const EndSignals& signals) {
  const auto observer = election->Observe();
  const std::stop_callback on_stop(signals.stop(), [&] { observer->Cancel(); });
  while (true) {
    const auto leader = observer->Next();
    if (!leader.ok() && signals.stop().stop_requested()) return 0;
    if (!leader.ok()) return Fail(ExitCode::kError, "elect: observer lost");
    client::RangeResponse response;
    *response.mutable_header() = observer->header();
    *response.add_kvs() = *leader;
    if (const int shown = ShowAtOnce(session, response); shown != 0) return shown;
  }
}

int Campaign(CtlSession* session, client::Client* client, client::Session* lease, client::Election* election,
             const std::string& value, const EndSignals& signals) {
  if (const Status elected = election->Campaign(value, UntilStopped(signals)); !elected.ok()) {
    return session->Fail(elected);
  }
  const auto key = client->kv().Get(election->key(), {}, UntilStopped(signals));
  if (!key.ok()) return session->Fail(key.status());
  if (const int shown = ShowAtOnce(session, *key); shown != 0) return shown;
  if (!WaitForEither(signals.stop(), lease->lost())) return Fail(ExitCode::kError, "elect: session expired");
  const Status resigned = election->Resign();
  return resigned.ok() ? 0 : session->Fail(resigned);
}

int Elect(CtlSession* session, bool listen, const Arguments& arguments) {
  const std::vector<std::string>& values = arguments.values;
  if (values.empty() || values.size() > 2) {
    return Fail(ExitCode::kBadArguments,
                "elect takes one election name argument and an optional proposal argument");
  }
  // A password is asked for first: until then there is nothing to give back.
  if (session->Prepare()) return session->exit_code();
  const EndSignals signals;
  client::Client* const client = session->Connect();
  if (client == nullptr) return session->exit_code();
  if (values.size() == 1 && !listen) {
    return Fail(ExitCode::kBadArguments, "no proposal argument but -l not set");
  }
  if (values.size() == 2 && listen) {
    return Fail(ExitCode::kBadArguments, "proposal given but -l is set");
  }
  const auto lease = StartSession(session, client, kSessionTtlSeconds, signals);
  if (!lease.ok()) return session->Fail(lease.status());
  client::Election election(lease->get(), values[0]);
  if (listen) return Observe(session, &election, signals);
  return Campaign(session, client, lease->get(), &election, values[1], signals);
}

}  // namespace

void AddLockCommands(CommandTree* tree, CtlSession* session) {
  const auto ttl = std::make_shared<int64_t>(kLockTtlSeconds);
  CLI::App* lock =
      tree->Add(tree->root(), "lock", "Acquires a named lock", "<lockname> [exec-command arg1 arg2 ...]",
                [=](const Arguments& arguments) { return Lock(session, *ttl, arguments); });
  lock->add_option("--ttl", *ttl, "timeout for session")->default_str(std::to_string(*ttl));
  const auto listen = std::make_shared<bool>(false);
  CLI::App* elect = tree->Add(tree->root(), "elect", "Observes and participates in leader election",
                              "<election-name> [proposal]",
                              [=](const Arguments& arguments) { return Elect(session, *listen, arguments); });
  elect->add_flag("-l,--listen", *listen, "observation mode");
}

}  // namespace quorate::cmd
