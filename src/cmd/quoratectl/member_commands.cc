// member add, list, promote, remove, update.
#include <memory>

#include "cluster/urls.h"
#include "cmd/cli/go_syntax.h"
#include "cmd/quoratectl/commands.h"
#include "cmd/quoratectl/hex_id.h"
#include "cmd/quoratectl/kv_requests.h"
#include "cmd/session/message_json.h"

namespace quorate::cmd {
namespace {

std::string Joined(const google::protobuf::RepeatedPtrField<std::string>& texts) {
  std::string joined;
  for (const std::string& text : texts) joined += (joined.empty() ? "" : ",") + text;
  return joined;
}

Table MemberTable(const client::MemberListResponse& response) {
  Table table{{"ID", "Status", "Name", "Peer Addrs", "Client Addrs", "Is Learner"}, {}};
  for (const auto& member : response.members()) {
    table.rows.push_back({HexId(member.id()), member.name().empty() ? "unstarted" : "started", member.name(),
                          Joined(member.peerurls()), Joined(member.clienturls()),
                          member.islearner() ? "true" : "false"});
  }
  return table;
}

std::string MemberFields(const client::MemberListResponse& response, bool hex) {
  std::string text = HeaderFields(response.header(), hex);
  for (const auto& member : response.members()) {
    text += IdField("ID", member.id(), hex) + FieldLine("Name", member.name(), true);
    for (const std::string& url : member.peerurls()) text += FieldLine("PeerURL", url, true);
    for (const std::string& url : member.clienturls()) text += FieldLine("ClientURL", url, true);
    text += BoolField("IsLearner", member.islearner()) + "\n";
  }
  return text;
}

// With --hex IDs are strings of hexadecimal digits, as etcd's client has it since 3.5.
std::string MemberJson(const client::MemberListResponse& response, bool hex) {
  if (!hex) return MessageJson(response);
  const auto& header = response.header();
  const std::string header_json = JsonObject()
                                      .AddString("cluster_id", HexId(header.cluster_id()))
                                      .AddString("member_id", HexId(header.member_id()))
                                      .AddNumber("raft_term", header.raft_term())
                                      .Text();
  std::string members;
  for (const auto& member : response.members()) {
    JsonObject json;
    json.AddString("ID", HexId(member.id())).AddString("name", member.name());
    json.Add("peerURLs", JsonTexts({member.peerurls().begin(), member.peerurls().end()}));
    json.Add("clientURLs", JsonTexts({member.clienturls().begin(), member.clienturls().end()}));
    if (member.islearner()) json.AddBool("isLearner", true);
    members += (members.empty() ? "" : ",") + json.Text();
  }
  return JsonObject().Add("header", header_json).Add("members", "[" + members + "]").Text();
}

int List(CtlSession* session, const std::string& consistency) {
  const auto serializable = IsSerializable(consistency);
  if (!serializable.ok()) return Fail(ExitCodeOf(serializable.status()), Message(serializable.status()));
  client::Client* const client = session->Connect();
  if (client == nullptr) return session->exit_code();
  const auto response = client->cluster().List(!*serializable, session->Call());
  if (!response.ok()) return session->Fail(response.status());
  return session->Show({.simple = [&] { return CommaLines(MemberTable(*response)); },
                        .fields = [&] { return MemberFields(*response, session->hex()); },
                        .table = [&] { return MemberTable(*response); },
                        .json = [&] { return MemberJson(*response, session->hex()); },
                        .message = &*response});
}

// Checked here, too: an etcd that is told a malformed URL by `member update` ends.
StatusOr<std::vector<std::string>> PeerUrls(const std::string& peer_urls) {
  std::vector<std::string> urls = SplitCommas(peer_urls);
  QUORATE_RETURN_IF_ERROR(cluster::ParseUrls(urls).status());
  return urls;
}

// What the new member is to be started with.
std::string StartVariables(const client::MemberAddResponse& response, const std::string& name,
                           const std::string& peer_urls) {
  std::string cluster;
  for (const auto& member : response.members()) {
    for (const std::string& url : member.peerurls()) {
      const bool is_new = member.id() == response.member().id();
      cluster += (cluster.empty() ? "" : ",") + (is_new ? name : member.name()) + "=" + url;
    }
  }
  return "\nETCD_NAME=" + GoQuote(name) + "\nETCD_INITIAL_CLUSTER=" + GoQuote(cluster) +
         "\nETCD_INITIAL_ADVERTISE_PEER_URLS=" + GoQuote(peer_urls) +
         "\nETCD_INITIAL_CLUSTER_STATE=\"existing\"\n";
}

int Add(CtlSession* session, const std::string& peer_urls, bool learner, const Arguments& arguments) {
  if (arguments.values.empty()) return Fail(ExitCode::kBadArguments, "member name not provided");
  if (arguments.values.size() > 1) {
    std::string text = "too many arguments";
    for (const std::string& value : arguments.values) {
      if (value.starts_with("http")) text += ", did you mean --peer-urls=" + value;
    }
    return Fail(ExitCode::kBadArguments, text);
  }
  if (peer_urls.empty()) return Fail(ExitCode::kBadArguments, "member peer urls not provided");
  const std::string& name = arguments.values[0];
  const auto urls = PeerUrls(peer_urls);
  if (!urls.ok()) return Fail(urls.status());
  client::Client* const client = session->Connect();
  if (client == nullptr) return session->exit_code();
  const auto response = learner ? client->cluster().AddLearner(*urls, session->Call())
                                : client->cluster().Add(*urls, session->Call());
  if (!response.ok()) return session->Fail(response.status());
  return session->Show({.simple =
                            [&] {
                              return "Member " + HexIdPadded(response->member().id()) + " added" +
                                     " to cluster " + HexIdPadded(response->header().cluster_id()) + "\n" +
                                     StartVariables(*response, name, peer_urls);
                            },
                        .message = &*response});
}

// For commands about one member: its ID, or nothing after an error.
std::optional<uint64_t> OneMember(const Arguments& arguments) {
  if (arguments.values.size() != 1) {
    Fail(ExitCode::kBadArguments, "member ID is not provided");
    return std::nullopt;
  }
  const auto id = ParseMemberId(arguments.values[0]);
  if (id.ok()) return *id;
  Fail(ExitCode::kBadArguments, Message(id.status()));
  return std::nullopt;
}

template <typename Response>
int ShowChange(CtlSession* session, uint64_t id, const char* change, const StatusOr<Response>& response) {
  if (!response.ok()) return session->Fail(response.status());
  return session->Show({.simple =
                            [&] {
                              return "Member " + HexIdPadded(id) + " " + change + " cluster " +
                                     HexIdPadded(response->header().cluster_id()) + "\n";
                            },
                        .message = &*response});
}

int Remove(CtlSession* session, const Arguments& arguments) {
  const auto id = OneMember(arguments);
  if (!id) return static_cast<int>(ExitCode::kBadArguments);
  client::Client* const client = session->Connect();
  if (client == nullptr) return session->exit_code();
  return ShowChange(session, *id, "removed from", client->cluster().Remove(*id, session->Call()));
}

int Update(CtlSession* session, const std::string& peer_urls, const Arguments& arguments) {
  const auto id = OneMember(arguments);
  if (!id) return static_cast<int>(ExitCode::kBadArguments);
  if (peer_urls.empty()) return Fail(ExitCode::kBadArguments, "member peer urls not provided");
  const auto urls = PeerUrls(peer_urls);
  if (!urls.ok()) return Fail(urls.status());
  client::Client* const client = session->Connect();
  if (client == nullptr) return session->exit_code();
  return ShowChange(session, *id, "updated in", client->cluster().Update(*id, *urls, session->Call()));
}

int Promote(CtlSession* session, const Arguments& arguments) {
  const auto id = OneMember(arguments);
  if (!id) return static_cast<int>(ExitCode::kBadArguments);
  client::Client* const client = session->Connect();
  if (client == nullptr) return session->exit_code();
  return ShowChange(session, *id, "promoted in", client->cluster().Promote(*id, session->Call()));
}

void AddListCommand(CommandTree* tree, CtlSession* session, CLI::App* member) {
  const auto consistency = std::make_shared<std::string>("l");
  CLI::App* list =
      tree->Add(member, "list", "Lists all members in the cluster", "",
                [session, consistency](const Arguments&) { return List(session, *consistency); });
  list->add_option("--consistency", *consistency, "Linearizable(l) or Serializable(s)")
      ->default_str(*consistency);
  list->footer(
      "DESCRIPTION:\n\tWhen --write-out is set to simple, this command prints out comma-separated member "
      "lists "
      "for each endpoint.\n\tThe items in the lists are ID, Status, Name, Peer Addrs, Client Addrs, Is "
      "Learner.");
}

}  // namespace

void AddMemberCommands(CommandTree* tree, CtlSession* session) {
  CLI::App* member = tree->Add(tree->root(), "member", "Membership related commands", "", {});
  const auto peer_urls = std::make_shared<std::string>();
  const auto learner = std::make_shared<bool>(false);
  CLI::App* add =
      tree->Add(member, "add", "Adds a member into the cluster", "<memberName> [options]",
                [=](const Arguments& arguments) { return Add(session, *peer_urls, *learner, arguments); });
  add->add_option("--peer-urls", *peer_urls, "comma separated peer URLs for the new member.");
  add->add_flag("--learner", *learner, "indicates if the new member is raft learner");
  tree->Add(member, "remove", "Removes a member from the cluster", "<memberID>",
            [=](const Arguments& arguments) { return Remove(session, arguments); });
  CLI::App* update =
      tree->Add(member, "update", "Updates a member in the cluster", "<memberID> [options]",
                [=](const Arguments& arguments) { return Update(session, *peer_urls, arguments); });
  update->add_option("--peer-urls", *peer_urls, "comma separated peer URLs for the updated member.");
  AddListCommand(tree, session, member);
  CLI::App* promote =
      tree->Add(member, "promote", "Promotes a non-voting member in the cluster", "<memberID>",
                [=](const Arguments& arguments) { return Promote(session, arguments); });
  promote->footer("DESCRIPTION:\n\tPromotes a non-voting learner member to a voting one in the cluster.");
}

}  // namespace quorate::cmd
