#include <cstdio>

#include "cmd/cli/go_syntax.h"
#include "cmd/v2ctl/commands.h"

namespace quorate::cmd::v2 {
namespace {

std::string Joined(const std::vector<std::string>& texts) {
  std::string out;
  for (const std::string& text : texts) out += (out.empty() ? "" : ",") + text;
  return out;
}

int BadArguments(const std::string& line) { return Complain(V2ExitCode::kBadArguments, line); }

}  // namespace

int MemberList(const Settings& settings, const std::vector<std::string>& arguments) {
  if (!arguments.empty()) return BadArguments("No arguments accepted");
  Connection connection(settings);
  if (const auto code = connection.Open()) return *code;
  const Deadline deadline = connection.CommandDeadline();
  const auto listed = ListMembers(connection.client(), deadline);
  if (const auto* const error = std::get_if<CallError>(&listed)) return BadArguments(error->text);
  const auto leader = Leader(connection.client(), deadline);
  if (const auto* const error = std::get_if<CallError>(&leader)) {
    return BadArguments("Failed to get leader:  " + error->text);
  }
  for (const Member& member : std::get<std::vector<Member>>(listed)) {
    if (member.name.empty()) {
      std::printf("%s[unstarted]: peerURLs=%s\n", member.id.c_str(), Joined(member.peer_urls).c_str());
      continue;
    }
    std::printf("%s: name=%s peerURLs=%s clientURLs=%s isLeader=%s\n", member.id.c_str(), member.name.c_str(),
                Joined(member.peer_urls).c_str(), Joined(member.client_urls).c_str(),
                member.id == std::get<Member>(leader).id ? "true" : "false");
  }
  return 0;
}

int MemberAdd(const Settings& settings, const std::vector<std::string>& arguments) {
  if (arguments.size() != 2) return BadArguments("Provide a name and a single member peerURL");
  Connection connection(settings);
  if (const auto code = connection.Open()) return *code;
  const std::string& name = arguments[0];
  const Deadline deadline = connection.CommandDeadline();
  const auto added = AddMember(connection.client(), arguments[1], deadline);
  if (const auto* const error = std::get_if<CallError>(&added)) return BadArguments(error->text);
  const std::string& id = std::get<Member>(added).id;
  std::printf("Added member named %s with ID %s to cluster\n", name.c_str(), id.c_str());
  const auto listed = ListMembers(connection.client(), deadline);
  if (const auto* const error = std::get_if<CallError>(&listed)) return BadArguments(error->text);
  std::string initial;
  for (const Member& member : std::get<std::vector<Member>>(listed)) {
    for (const std::string& url : member.peer_urls) {
      initial += (initial.empty() ? "" : ",") + (member.id == id ? name : member.name) + "=" + url;
    }
  }
  std::printf("\nETCD_NAME=%s\nETCD_INITIAL_CLUSTER=%s\nETCD_INITIAL_CLUSTER_STATE=\"existing\"\n",
              GoQuote(name).c_str(), GoQuote(initial).c_str());
  return 0;
}

int MemberRemove(const Settings& settings, const std::vector<std::string>& arguments) {
  if (arguments.size() != 1) return BadArguments("Provide a single member ID");
  Connection connection(settings);
  if (const auto code = connection.Open()) return *code;
  const std::string& id = arguments[0];
  const Deadline deadline = connection.CommandDeadline();
  const auto listed = ListMembers(connection.client(), deadline);
  if (const auto* const error = std::get_if<CallError>(&listed)) {
    return BadArguments("Error while verifying ID against known members: " + error->text);
  }
  bool found = false;
  for (const Member& member : std::get<std::vector<Member>>(listed)) {
    found = found || member.id == id;
    if (member.name != id) continue;
    std::fprintf(
        stderr,
        "Found a member named %s; if this is correct, please use its ID, eg:\n\tetcdctl member remove %s\n"
        "For more details, read the documentation at "
        "https://github.com/etcd-io/etcd/blob/master/Documentation/runtime-configuration.md"
        "#remove-a-member\n\n",
        member.name.c_str(), member.id.c_str());
  }
  if (!found) return BadArguments("Couldn't find a member in the cluster with an ID of " + id + ".");
  if (const auto error = RemoveMember(connection.client(), id, deadline)) {
    return BadArguments("Received an error trying to remove member " + id + ": " + error->text);
  }
  std::printf("Removed member %s from cluster\n", id.c_str());
  return 0;
}

int MemberUpdate(const Settings& settings, const std::vector<std::string>& arguments) {
  if (arguments.size() != 2) {
    return BadArguments(
        "Provide an ID and a list of comma separated peerURL (0xabcd "
        "http://example.com,http://example1.com)");
  }
  Connection connection(settings);
  if (const auto code = connection.Open()) return *code;
  const auto error = UpdateMember(connection.client(), arguments[0], SplitCommas(arguments[1]),
                                  connection.CommandDeadline());
  if (error) return BadArguments(error->text);
  std::printf("Updated member with ID %s in cluster\n", arguments[0].c_str());
  return 0;
}

}  // namespace quorate::cmd::v2
