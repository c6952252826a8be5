// auth enable, disable, status.
#include "cmd/quoratectl/auth_commands.h"

namespace quorate::cmd {
namespace {

int NoArguments(const char* command) {
  return Fail(ExitCode::kBadArguments,
              "auth " + std::string(command) + " command does not accept any arguments");
}

// With a user `root` who lacks the role of that name this is done first, and then it goes on.
Status EnableWithRoot(client::Auth* auth, const client::CallOptions& call) {
  const Status enabled = auth->Enable(call).status();
  if (enabled.ok() || Message(enabled) != "etcdserver: root user does not have root role") return enabled;
  // The role may be there already.
  if (const Status added = auth->RoleAdd("root", call).status();
      !added.ok() && Message(added) != "etcdserver: role name already exists") {
    return added;
  }
  QUORATE_RETURN_IF_ERROR(auth->UserGrantRole("root", "root", call).status());
  return auth->Enable(call).status();
}

int Enable(CtlSession* session, const Arguments& arguments) {
  if (!arguments.values.empty()) return NoArguments("enable");
  client::Client* const client = session->Connect();
  if (client == nullptr) return session->exit_code();
  if (const Status enabled = EnableWithRoot(&client->auth(), session->Call()); !enabled.ok()) {
    return session->Fail(enabled);
  }
  Print("Authentication Enabled\n");
  return 0;
}

int Disable(CtlSession* session, const Arguments& arguments) {
  if (!arguments.values.empty()) return NoArguments("disable");
  client::Client* const client = session->Connect();
  if (client == nullptr) return session->exit_code();
  if (const Status disabled = client->auth().Disable(session->Call()).status(); !disabled.ok()) {
    return session->Fail(disabled);
  }
  Print("Authentication Disabled\n");
  return 0;
}

std::string StatusLines(const etcdserverpb::AuthStatusResponse& response) {
  return "Authentication Status: " + std::string(response.enabled() ? "true" : "false") +
         "\nAuthRevision: " + std::to_string(response.authrevision()) + "\n";
}

std::string StatusFields(const etcdserverpb::AuthStatusResponse& response, bool hex) {
  return HeaderFields(response.header(), hex) + BoolField("Enabled", response.enabled()) +
         FieldLine("AuthRevision", static_cast<uint64_t>(response.authrevision()));
}

int ShowStatus(CtlSession* session, const Arguments& arguments) {
  if (!arguments.values.empty()) return NoArguments("status");
  client::Client* const client = session->Connect();
  if (client == nullptr) return session->exit_code();
  const auto response = client->auth().Status(session->Call());
  if (!response.ok()) return session->Fail(response.status());
  return session->Show({.simple = [&] { return StatusLines(*response); },
                        .fields = [&] { return StatusFields(*response, session->hex()); },
                        .message = &*response});
}

}  // namespace

void AddAuthCommands(CommandTree* tree, CtlSession* session) {
  CLI::App* auth = tree->Add(tree->root(), "auth", "Enable or disable authentication", "", {});
  const auto add = [&](const char* name, const char* description, auto run) {
    tree->Add(auth, name, description, "",
              [=](const Arguments& arguments) { return run(session, arguments); });
  };
  add("enable", "Enables authentication", Enable);
  add("disable", "Disables authentication", Disable);
  add("status", "Returns authentication status", ShowStatus);
}

}  // namespace quorate::cmd
