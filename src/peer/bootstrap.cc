#include "peer/bootstrap.h"

#include <algorithm>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "base/logging.h"
#include "cluster/member.h"
#include "peer/compatibility.h"
#include "peer/peer_client.h"

namespace quorate::peer {
namespace {

using cluster::RemoteCluster;

// The peer URLs of all but ourselves, ascending, as the original asks them.
std::vector<std::string> OtherUrls(const BootstrapOptions& options) {
  std::vector<std::string> all;
  for (const auto& [name, urls] : options.initial_cluster) {
    if (name != options.name) all.insert(all.end(), urls.begin(), urls.end());
  }
  std::sort(all.begin(), all.end());
  return all;
}

StatusOr<RemoteCluster> ParseMembersAnswer(const HttpAnswer& answer) {
  if (answer.head.status != 200)
    return Unavailable("/members answers status " + std::to_string(answer.head.status));
  QUORATE_ASSIGN_OR_RETURN(const uint64_t cluster_id,
                           cluster::ParseId(answer.head.header("X-Etcd-Cluster-ID")));
  QUORATE_ASSIGN_OR_RETURN(auto members, cluster::ParseMemberList(answer.body));
  if (members.empty()) return NotFound("failed to get raft cluster member(s) from the given URLs");
  RemoteCluster cluster{.cluster_id = cluster_id, .members = std::move(members)};
  std::sort(cluster.members.begin(), cluster.members.end(),
            [](const auto& a, const auto& b) { return a.id < b.id; });
  return cluster;
}

// As Go's net.ResolveTCPAddr: an IPv4 address if there is one.
const SocketAddress& Preferred(const std::vector<SocketAddress>& found) {
  const auto v4 = std::find_if(found.begin(), found.end(),
                               [](const SocketAddress& a) { return a.storage.ss_family == AF_INET; });
  return v4 == found.end() ? found.front() : *v4;
}

// One conversation with the others; keeps itself alive until done.
class Conversation : public std::enable_shared_from_this<Conversation> {
 public:
  Conversation(net::Loop* loop, BootstrapOptions options)
      : loop_(loop), options_(std::move(options)), http_(loop, options_.tls), client_(&http_) {}

  void Join(std::function<void(StatusOr<RemoteCluster>)> done) {
    joined_ = std::move(done);
    held_ = shared_from_this();
    AskMembers(
        OtherUrls(options_), options_.join_timeout_nanos, true, [this](StatusOr<RemoteCluster> remote) {
          if (!remote.ok()) {
            return End(MakeStatus(remote.status().code(), "cannot fetch cluster info from peer urls: " +
                                                              std::string(Message(remote.status()))));
          }
          remote_ = *std::move(remote);
          ResolveNames();
        });
  }

  void CheckNew(std::function<void(Status)> done) {
    held_ = shared_from_this();
    const auto initial = cluster::InitialMembers(options_.initial_cluster, options_.cluster_token);
    if (!initial.ok()) {
      loop_->Post([this, done, status = initial.status()] { Finish([&] { done(status); }); });
      return;
    }
    uint64_t own_id = 0;
    for (const cluster::Member& member : *initial) {
      if (member.attributes.name == options_.name) own_id = member.id;
    }
    AskMembers(OtherUrls(options_), options_.new_cluster_timeout_nanos, false,
               [this, own_id, done](const StatusOr<RemoteCluster>& remote) {
                 Finish([&] { done(remote.ok() ? CheckUnknown(*remote, own_id) : absl::OkStatus()); });
               });
  }

 private:
  static Status CheckUnknown(const RemoteCluster& remote, uint64_t own_id) {
    for (const cluster::Member& member : remote.members) {
      if (member.id != own_id || member.attributes.client_urls.empty()) continue;
      return FailedPrecondition(
          "member " + cluster::IdText(own_id) +
          " has already been bootstrapped; to start it again keep its data directory, or "
          "remove the member and add it anew");
    }
    return absl::OkStatus();
  }

  // The first URL that gives a cluster.
  void AskMembers(std::vector<std::string> urls, int64_t timeout_nanos, bool warn,
                  std::function<void(StatusOr<RemoteCluster>)> done) {
    if (urls.empty()) {
      loop_->Post([done = std::move(done)] {
        done(Unavailable("could not retrieve cluster information from the given URLs"));
      });
      return;
    }
    const std::string url = urls.front();
    urls.erase(urls.begin());
    PeerClient::Options ask;
    ask.timeout_nanos = timeout_nanos;
    ask.dial_timeout_nanos = timeout_nanos;
    client_.Ask({url}, {.method = "GET", .path = "/members", .body = {}, .content_type = {}, .token = {}},
                ask,
                [this, urls = std::move(urls), timeout_nanos, warn, url,
                 done = std::move(done)](const StatusOr<HttpAnswer>& answer) mutable {
                  StatusOr<RemoteCluster> remote =
                      answer.ok() ? ParseMembersAnswer(*answer) : StatusOr<RemoteCluster>(answer.status());
                  if (remote.ok() || absl::IsNotFound(remote.status())) return done(std::move(remote));
                  if (warn) {
                    LOG_WARN("failed to get cluster response", {"address", url + "/members"},
                             {"error", Message(remote.status())});
                  }
                  AskMembers(std::move(urls), timeout_nanos, warn, std::move(done));
                });
  }

