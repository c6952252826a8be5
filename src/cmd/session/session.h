// What every command of the client shares: the global flags with their ETCDCTL_* variables, and the way from
// them to a connected client.
//
//   int Get(CtlSession* session, const std::string& key) {
//     client::Client* const client = session->Connect();
//     if (client == nullptr) return session->exit_code();
//     const auto got = client->kv().Get(key, {}, session->Call());
//     if (!got.ok()) return session->Fail(got.status());
//     return session->Show(*got, {.simple = [&] { return ...; }});
//   }
//
// One thread, one command.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "cmd/cli/command_tree.h"
#include "cmd/cli/exit_code.h"
#include "cmd/cli/output_format.h"
#include "cmd/session/answer.h"
#include "quorate/client/client.h"

namespace quorate::cmd {

// The values of the global flags, with etcdctl's defaults. Durations are nanoseconds.
struct GlobalFlags {
  std::vector<std::string> endpoints = {"127.0.0.1:2379"};
  bool debug = false;
  std::string write_out = "simple";
  bool hex = false;
  int64_t dial_timeout = 2'000'000'000;
  int64_t command_timeout = 5'000'000'000;
  int64_t keepalive_time = 2'000'000'000;
  int64_t keepalive_timeout = 6'000'000'000;
  int64_t max_request_bytes = 0;  // 0: 2 MiB.
  int64_t max_receive_bytes = 0;  // 0: no limit.
  bool insecure_transport = true;
  bool insecure_discovery = true;
  bool insecure_skip_tls_verify = false;
  std::string cert;
  std::string key;
  std::string cacert;
  std::string user;
  std::string password;
  std::string auth_jwt_token;
  std::string discovery_srv;
  std::string discovery_srv_name;
};

class CtlSession {
 public:
  // Adds the global flags to the root of the tree, which must outlive the session.
  explicit CtlSession(CommandTree* tree);
  CtlSession(const CtlSession&) = delete;
  CtlSession& operator=(const CtlSession&) = delete;

  // A flag of a command that an ETCDCTL_* variable may give, too.
  void ReadFromEnvironment(CLI::Option* option) { options_.push_back(option); }

  // Takes the environment in and checks the global flags; to be called before they are used. Connect and what
  // else needs it call it by themselves. Nothing when all is well, else it has said why and returns how to
  // end.
  std::optional<int> Prepare();

  // The client of this command, to all endpoints, with the user logged in; lives as long as the session.
  // Null: it has said why, and exit_code() is how to end.
  client::Client* Connect();
  int exit_code() const { return exit_code_; }
  // One of its own to other endpoints, with the same flags. After Prepare.
  StatusOr<std::unique_ptr<client::Client>> ConnectTo(std::vector<std::string> endpoints);
  // How the flags want it; for a client that differs in something. After Prepare.
  StatusOr<client::Options> ClientOptions();

  // Those of --endpoints, or the ones that --discovery-srv finds. After Prepare.
  StatusOr<std::vector<std::string>> Endpoints();
  // The same, or with `cluster` those that the members advertise. Nothing: it has said why, and exit_code()
  // is how to end.
  std::optional<std::vector<std::string>> EndpointsOf(bool cluster);

  // --command-timeout, a millisecond at least: nothing can be asked in no time.
  std::chrono::milliseconds CommandTimeout() const;
  // A call within it.
  client::CallOptions Call() const;
  // The same of one endpoint.
  client::CallOptions CallAt(const std::string& endpoint) const;
  // For what may take long: bound only when the flag or its variable was given, but ended at once where no
  // endpoint can be reached.
  client::CallOptions LongCall() const;

  const GlobalFlags& flags() const { return flags_; }
  OutputFormat format() const { return format_; }
  bool hex() const { return flags_.hex; }

  // Prints the answer in the format of -w.
  int Show(const Answer& answer) const { return ShowAnswer(answer, format_, flags_.write_out); }
  // The error as etcd's client tells it, and where there is one, a line with the way out.
  int Fail(const Status& status, ExitCode code = ExitCode::kError) const;
  // The same of something that does not end the command: "WHAT (the error)" on stderr.
  static void TellFailure(const std::string& what, const Status& status);

 private:
  Status TakeEnvironment();
  Status CheckFlags() const;
  Status AskForPassword();
  bool Given(const char* name) const;

  CommandTree& tree_;
  GlobalFlags flags_;
  std::vector<CLI::Option*> options_;  // That variables may give.
  OutputFormat format_ = OutputFormat::kSimple;
  std::optional<int> prepared_;  // The exit code, 0 for success.
  std::string username_;
  std::string password_;
  std::unique_ptr<client::Client> client_;
  int exit_code_ = 0;
};

}  // namespace quorate::cmd
