#include "cmd/quorate/serve_lost_log.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <set>
#include <utility>

#include "base/logging.h"
#include "cluster/member.h"

namespace quorate::cmd {
namespace {

constexpr const char* kBootId = "/proc/sys/kernel/random/boot_id";
constexpr int64_t kAskNanos = 5'000'000'000;

std::string FirstLine(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  while (!line.empty() && (line.back() == '\r' || line.back() == ' ')) line.pop_back();
  return line;
}

// Makes it if it is missing. One that belongs to somebody else is not used: it could be forged.
bool IsOurs(const std::string& path) {
  if (mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) return false;
  struct stat info {};
  return lstat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode) && info.st_uid == geteuid() &&
         access(path.c_str(), W_OK) == 0;
}

std::string ChooseRunDirectory() {
  std::vector<std::string> candidates = {"/run/quorate"};
  if (const char* runtime = std::getenv("XDG_RUNTIME_DIR"); runtime != nullptr && *runtime == '/') {
    candidates.push_back(std::string(runtime) + "/quorate");
  }
  candidates.push_back("/dev/shm/quorate-" + std::to_string(geteuid()));
  const auto found = std::find_if(candidates.begin(), candidates.end(), IsOurs);
  return found == candidates.end() ? "" : *found;
}

server::LostLogAction ToAction(const std::string& text) {
  if (text == "exit") return server::LostLogAction::kExit;
  return text == "rejoin" ? server::LostLogAction::kRejoin : server::LostLogAction::kStay;
}

}  // namespace

server::LostLogOptions ToLostLogOptions(const Options& o) {
  server::LostLogOptions options;
  options.action = ToAction(o.lost_log_action);
  options.strict_probation = o.strict_probation;
  options.run_dir = o.run_dir.empty() ? ChooseRunDirectory() : o.run_dir;
  options.boot_id = FirstLine(kBootId);
  return options;
}

StatusOr<RecoverUser> ReadRecoverUser(const Options& o) {
  if (o.recover_user_file.empty()) return RecoverUser{};
  const std::string line = FirstLine(o.recover_user_file);
  const size_t colon = line.find(':');
  if (colon == std::string::npos || colon == 0) {
    return InvalidArgument("--recover-user-file: the first line of " + o.recover_user_file +
                           " must be \"user:password\"");
  }
  return RecoverUser{line.substr(0, colon), line.substr(colon + 1)};
}

std::vector<std::string> ClientUrlsWithout(const std::vector<cluster::Member>& members, uint64_t id) {
  std::vector<std::string> urls;
  for (const cluster::Member& member : members) {
    if (member.id == id) continue;
    const auto& own = member.attributes.client_urls;
    urls.insert(urls.end(), own.begin(), own.end());
  }
  return urls;
}

void FindEndpoints(server::Member* member, std::function<void(std::vector<std::string>)> done) {
  struct Search {
    std::vector<cluster::Member> members;
    size_t open = 1;
    uint64_t id;
    std::function<void(std::vector<std::string>)> done;
    void End() {
      if (--open > 0) return;
      std::vector<std::string> urls = ClientUrlsWithout(members, id);
      std::sort(urls.begin(), urls.end());
      urls.erase(std::unique(urls.begin(), urls.end()), urls.end());
      done(std::move(urls));
    }
  };
  auto search = std::make_shared<Search>();
  search->id = member->id();
  search->done = std::move(done);
  std::set<uint64_t> others;
  const auto add = [&](const cluster::Member& other) {
    search->members.push_back(other);
    if (other.id != member->id()) others.insert(other.id);
  };
  for (const auto& [id, other] : member->membership().members()) add(other);
  if (const auto& remote = member->config().remote_cluster)
    std::for_each(remote->members.begin(), remote->members.end(), add);
  search->open += others.size();
  for (const uint64_t id : others) {
    server::PeerCall call;
    call.path = "/members";
    member->transport()->Call(
        id, std::move(call), kAskNanos, [search](const StatusOr<server::PeerAnswer>& answer) {
          if (answer.ok() && answer->status == 200) {
            const auto known = cluster::ParseMemberList(answer->body);
            if (known.ok()) std::copy(known->begin(), known->end(), std::back_inserter(search->members));
          }
          search->End();
        });
  }
  search->End();
}

}  // namespace quorate::cmd