  // All names in URLs of either side, so that the match itself needs no network.
  void ResolveNames() {
    std::vector<std::string> urls;
    for (const auto& [name, own] : options_.initial_cluster) urls.insert(urls.end(), own.begin(), own.end());
    for (const cluster::Member& member : remote_.members) {
      urls.insert(urls.end(), member.peer_urls.begin(), member.peer_urls.end());
    }
    waiting_ = 1;
    for (const std::string& url : urls) {
      const auto endpoint = ParseEndpoint(url);
      if (!endpoint.ok() || !endpoint->unix_path.empty() || addresses_.contains(endpoint->authority))
        continue;
      addresses_.emplace(endpoint->authority, Unavailable("not resolved"));
      ++waiting_;
      http_.resolver().Resolve(
          endpoint->host, endpoint->port,
          [weak = weak_from_this(),
           authority = endpoint->authority](const StatusOr<std::vector<SocketAddress>>& found) {
            const auto self = weak.lock();
            if (self == nullptr) return;
            self->addresses_.insert_or_assign(
                authority, found.ok() ? StatusOr<std::string>(AddressText(Preferred(*found)))
                                      : StatusOr<std::string>(found.status()));
            self->OneResolved();
          });
    }
    OneResolved();
  }

  void OneResolved() {
    if (--waiting_ > 0) return;
    const cluster::Resolver resolve = [this](std::string_view host_port) -> StatusOr<std::string> {
      const auto it = addresses_.find(std::string(host_port));
      return it == addresses_.end() ? StatusOr<std::string>(NotFound("unknown host")) : it->second;
    };
    auto members = cluster::AssignIds(options_.initial_cluster, remote_.members, resolve);
    if (!members.ok()) {
      return End(MakeStatus(members.status().code(),
                            "error validating peerURLs: " + std::string(Message(members.status()))));
    }
    for (cluster::Member& member : *members) {
      for (const cluster::Member& known : remote_.members) {
        if (known.id != member.id) continue;
        member.is_learner = known.is_learner;
        // Tells whether it was started before.
        member.attributes.client_urls = known.attributes.client_urls;
      }
    }
    remote_.members = *std::move(members);
    AskVersions();
  }

  void AskVersions() {
    waiting_ = 1;
    for (const cluster::Member& member : remote_.members) {
      if (member.attributes.name == options_.name) continue;
      ++waiting_;
      PeerClient::Options ask;
      ask.timeout_nanos = options_.join_timeout_nanos;
      client_.Ask(member.peer_urls,
                  {.method = "GET", .path = "/version", .body = {}, .content_type = {}, .token = {}}, ask,
                  [this, id = member.id](const StatusOr<HttpAnswer>& answer) {
                    OnVersion(id, answer);
                    OneVersion();
                  });
    }
    OneVersion();
  }

  void OnVersion(uint64_t id, const StatusOr<HttpAnswer>& answer) {
    if (!answer.ok()) {
      LOG_WARN("failed to get version", log::HexId("remote-member-id", id),
               {"error", Message(answer.status())});
      return;
    }
    const nlohmann::json json = nlohmann::json::parse(answer->body, nullptr, false);
    const bool named = json.is_object() && json.contains("etcdcluster") && json["etcdcluster"].is_string();
    const std::string text = named ? json["etcdcluster"].get<std::string>() : "";
    const auto version = cluster::ParseVersion(text);
    if (!version.ok()) {
      LOG_WARN("failed to parse cluster version of remote member", log::HexId("remote-member-id", id),
               {"remote-member-cluster-version", text});
      return;
    }
    const cluster::Version oldest = *cluster::ParseVersion(kMinClusterVersionText);
    const bool low = *version < oldest;
    if (!low && *version <= cluster::ClusterVersion(options_.newest)) {
      compatible_ = true;
      return;
    }
    LOG_WARN(low ? "cluster version of remote member is not compatible; too low"
                 : "cluster version of remote member is not compatible; too high",
             log::HexId("remote-member-id", id), {"remote-member-cluster-version", text},
             {"minimum-cluster-version-supported", kMinClusterVersionText});
    incompatible_ = true;
  }

  void OneVersion() {
    if (--waiting_ > 0) return;
    if (!compatible_ || incompatible_)
      return End(FailedPrecondition("incompatible with current running cluster"));
    End(std::move(remote_));
  }

  void End(StatusOr<RemoteCluster> result) {
    Finish([&] { joined_(std::move(result)); });
  }

  template <typename F>
  void Finish(F tell) {
    // Dropped in a later round: this may be within a callback of what it owns.
    loop_->Post([held = std::exchange(held_, nullptr)] {});
    tell();
  }

  net::Loop* const loop_;
  const BootstrapOptions options_;
  HttpClient http_;
  PeerClient client_;
  std::shared_ptr<Conversation> held_;
  std::function<void(StatusOr<RemoteCluster>)> joined_;
  RemoteCluster remote_;
  std::map<std::string, StatusOr<std::string>> addresses_;  // By "host:port".
  int waiting_ = 0;
  bool compatible_ = false;
  bool incompatible_ = false;
};

}  // namespace

void JoinExisting(net::Loop* loop, BootstrapOptions options,
                  std::function<void(StatusOr<RemoteCluster>)> done) {
  std::make_shared<Conversation>(loop, std::move(options))->Join(std::move(done));
}

void CheckNotBootstrapped(net::Loop* loop, BootstrapOptions options, std::function<void(Status)> done) {
  std::make_shared<Conversation>(loop, std::move(options))->CheckNew(std::move(done));
}

}  // namespace quorate::peer
