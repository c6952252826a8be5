#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <thread>

#include "cmd/v2ctl/commands.h"
#include "cmd/v2ctl/endpoint.h"

namespace quorate::cmd::v2 {
namespace {

constexpr auto kForeverPeriod = std::chrono::seconds(10);
// etcd's client bounds only the handshake of TLS, with this; a member that accepts and says nothing holds it
// for ever.
constexpr auto kAnswerMax = std::chrono::milliseconds(10'000);

enum class Answer { kNone, kHealthy, kUnhealthy };

Answer AskHealth(Connection* connection, const Member& member, const std::string& client_url) {
  const std::string url = UrlAt(client_url, "/health");
  HttpLimits limits;
  limits.connect = client_url.starts_with("https:") ? kAnswerMax : connection->ConnectLimit();
  limits.answer = kAnswerMax;
  const auto outcome = connection->http()->Do({"GET", url, std::nullopt, std::nullopt}, limits);
  std::string why;
  if (const auto* const failure = std::get_if<HttpFailure>(&outcome)) {
    why = "Get \"" + url + "\": " + failure->text;
  } else if (const auto health = ParseHealth(std::get<HttpReply>(outcome).body)) {
    std::printf("member %s is %s: got %s result from %s\n", member.id.c_str(),
                *health ? "healthy" : "unhealthy", *health ? "healthy" : "unhealthy", client_url.c_str());
    return *health ? Answer::kHealthy : Answer::kUnhealthy;
  } else {
    why = "no answer about health (status code " + std::to_string(std::get<HttpReply>(outcome).status) + ")";
  }
  std::printf("failed to check the health of member %s on %s: %s\n", member.id.c_str(), client_url.c_str(),
              why.c_str());
  return Answer::kNone;
}

bool IsHealthy(Connection* connection, const Member& member) {
  if (member.client_urls.empty()) {
    std::printf("member %s is unreachable: no available published client urls\n", member.id.c_str());
    return false;
  }
  std::string urls;
  for (const std::string& url : member.client_urls) {
    const Answer answer = AskHealth(connection, member, url);
    if (answer != Answer::kNone) return answer == Answer::kHealthy;
    urls += (urls.empty() ? "" : " ") + url;
  }
  std::printf("member %s is unreachable: [%s] are all unreachable\n", member.id.c_str(), urls.c_str());
  return false;
}

int Check(Connection* connection, const std::vector<Member>& members) {
  size_t healthy = 0;
  for (const Member& member : members) healthy += IsHealthy(connection, member) ? 1 : 0;
  const bool all = healthy == members.size();
  std::puts(all ? "cluster is healthy" : healthy == 0 ? "cluster is unavailable" : "cluster is degraded");
  return static_cast<int>(all ? V2ExitCode::kOk : V2ExitCode::kClusterNotHealthy);
}

}  // namespace

int ClusterHealth(const Settings& settings, bool forever) {
  if (forever) {
    std::signal(SIGINT, [](int) { _exit(0); });
  }
  Connection connection(settings);
  if (const Status opened = connection.OpenTransport(); !opened.ok()) {
    return FailWith(V2ExitCode::kServerError, {std::string(Message(opened)), "", false, false});
  }
  if (const Status opened = connection.OpenClient(); !opened.ok()) {
    return Complain(V2ExitCode::kBadArguments, std::string(Message(opened)));
  }
  connection.PrintEndpoints();
  const auto listed = ListMembers(connection.client(), std::nullopt);
  if (const auto* const error = std::get_if<CallError>(&listed)) {
    std::puts("cluster may be unhealthy: failed to list members");
    std::fflush(stdout);
    return FailWith(V2ExitCode::kServerError, *error);
  }
  for (;;) {
    const int code = Check(&connection, std::get<std::vector<Member>>(listed));
    if (!forever) return code;
    std::fputs("\nnext check after 10 second...\n\n", stdout);
    std::fflush(stdout);
    std::this_thread::sleep_for(kForeverPeriod);
  }
}

}  // namespace quorate::cmd::v2
