#include "cluster/discovery.h"

#include <algorithm>
#include <charconv>
#include <set>

#include "base/logging.h"
#include "cluster/urls.h"

namespace quorate::cluster {
namespace {

constexpr int kDoublingsMax = 8;
constexpr int64_t kSecondNanos = 1'000'000'000;

std::string_view Trimmed(std::string_view text) {
  constexpr std::string_view kSpace = " \t\r\n\v\f";
  const size_t begin = text.find_first_not_of(kSpace);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kSpace) + 1 - begin);
}

// One more attempt can't help.
bool IsRefusal(const Status& status) {
  return absl::IsPermissionDenied(status) || absl::IsUnauthenticated(status) ||
         absl::IsInvalidArgument(status);
}

class Join {
 public:
  Join(const DiscoveryOptions& options, DiscoveryService* service)
      : options_(options),
        service_(*service),
        prefix_("/_etcd/registry/" + options.token),
        own_key_(MembersPrefix() + IdText(options.member_id)) {}

  StatusOr<std::string> Run() {
    QUORATE_RETURN_IF_ERROR(Look());
    QUORATE_RETURN_IF_ERROR(Register());
    QUORATE_RETURN_IF_ERROR(Look());
    while (members_.size() < size_) {
      LOG_INFO("waiting for peers from discovery service", {"clusterSize", uint64_t{size_}},
               {"found-peers", uint64_t{members_.size()}});
      const Status changed = service_.AwaitChange(MembersPrefix(), revision_ + 1);
      if (!changed.ok()) QUORATE_RETURN_IF_ERROR(PauseAfter(changed, "watch for peers"));
      QUORATE_RETURN_IF_ERROR(Look());
    }
    LOG_INFO("found all needed peers from discovery service", {"clusterSize", uint64_t{size_}},
             {"found-peers", uint64_t{members_.size()}});
    return ClusterText();
  }

 private:
  std::string MembersPrefix() const { return prefix_ + "/members/"; }
  std::string SizeKey() const { return prefix_ + "/_config/size"; }
  Status Failed(const std::string& what) const {
    return FailedPrecondition("discovery: " + what + " (--discovery-token " + options_.token + ")");
  }

  // Until it works, is refused, or the process ends.
  template <typename Call>
  auto Try(const char* step, Call call) -> decltype(call()) {
    while (true) {
      auto result = call();
      const Status status = StatusOf(result);
      if (status.ok() || absl::IsAlreadyExists(status) || IsRefusal(status)) {
        if (status.ok()) attempts_ = 0;
        return result;
      }
      QUORATE_RETURN_IF_ERROR(PauseAfter(status, step));
    }
  }
  static Status StatusOf(const Status& status) { return status; }
  static Status StatusOf(const StatusOr<DiscoveryRows>& rows) { return rows.status(); }

  Status PauseAfter(const Status& status, const char* step) {
    if (IsRefusal(status)) return status;
    const int64_t nanos = DiscoveryPauseNanos(++attempts_);
    LOG_WARN("retry connecting to discovery service", {"reason", step}, {"error", Message(status)},
             log::Duration("backoff", nanos));
    if (!service_.Pause(nanos)) return Unavailable("discovery: stopped");
    return absl::OkStatus();
  }

  // Reads the size and the members, and checks that there is a place for us.
  Status Look() {
    QUORATE_ASSIGN_OR_RETURN(const auto size,
                             Try("cluster status check", [this] { return service_.Read(SizeKey(), false); }));
    QUORATE_RETURN_IF_ERROR(ParseSize(size));
    QUORATE_ASSIGN_OR_RETURN(
        auto found, Try("cluster status check", [this] { return service_.Read(MembersPrefix(), true); }));
    revision_ = found.revision;
    Take(std::move(found.rows));
    const auto end = members_.begin() + static_cast<ptrdiff_t>(std::min(members_.size(), size_));
    const bool has_place =
        std::any_of(members_.begin(), end, [this](const DiscoveryRow& row) { return row.key == own_key_; });
    if (has_place || members_.size() < size_) return absl::OkStatus();
    return Failed("cluster is full: its " + std::to_string(size_) +
                  " members have registered before this one; use a new token for a new cluster, or \"member "
                  "add\" and --initial-cluster to join this one");
  }

