// user add, delete, get, list, passwd, grant-role, revoke-role.
#include <cctype>
#include <cstdio>
#include <memory>

#include "cmd/quoratectl/auth_commands.h"
#include "cmd/quoratectl/role_text.h"
#include "cmd/session/password.h"

namespace quorate::cmd {
namespace {

struct PasswordFlags {
  bool interactive = true;
  std::string given;
  bool none = false;
};

int WrongArguments(std::string_view text) { return Fail(ExitCode::kBadArguments, text); }

template <typename Response>
int ShowDone(CtlSession* session, const std::string& line, const StatusOr<Response>& response) {
  if (!response.ok()) return session->Fail(response.status());
  return session->Show({.simple = [&] { return line + "\n"; },
                        .fields = [&] { return HeaderFields(response->header(), session->hex()); },
                        .message = &*response});
}

// The first word of the first line of stdin, which is what etcd's client takes.
std::string PasswordFromInput() {
  std::string word;
  for (int c = std::getchar(); c != EOF && c != '\n'; c = std::getchar()) {
    if (std::isspace(c) == 0) {
      word += static_cast<char>(c);
    } else if (!word.empty()) {
      break;
    }
  }
  return word;
}

StatusOr<std::string> AskTwice(const std::string& user) {
  const std::string first = AskPassword("Password of " + user + ": ");
  if (first.empty()) return InvalidArgument("empty password");
  const std::string second = AskPassword("Type password of " + user + " again for confirmation: ");
  if (first != second) return InvalidArgument("given passwords are different");
  return first;
}

StatusOr<std::string> NewPassword(const PasswordFlags& flags, const std::string& user) {
  if (!flags.interactive) return PasswordFromInput();
  return AskTwice(user);
}

struct NewUser {
  std::string name;
  std::string password;
};

// `argument` is NAME, or NAME:PASSWORD where no flag says whence the password comes.
StatusOr<NewUser> UserToAdd(const PasswordFlags& flags, const std::string& argument) {
  if (flags.none) return NewUser{argument, ""};
  if (!flags.given.empty()) return NewUser{argument, flags.given};
  const size_t colon = argument.find(':');
  if (colon == std::string::npos) {
    QUORATE_ASSIGN_OR_RETURN(std::string password, NewPassword(flags, argument));
    return NewUser{argument, std::move(password)};
  }
  if (colon == 0) return InvalidArgument("empty user name is not allowed");
  return NewUser{argument.substr(0, colon), argument.substr(colon + 1)};
}

int Add(CtlSession* session, const PasswordFlags& flags, const Arguments& arguments) {
  if (arguments.values.size() != 1)
    return WrongArguments("user add command requires user name as its argument");
  const auto user = UserToAdd(flags, arguments.values[0]);
  if (!user.ok()) return WrongArguments(Message(user.status()));
  client::Client* const client = session->Connect();
  if (client == nullptr) return session->exit_code();
  return ShowDone(session, "User " + user->name + " created",
                  flags.none ? client->auth().UserAddWithoutPassword(user->name, session->Call())
                             : client->auth().UserAdd(user->name, user->password, session->Call()));
}

int Delete(CtlSession* session, const Arguments& arguments) {
  if (arguments.values.size() != 1) {
    return WrongArguments("user delete command requires user name as its argument");
  }
  const std::string& user = arguments.values[0];
  client::Client* const client = session->Connect();
  if (client == nullptr) return session->exit_code();
  return ShowDone(session, "User " + user + " deleted", client->auth().UserDelete(user, session->Call()));
}

int ShowDetail(CtlSession* session, client::Client* client, const std::string& user,
               const etcdserverpb::AuthUserGetResponse& response) {
  Print("User: " + user + "\n");
  for (const std::string& role : response.roles()) {
    Print("\n");
    const auto details = client->auth().RoleGet(role, session->Call());
    if (!details.ok()) return session->Fail(details.status());
    const int shown = session->Show({.simple = [&] { return RoleLines(role, *details); },
                                     .fields = [&] { return RoleFields(*details, session->hex()); },
                                     .message = &*details});
    if (shown != 0) return shown;
  }
  return 0;
}

int Get(CtlSession* session, bool detail, const Arguments& arguments) {
  if (arguments.values.size() != 1)
    return WrongArguments("user get command requires user name as its argument");
  const std::string& user = arguments.values[0];
  client::Client* const client = session->Connect();
  if (client == nullptr) return session->exit_code();
  const auto response = client->auth().UserGet(user, session->Call());
  if (!response.ok()) return session->Fail(response.status());
  if (detail) return ShowDetail(session, client, user, *response);
  return session->Show({.simple =
                            [&] {
                              std::string text = "User: " + user + "\nRoles:";
                              for (const std::string& role : response->roles()) text += " " + role;
                              return text + "\n";
                            },
                        .message = &*response});
}

int List(CtlSession* session, const Arguments& arguments) {
  if (!arguments.values.empty()) return WrongArguments("user list command requires no arguments");
  client::Client* const client = session->Connect();
  if (client == nullptr) return session->exit_code();
  const auto response = client->auth().UserList(session->Call());
  if (!response.ok()) return session->Fail(response.status());
  return session->Show({.simple =
                            [&] {
                              std::string text;
                              for (const std::string& user : response->users()) text += user + "\n";
                              return text;
                            },
                        .message = &*response});
}

int ChangePassword(CtlSession* session, const PasswordFlags& flags, const Arguments& arguments) {
  if (arguments.values.size() != 1) {
    return WrongArguments("user passwd command requires user name as its argument");
  }
  const std::string& user = arguments.values[0];
  const auto password = NewPassword(flags, user);
  if (!password.ok()) return WrongArguments(Message(password.status()));
  client::Client* const client = session->Connect();
  if (client == nullptr) return session->exit_code();
  return ShowDone(session, "Password updated",
                  client->auth().UserChangePassword(user, *password, session->Call()));
}

int GrantRole(CtlSession* session, const Arguments& arguments) {
  if (arguments.values.size() != 2) {
    return WrongArguments("user grant command requires user name and role name as its argument");
  }
  const std::string& user = arguments.values[0];
  const std::string& role = arguments.values[1];
  client::Client* const client = session->Connect();
  if (client == nullptr) return session->exit_code();
  return ShowDone(session, "Role " + role + " is granted to user " + user,
                  client->auth().UserGrantRole(user, role, session->Call()));
}

int RevokeRole(CtlSession* session, const Arguments& arguments) {
  if (arguments.values.size() != 2) {
    return WrongArguments("user revoke-role requires user name and role name as its argument");
  }
  const std::string& user = arguments.values[0];
  const std::string& role = arguments.values[1];
  client::Client* const client = session->Connect();
  if (client == nullptr) return session->exit_code();
  return ShowDone(session, "Role " + role + " is revoked from user " + user,
                  client->auth().UserRevokeRole(user, role, session->Call()));
}

// Of add and passwd.
void AddInteractiveFlag(CLI::App* command, PasswordFlags* flags) {
  command->add_flag("--interactive", flags->interactive, "ask for the password; false: read it from stdin")
      ->default_str("true");
}

}  // namespace

void AddUserCommands(CommandTree* tree, CtlSession* session) {
  CLI::App* user = tree->Add(tree->root(), "user", "User related commands", "", {});
  const auto add = [&](const char* name, const char* description, const char* usage, auto run) {
    return tree->Add(user, name, description, usage,
                     [=](const Arguments& arguments) { return run(session, arguments); });
  };
  const auto new_flags = std::make_shared<PasswordFlags>();
  CLI::App* create = add("add", "Adds a new user", "<user name or user:password> [options]",
                         [new_flags](CtlSession* s, const Arguments& a) { return Add(s, *new_flags, a); });
  AddInteractiveFlag(create, new_flags.get());
  create->add_option("--new-user-password", new_flags->given, "Supply password from the command line flag");
  create->add_flag("--no-password", new_flags->none, "Create a user without password (CN based auth only)");
  add("delete", "Deletes a user", "<user name>", Delete);
  const auto detail = std::make_shared<bool>(false);
  add("get", "Gets detailed information of a user", "<user name> [options]",
      [detail](CtlSession* s, const Arguments& a) { return Get(s, *detail, a); })
      ->add_flag("--detail", *detail, "Show permissions of roles granted to the user");
  add("list", "Lists all users", "", List);
  const auto change_flags = std::make_shared<PasswordFlags>();
  CLI::App* change =
      add("passwd", "Changes password of user", "<user name> [options]",
          [change_flags](CtlSession* s, const Arguments& a) { return ChangePassword(s, *change_flags, a); });
  AddInteractiveFlag(change, change_flags.get());
  add("grant-role", "Grants a role to a user", "<user name> <role name>", GrantRole);
  add("revoke-role", "Revokes a role from a user", "<user name> <role name>", RevokeRole);
}

}  // namespace quorate::cmd
