#include "cmd/v2ctl/help.h"

#include <algorithm>

#include "cmd/cli/program_version.h"

namespace quorate::cmd::v2 {
namespace {

struct Command {
  std::string_view name;
  std::string_view about;
  bool of_the_store;
};

constexpr Command kCommands[] = {
    {"backup", "backup an etcd directory", true},
    {"cluster-health", "check the health of the etcd cluster", false},
    {"mk", "make a new key with a given value", true},
    {"mkdir", "make a new directory", true},
    {"rm", "remove a key or a directory", true},
    {"rmdir", "removes the key if it is an empty directory or a key-value pair", true},
    {"get", "retrieve the value of a key", true},
    {"ls", "retrieve a directory", true},
    {"set", "set the value of a key", true},
    {"setdir", "create a new directory or update an existing directory TTL", true},
    {"update", "update an existing key with a given value", true},
    {"updatedir", "update an existing directory", true},
    {"watch", "watch a key for changes", true},
    {"exec-watch", "watch a key for changes and exec an executable", true},
    {"member", "member add, remove and list subcommands", false},
    {"user", "user add, grant and revoke subcommands", true},
    {"role", "role add, grant and revoke subcommands", true},
    {"auth", "overall auth controls", true},
};

struct MemberCommand {
  std::string_view name;
  std::string_view about;
  std::string_view arguments;
};

constexpr MemberCommand kMemberCommands[] = {
    {"list", "enumerate existing cluster members", " "},
    {"add", "add a new member to the etcd cluster", "<name> <peerURL>"},
    {"remove", "remove an existing member from the etcd cluster", "<memberID>"},
    {"update", "update an existing member in the etcd cluster", "<memberID> <peerURLs>"},
};

constexpr std::string_view kGlobalOptions =
    R"(GLOBAL OPTIONS:
   --debug                          output cURL commands which can be used to reproduce the request
   --no-sync                        don't synchronize cluster information before sending request
   --output simple, -o simple       output response in the given format (simple, `extended` or `json`) (default: "simple")
   --discovery-srv value, -D value  domain name to query for SRV records describing cluster endpoints
   --insecure-discovery             accept insecure SRV records describing cluster endpoints
   --peers value, -C value          DEPRECATED - "--endpoints" should be used instead
   --endpoint value                 DEPRECATED - "--endpoints" should be used instead
   --endpoints value                a comma-delimited list of machine addresses in the cluster (default: "http://127.0.0.1:2379,http://127.0.0.1:4001")
   --cert-file value                identify HTTPS client using this SSL certificate file
   --key-file value                 identify HTTPS client using this SSL key file
   --ca-file value                  verify certificates of HTTPS-enabled servers using this CA bundle
   --username value, -u value       provide username[:password] and prompt if password is not supplied.
   --timeout value                  connection timeout per request (default: 2s)
   --total-timeout value            timeout for the command execution (except watch) (default: 5s)
   --help, -h                       show help
   --version, -v                    print the version
)";

std::string Padded(std::string_view text, size_t columns) {
  std::string out(text);
  out.resize(std::max(columns, out.size()), ' ');
  return out;
}

std::string NameSection(std::string_view path, std::string_view about) {
  return "NAME:\n   etcdctl " + std::string(path) + " - " + std::string(about) + "\n\nUSAGE:\n   etcdctl " +
         std::string(path);
}

}  // namespace

std::string ProgramHelp() {
  constexpr size_t kNameColumns = 16;
  std::string out =
      "NAME:\n   etcdctl - A simple command line client for etcd.\n\nUSAGE:\n   etcdctl [global options] "
      "command [command "
      "options] [arguments...]\n\nVERSION:\n   " +
      std::string(kEtcdVersion) + "\n\nCOMMANDS:\n";
  for (const Command& command : kCommands) {
    out += "   " + Padded(command.name, kNameColumns) + std::string(command.about) + "\n";
  }
  out += "   " + Padded("help, h", kNameColumns) + "Shows a list of commands or help for one command\n\n";
  return out.append(kGlobalOptions);
}

std::string MemberGroupHelp() {
  constexpr size_t kNameColumns = 8;
  std::string out = NameSection("member", "member add, remove and list subcommands") +
                    " command [command options] [arguments...]\n\nCOMMANDS:\n";
  for (const MemberCommand& command : kMemberCommands) {
    out += "   " + Padded(command.name, kNameColumns) + std::string(command.about) + "\n";
  }
  return out + "\nOPTIONS:\n   --help, -h  show help\n   \n";
}

std::string CommandHelp(std::string_view path) {
  if (path == "cluster-health") {
    return NameSection(path, "check the health of the etcd cluster") +
           " [command options]  \n\nOPTIONS:\n   --forever, -f  forever check the health every 10 second "
           "until "
           "CTRL+C\n   \n";
  }
  for (const MemberCommand& command : kMemberCommands) {
    if (path == "member " + std::string(command.name)) {
      return NameSection(path, command.about) + " " + std::string(command.arguments) + "\n";
    }
  }
  return "";
}

std::string VersionText() { return "etcdctl version: " + std::string(kEtcdVersion) + "\nAPI version: 2\n"; }

std::vector<std::string> CommandNames() {
  std::vector<std::string> names = {"help"};
  for (const Command& command : kCommands) names.emplace_back(command.name);
  return names;
}

std::vector<std::string> MemberCommandNames() {
  std::vector<std::string> names;
  for (const MemberCommand& command : kMemberCommands) names.emplace_back(command.name);
  return names;
}

bool IsCommandOfTheV2Store(std::string_view name) {
  return std::any_of(std::begin(kCommands), std::end(kCommands),
                     [&](const Command& command) { return command.of_the_store && command.name == name; });
}

}  // namespace quorate::cmd::v2