  Status ParseSize(const DiscoveryRows& found) {
    if (found.rows.empty()) {
      return Failed("size key not found: put the number of members at " + SizeKey() +
                    " in the discovery service first, and look whether the token is the right one");
    }
    const std::string& text = found.rows[0].value;
    uint32_t size = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), size);
    if (error != std::errc() || end != text.data() + text.size() || size == 0) {
      return Failed("size key is bad: " + SizeKey() + " holds " + log::JsonString(text) +
                    ", no number of members");
    }
    size_ = size;
    return absl::OkStatus();
  }

  void Take(std::vector<DiscoveryRow> rows) {
    members_.clear();
    for (DiscoveryRow& row : rows) {
      row.value = Trimmed(row.value);
      const bool usable = row.value.find('=') != std::string::npos;
      if (usable) members_.push_back(row);
      if (!seen_.insert(row.key).second) continue;
      if (usable) {
        LOG_INFO("found peer from discovery service", {"memberKey", row.key}, {"memberInfo", row.value});
      } else {
        LOG_WARN("invalid peer info returned from discovery service", {"memberKey", row.key},
                 {"memberInfo", row.value});
      }
    }
    std::sort(members_.begin(), members_.end(), [](const DiscoveryRow& a, const DiscoveryRow& b) {
      return a.create_revision < b.create_revision;
    });
  }

  // The key is made, never written over: what another member has once read of us must not change, since the
  // first entries of the log are made from it on each member by itself.
  Status Register() {
    const Status made =
        Try("register member itself", [this] { return service_.Create(own_key_, options_.own); });
    if (absl::IsAlreadyExists(made)) return CheckRegistration();
    QUORATE_RETURN_IF_ERROR(made);
    LOG_INFO("register member itself successfully", {"memberKey", own_key_}, {"memberInfo", options_.own});
    return absl::OkStatus();
  }

  // A start before this one has registered us, or an attempt whose answer was lost; or there are two of us.
  Status CheckRegistration() {
    QUORATE_ASSIGN_OR_RETURN(
        const auto found, Try("register member itself", [this] { return service_.Read(own_key_, false); }));
    if (found.rows.empty()) return Register();
    const std::string_view registered = Trimmed(found.rows[0].value);
    if (registered == options_.own) {
      LOG_INFO("this member is registered already", {"memberKey", own_key_}, {"memberInfo", registered});
      return absl::OkStatus();
    }
    return Failed(
        "found duplicate peer from discovery service: " + own_key_ + " is registered as " +
        std::string(registered) + ", and this member is " + options_.own +
        "; give it other --initial-advertise-peer-urls, or delete the key if its owner never started");
  }

  StatusOr<std::string> ClusterText() const {
    std::string text;
    for (size_t i = 0; i < size_; ++i) text += (text.empty() ? "" : ",") + members_[i].value;
    const auto parsed = ParseInitialCluster(text);
    if (!parsed.ok()) {
      return Failed("invalid peer URL: " + text + ": " + std::string(Message(parsed.status())));
    }
    std::set<std::string> urls;
    for (const auto& [name, own] : *parsed) {
      for (const std::string& url : own) {
        if (!urls.insert(url).second) {
          return Failed("discovery cluster " + text + " has duplicate url " + url);
        }
      }
    }
    if (parsed->size() != size_) {
      return Failed("found duplicate peer from discovery service: two members have one name in " + text);
    }
    return text;
  }

  const DiscoveryOptions& options_;
  DiscoveryService& service_;
  const std::string prefix_;
  const std::string own_key_;
  int attempts_ = 0;  // That have failed in a row.
  size_t size_ = 0;
  std::vector<DiscoveryRow> members_;  // Oldest first.
  std::set<std::string> seen_;         // Keys that have been logged.
  int64_t revision_ = 0;
};

}  // namespace

int64_t DiscoveryPauseNanos(int attempt) {
  return (int64_t{1} << std::clamp(attempt, 1, kDoublingsMax)) * kSecondNanos;
}

StatusOr<std::string> JoinByDiscovery(const DiscoveryOptions& options, DiscoveryService* service) {
  LOG_INFO("Bootstrapping cluster using v3 discovery.", {"discovery-token", options.token});
  auto cluster = Join(options, service).Run();
  if (cluster.ok()) {
    LOG_INFO("discovery joined cluster successfully", {"discovery-token", options.token},
             {"cluster", *cluster});
  } else {
    LOG_ERROR("discovery failed to join cluster", {"discovery-token", options.token},
              {"error", Message(cluster.status())});
  }
  return cluster;
}

}  // namespace quorate::cluster
