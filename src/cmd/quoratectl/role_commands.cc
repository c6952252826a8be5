// role add, delete, get, list, grant-permission, revoke-permission.
#include <memory>

#include "cmd/cli/go_syntax.h"
#include "cmd/quoratectl/auth_commands.h"
#include "cmd/quoratectl/role_text.h"

namespace quorate::cmd {
namespace {

struct RangeFlags {
  bool prefix = false;
  bool from_key = false;
};

// For a change of which -w fields only shows the header.
template <typename Response>
int ShowDone(CtlSession* session, const std::string& line, const StatusOr<Response>& response) {
  if (!response.ok()) return session->Fail(response.status());
  return session->Show({.simple = [&] { return line + "\n"; },
                        .fields = [&] { return HeaderFields(response->header(), session->hex()); },
                        .message = &*response});
}

int WrongArguments(std::string_view text) { return Fail(ExitCode::kBadArguments, text); }

int Add(CtlSession* session, const Arguments& arguments) {
  if (arguments.values.size() != 1)
    return WrongArguments("role add command requires role name as its argument");
  const std::string& role = arguments.values[0];
  client::Client* const client = session->Connect();
  if (client == nullptr) return session->exit_code();
  return ShowDone(session, "Role " + role + " created", client->auth().RoleAdd(role, session->Call()));
}

int Delete(CtlSession* session, const Arguments& arguments) {
  if (arguments.values.size() != 1) {
    return WrongArguments("role delete command requires role name as its argument");
  }
  const std::string& role = arguments.values[0];
  client::Client* const client = session->Connect();
  if (client == nullptr) return session->exit_code();
  return ShowDone(session, "Role " + role + " deleted", client->auth().RoleDelete(role, session->Call()));
}

int Get(CtlSession* session, const Arguments& arguments) {
  if (arguments.values.size() != 1)
    return WrongArguments("role get command requires role name as its argument");
  const std::string& role = arguments.values[0];
  client::Client* const client = session->Connect();
  if (client == nullptr) return session->exit_code();
  const auto response = client->auth().RoleGet(role, session->Call());
  if (!response.ok()) return session->Fail(response.status());
  return session->Show({.simple = [&] { return RoleLines(role, *response); },
                        .fields = [&] { return RoleFields(*response, session->hex()); },
                        .message = &*response});
}

std::string ListLines(const etcdserverpb::AuthRoleListResponse& response) {
  std::string text;
  for (const std::string& role : response.roles()) text += role + "\n";
  return text;
}

std::string ListFields(const etcdserverpb::AuthRoleListResponse& response, bool hex) {
  std::string text = HeaderFields(response.header(), hex) + "\"Roles\" :";
  for (const std::string& role : response.roles()) text += " " + GoQuote(role);
  return text + "\n";
}

int List(CtlSession* session, const Arguments& arguments) {
  if (!arguments.values.empty()) return WrongArguments("role list command requires no arguments");
  client::Client* const client = session->Connect();
  if (client == nullptr) return session->exit_code();
  const auto response = client->auth().RoleList(session->Call());
  if (!response.ok()) return session->Fail(response.status());
  return session->Show({.simple = [&] { return ListLines(*response); },
                        .fields = [&] { return ListFields(*response, session->hex()); },
                        .message = &*response});
}

int Grant(CtlSession* session, const RangeFlags& flags, const Arguments& arguments) {
  const std::vector<std::string>& values = arguments.values;
  if (values.size() < 3) {
    return WrongArguments(
        "role grant command requires role name, permission type, and key [endkey] as its argument");
  }
  const auto type = ParsePermissionType(values[1]);
  if (!type.ok()) return WrongArguments(Message(type.status()));
  const auto keys = PermissionRange({values.begin() + 2, values.end()}, flags.prefix, flags.from_key);
  if (!keys.ok()) return WrongArguments(Message(keys.status()));
  client::Client* const client = session->Connect();
  if (client == nullptr) return session->exit_code();
  return ShowDone(session, "Role " + values[0] + " updated",
                  client->auth().RoleGrantPermission(values[0], *keys, *type, session->Call()));
}

std::string RevokedLine(const std::string& role, const std::string& key, const std::string& end) {
  if (end.empty()) return "Permission of key " + key + " is revoked from role " + role;
  const std::string close = end == std::string(1, '\0') ? "<open ended>" : end + ")";
  return "Permission of range [" + key + ", " + close + " is revoked from role " + role;
}

int Revoke(CtlSession* session, const RangeFlags& flags, const Arguments& arguments) {
  const std::vector<std::string>& values = arguments.values;
  if (values.size() < 2) {
    return WrongArguments(
        "role revoke-permission command requires role name and key [endkey] as its argument");
  }
  const auto keys = PermissionRange({values.begin() + 1, values.end()}, flags.prefix, flags.from_key);
  if (!keys.ok()) return WrongArguments(Message(keys.status()));
  client::Client* const client = session->Connect();
  if (client == nullptr) return session->exit_code();
  return ShowDone(session, RevokedLine(values[0], values[1], keys->end),
                  client->auth().RoleRevokePermission(values[0], *keys, session->Call()));
}

void AddRangeFlags(CLI::App* command, RangeFlags* flags, const std::string& verb) {
  command->add_flag("--prefix", flags->prefix, verb + " a prefix permission");
  command->add_flag("--from-key", flags->from_key,
                    verb +
                        " a permission of keys that are greater than or equal to the given key using byte "
                        "compare");
}

}  // namespace

void AddRoleCommands(CommandTree* tree, CtlSession* session) {
  CLI::App* role = tree->Add(tree->root(), "role", "Role related commands", "", {});
  const auto add = [&](const char* name, const char* description, const char* usage, auto run) {
    return tree->Add(role, name, description, usage,
                     [=](const Arguments& arguments) { return run(session, arguments); });
  };
  add("add", "Adds a new role", "<role name>", Add);
  add("delete", "Deletes a role", "<role name>", Delete);
  add("get", "Gets detailed information of a role", "<role name>", Get);
  add("list", "Lists all roles", "", List);
  const auto grant_flags = std::make_shared<RangeFlags>();
  CLI::App* grant = add(
      "grant-permission", "Grants a key to a role", "[options] <role name> <permission type> <key> [endkey]",
      [grant_flags](CtlSession* s, const Arguments& a) { return Grant(s, *grant_flags, a); });
  AddRangeFlags(grant, grant_flags.get(), "grant");
  const auto revoke_flags = std::make_shared<RangeFlags>();
  CLI::App* revoke =
      add("revoke-permission", "Revokes a key from a role", "<role name> <key> [endkey]",
          [revoke_flags](CtlSession* s, const Arguments& a) { return Revoke(s, *revoke_flags, a); });
  AddRangeFlags(revoke, revoke_flags.get(), "revoke");
}

}  // namespace quorate::cmd
