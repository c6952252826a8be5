#include "rpc/debug_vars.h"

#include <algorithm>
#include <fstream>
#include <utility>

#include "base/go_json.h"
#include "cluster/member.h"
#include "raft/describe.h"
#include "raft/progress.h"
#include "rpc/process_figures.h"

namespace quorate::rpc {
namespace {

constexpr std::string_view kSecretFlags[] = {"discovery-password", "discovery-user"};

std::vector<std::string> CommandLine() {
  std::ifstream file("/proc/self/cmdline");
  std::vector<std::string> arguments;
  for (std::string argument; std::getline(file, argument, '\0');) arguments.push_back(std::move(argument));
  return arguments;
}

std::string RaftStatus(const server::Member& member) {
  const raft::BasicStatus status = member.raft_status();
  const auto field = [](std::string_view name, std::string value) {
    return "\"" + std::string(name) + "\":" + std::move(value) + ",";
  };
  const auto id = [](uint64_t number) { return "\"" + cluster::IdText(number) + "\""; };
  std::string progress;
  for (const auto& [node, of] : member.progress()) {
    if (!progress.empty()) progress += ',';
    progress += id(node) + ":{" + field("match", std::to_string(of.match)) +
                field("next", std::to_string(of.next)) + "\"state\":\"" + raft::Describe(of.state) + "\"}";
  }
  return "{" + field("id", id(status.id)) + field("term", std::to_string(status.hard_state.term)) +
         field("vote", id(status.hard_state.vote)) +
         field("commit", std::to_string(status.hard_state.commit)) +
         field("lead", id(status.soft_state.lead)) +
         field("raftState", std::string("\"") + raft::Describe(status.soft_state.role) + "\"") +
         field("applied", std::to_string(status.applied)) + field("progress", "{" + progress + "}") +
         "\"leadtransferee\":" + id(status.lead_transferee) + "}";
}

}  // namespace

std::vector<std::string> WithoutSecrets(std::vector<std::string> arguments) {
  bool value_follows = false;
  for (std::string& argument : arguments) {
    if (std::exchange(value_follows, false)) {
      argument = "<hidden>";
      continue;
    }
    const std::string_view text = argument;
    const std::string_view name = text.substr(std::min(text.find_first_not_of('-'), text.size()));
    for (const std::string_view secret : kSecretFlags) {
      if (text.empty() || text[0] != '-' || !name.starts_with(secret)) continue;
      if (name == secret) value_follows = true;
      if (name.size() > secret.size() && name[secret.size()] == '=') {
        argument = argument.substr(0, text.size() - name.size() + secret.size() + 1) + "<hidden>";
        break;
      }
    }
  }
  return arguments;
}

std::string DebugVarsJson(const server::Member& member) {
  const ProcessFigures figures = ReadProcessFigures();
  const std::string resident = std::to_string(figures.resident_bytes);
  std::string out = "{\n\"cmdline\": ";
  AppendGoStrings(out, WithoutSecrets(CommandLine()));
  out += ",\n\"file_descriptor_limit\": " + std::to_string(figures.open_files_max);
  out += ",\n\"memstats\": {\"Alloc\":" + resident + ",\"Sys\":" + resident + ",\"HeapAlloc\":" + resident +
         ",\"HeapSys\":" + resident + "}";
  out += ",\n\"raft.status\": " + RaftStatus(member);
  return out + "\n}\n";
}

}  // namespace quorate::rpc
