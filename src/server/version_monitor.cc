#include "server/version_monitor.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/logging.h"
#include "cluster/entry_table.h"
#include "cluster/v2_request.h"
#include "raft_internal.pb.h"
#include "server/errors.h"
#include "server/member.h"

namespace quorate::server {
namespace {

constexpr int64_t kRoundNanos = 4'000'000'000;       // etcd: monitorVersionInterval
constexpr int64_t kSnapshotsNanos = 60'000'000'000;  // For all members to make one, before a raise.
constexpr cluster::Version kUndecided{3, 0, 0};      // etcd: MinClusterVersion
constexpr std::string_view kVersionPath = "/version";
constexpr std::string_view kOwnVersionPath = "/quorate/version";
constexpr std::string_view kSnapshotPath = "/quorate/snapshot";

// The highest cluster version that the member can take part in.
cluster::Version Supported(const MemberVersion& member) {
  return cluster::ClusterVersion(member.newest_cluster.value_or(member.server));
}

bool AllAnswered(const MemberVersions& members) {
  return std::all_of(members.begin(), members.end(), [](const auto& m) { return m.second.has_value(); });
}

bool OneMinorDown(cluster::Version from, cluster::Version to) {
  return from.major == to.major && from.minor == to.minor + 1;
}

std::string Name(uint64_t id) { return "member " + cluster::IdText(id); }

StatusOr<nlohmann::json> ParseObject(std::string_view text) {
  auto json = nlohmann::json::parse(text.begin(), text.end(), nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) return InvalidArgument("not the JSON of a version");
  return json;
}

}  // namespace

// ---- what members say ----

std::string VersionsJson(const std::optional<cluster::Version>& cluster,
                         const std::optional<cluster::Version>& storage) {
  const cluster::Version reported = cluster::ReportedVersion(cluster);
  std::string json = R"({"etcdserver":")" + cluster::VersionText(reported) + R"(","etcdcluster":")" +
                     (cluster ? cluster::VersionText(*cluster) : "not_decided") + '"';
  // The field came with 3.6.
  if (reported >= cluster::kVersion36) {
    json += R"(,"storage":")" + (storage ? cluster::VersionText(*storage) : "unknown") + '"';
  }
  return json + '}';
}

StatusOr<MemberVersion> ParseVersions(std::string_view text) {
  QUORATE_ASSIGN_OR_RETURN(const auto json, ParseObject(text));
  const auto server = json.find("etcdserver");
  if (server == json.end() || !server->is_string()) return InvalidArgument("a version without etcdserver");
  MemberVersion out;
  QUORATE_ASSIGN_OR_RETURN(out.server, cluster::ParseVersion(server->get<std::string>()));
  const auto in_cluster = json.find("etcdcluster");
  if (in_cluster == json.end() || !in_cluster->is_string()) return out;
  if (const auto version = cluster::ParseVersion(in_cluster->get<std::string>()); version.ok()) {
    out.cluster = *version;
  }
  return out;
}

std::string OwnVersionJson(bool v2_entries_covered) {
  return R"({"newest-cluster-version":")" + cluster::VersionText(cluster::kNewestClusterVersion) +
         R"(","v2-entries-covered":)" + (v2_entries_covered ? "true}" : "false}");
}

Status ParseOwnVersion(std::string_view text, MemberVersion* out) {
  QUORATE_ASSIGN_OR_RETURN(const auto json, ParseObject(text));
  const auto newest = json.find("newest-cluster-version");
  const auto covered = json.find("v2-entries-covered");
  if (newest == json.end() || !newest->is_string() || covered == json.end() || !covered->is_boolean()) {
    return InvalidArgument("not the JSON of a version of our own");
  }
  QUORATE_ASSIGN_OR_RETURN(out->newest_cluster, cluster::ParseVersion(newest->get<std::string>()));
  out->v2_entries_covered = covered->get<bool>();
  return absl::OkStatus();
}

// ---- rules ----

std::optional<cluster::Version> DecideClusterVersion(const std::optional<cluster::Version>& present,
                                                     const cluster::DowngradeInfo& downgrade,
                                                     const MemberVersions& members,
                                                     cluster::Version initial) {
  const bool all = AllAnswered(members) && !members.empty();
  if (!all) return present ? std::nullopt : std::optional(kUndecided);
  if (present && downgrade.enabled) {
    const auto lowest = std::min_element(members.begin(), members.end(), [](const auto& a, const auto& b) {
      return a.second->server < b.second->server;
    });
    if (downgrade.target == *present || !OneMinorDown(*present, downgrade.target) ||
        !OneMinorDown(lowest->second->server, downgrade.target)) {
      return std::nullopt;
    }
    return downgrade.target;
  }
  if (present && *present >= cluster::kVersion34) return std::nullopt;
  cluster::Version target = cluster::ClusterVersion(initial);
  for (const auto& [id, member] : members) target = std::min(target, Supported(*member));
  return target > present.value_or(cluster::Version{}) ? std::optional(target) : std::nullopt;
}

Status CheckRaise(const std::optional<cluster::Version>& present, cluster::Version target,
                  const cluster::DowngradeInfo& downgrade, const MemberVersions& members) {
  const std::string wanted = cluster::MinorText(target);
  if (!present || *present < cluster::kVersion34) {
    return FailedPrecondition(
        "the cluster has no version of its own yet: it gets one when its leader has "
        "reached every member");
  }
  if (cluster::ClusterVersion(target) == cluster::ClusterVersion(*present)) {
    return FailedPrecondition("the cluster is at version " + wanted + " already");
  }
  if (!OneMinorDown(target, *present)) {
    return FailedPrecondition("the cluster is at version " + cluster::MinorText(*present) +
                              " and is raised one minor at a time: the next is " +
                              cluster::MinorText({present->major, present->minor + 1, 0}));
  }
  std::string reasons;
  const auto add = [&reasons](const std::string& reason) {
    reasons += (reasons.empty() ? "" : "; ") + reason;
  };
  if (downgrade.enabled) {
    add("a downgrade to " + cluster::MinorText(downgrade.target) +
        " is under way: wait for its end, or cancel it (downgrade cancel)");
  }
  for (const auto& [id, member] : members) {
    if (!member) {
      add(Name(id) + " can't be reached");
    } else if (Supported(*member) < cluster::ClusterVersion(target)) {
      add(Name(id) + (member->newest_cluster ? " knows cluster versions up to " : " runs etcd ") +
          (member->newest_cluster ? cluster::MinorText(*member->newest_cluster)
                                  : cluster::VersionText(member->server)) +
          ": put a release there that supports " + wanted);
    } else if (!member->v2_entries_covered) {
      add(Name(id) + " has v2-style log entries behind its newest snapshot");
    }
  }
  if (reasons.empty()) return absl::OkStatus();
  return FailedPrecondition("the cluster version can't be raised to " + wanted + ": " + reasons);
}

StatusOr<cluster::Version> ParseDowngradeTarget(std::string_view text) {
  auto version = cluster::ParseVersion(text);
  if (!version.ok()) version = cluster::ParseVersion(std::string(text) + ".0");
  if (!version.ok()) return ErrWrongDowngradeVersionFormat();
  return cluster::ClusterVersion(*version);
}

Status CheckDowngrade(const std::optional<cluster::Version>& present, cluster::Version target,
                      const cluster::DowngradeInfo& downgrade) {
  if (!present) return ErrClusterVersionUnavailable();
  if (*present < cluster::kVersion36 || !OneMinorDown(*present, target)) return ErrInvalidDowngradeTarget();
  return downgrade.enabled ? ErrDowngradeInProcess() : absl::OkStatus();
}

// ---- asking ----

struct VersionMonitor::Asked {
  MemberVersions answers;
  size_t missing = 0;
  VersionsDone done;

  void Put(uint64_t id, std::optional<MemberVersion> version) {
    answers[id] = std::move(version);
    if (--missing == 0) done(answers);
  }
};

VersionMonitor::VersionMonitor(Member* member, PeerService* service) : member_(*member) { Serve(service); }
VersionMonitor::~VersionMonitor() = default;

void VersionMonitor::Serve(PeerService* service) {
  const auto alive = std::weak_ptr(alive_);
  service->Add(std::string(kOwnVersionPath),
               [this, alive](const PeerCall& call, const PeerService::Reply& reply) {
                 if (alive.expired() || call.method != "GET")
                   return reply(ErrorAnswer(405, "Method Not Allowed"));
                 reply({200, OwnVersionJson(member_.v2_entries_covered()), "application/json"});
               });
  service->Add(std::string(kSnapshotPath),
               [this, alive](const PeerCall& call, const PeerService::Reply& reply) {
                 if (alive.expired() || call.method != "POST")
                   return reply(ErrorAnswer(405, "Method Not Allowed"));
                 member_.MakeSnapshot();
                 reply({204, {}, {}});
               });
}

MemberVersion VersionMonitor::OwnVersion() const {
  const auto& present = member_.membership().version();
  return {cluster::ReportedVersion(present), present, cluster::kNewestClusterVersion,
          member_.v2_entries_covered()};
}

void VersionMonitor::AskMembers(VersionsDone done) {
  const auto asked = std::make_shared<Asked>();
  asked->done = std::move(done);
  std::vector<uint64_t> ids;
  for (const auto& [id, member] : member_.membership().members()) ids.push_back(id);
  asked->missing = ids.size();
  if (ids.empty()) return asked->done({});
  for (const uint64_t id : ids) {
    if (id == member_.id()) {
      asked->Put(id, OwnVersion());
    } else if (member_.transport() == nullptr) {
      asked->Put(id, std::nullopt);
    } else {
      AskMember(id, asked);
    }
  }
}

void VersionMonitor::AskMember(uint64_t id, const std::shared_ptr<Asked>& asked) {
  PeerCall call;
  call.path = kVersionPath;
  member_.transport()->Call(
      id, std::move(call), member_.config().request_timeout_nanos(),
      [this, id, asked, alive = std::weak_ptr(alive_)](const StatusOr<PeerAnswer>& answer) {
        if (alive.expired()) return;
        if (answer.ok() && answer->status == 200) {
          if (const auto version = ParseVersions(answer->body); version.ok()) {
            return AskOwnFields(id, *version, asked);
          }
        }
        LOG_WARN("failed to get version", log::HexId("remote-member-id", id),
                 {"error", answer.ok() ? "status " + std::to_string(answer->status)
                                       : std::string(Message(answer.status()))});
        asked->Put(id, std::nullopt);
      });
}

// An etcd answers 404.
void VersionMonitor::AskOwnFields(uint64_t id, const MemberVersion& version,
                                  const std::shared_ptr<Asked>& asked) {
  PeerCall call;
  call.path = kOwnVersionPath;
  member_.transport()->Call(
      id, std::move(call), member_.config().request_timeout_nanos(),
      [id, version, asked, alive = std::weak_ptr(alive_)](const StatusOr<PeerAnswer>& answer) {
        if (alive.expired()) return;
        MemberVersion whole = version;
        if (!answer.ok()) return asked->Put(id, std::nullopt);
        if (answer->status == 200 && !ParseOwnVersion(answer->body, &whole).ok()) {
          return asked->Put(id, std::nullopt);
        }
        asked->Put(id, whole);
      });
}

// ---- the leader's rounds ----

void VersionMonitor::Tick() {
  DecideRound();
  if (raise_ != nullptr && !raise_->asking) StepRaise();
}

// At the first commit of a term (only then the lessor is promoted), and every 4 seconds.
void VersionMonitor::DecideRound() {
  if (!member_.is_leader() || !member_.lessor().primary() || round_under_way_) return;
  if (round_term_ == member_.term() && member_.now() < next_round_nanos_) return;
  round_term_ = member_.term();
  next_round_nanos_ = member_.now() + kRoundNanos;
  const cluster::Membership& membership = member_.membership();
  const bool decided = membership.version() && *membership.version() >= cluster::kVersion34;
  if (decided && !membership.downgrade().enabled) return;
  // One that is alone sets its version as it publishes its name (Member::Publish).
  if (!membership.version() && membership.members().size() <= 1) return;
  round_under_way_ = true;
  AskMembers([this](const MemberVersions& members) {
    round_under_way_ = false;
    if (member_.is_leader()) Decide(members);
  });
}

void VersionMonitor::Decide(const MemberVersions& members) {
  const cluster::Membership& membership = member_.membership();
  const cluster::DowngradeInfo& downgrade = membership.downgrade();
  const auto decided = DecideClusterVersion(membership.version(), downgrade, members,
                                            member_.config().initial_cluster_version);
  const auto log_failure = [](const Status& status) {
    if (!status.ok()) LOG_WARN("failed to update cluster version", {"error", Message(status)});
  };
  if (decided) {
    round_under_way_ = true;  // Until it is applied: else the next round would propose it again.
    return ProposeVersion(*decided, [this, log_failure](const Status& status) {
      round_under_way_ = false;
      log_failure(status);
    });
  }
  if (!downgrade.enabled || !AllAnswered(members)) return;
  const bool done = std::all_of(members.begin(), members.end(), [&](const auto& member) {
    return cluster::ClusterVersion(member.second->server) == downgrade.target;
  });
  if (!done) return;
  LOG_INFO("the cluster has been downgraded", {"cluster-version", cluster::VersionText(downgrade.target)});
  ProposeDowngrade({}, log_failure);
}

void VersionMonitor::ProposeVersion(cluster::Version version, Done done) {
  const auto& present = member_.membership().version();
  const cluster::EntryRule* const rule = cluster::FindEntryRule("cluster_version_set");
  const bool v3 = cluster::MayWrite(*rule, present);
  const std::string_view api = v3 ? "v3 API" : "v2 API";
  if (present) {
    LOG_INFO("updating cluster version using " + std::string(api), {"from", cluster::MinorText(*present)},
             {"to", cluster::MinorText(version)});
  } else {
    LOG_INFO("setting up initial cluster version using " + std::string(api),
             {"cluster-version", cluster::MinorText(version)});
  }
  const Reply reply = [alive = std::weak_ptr(alive_), done = std::move(done)](const Status& status,
                                                                              std::string_view) {
    if (!alive.expired()) done(status);
  };
  if (!v3) {
    return member_.ProposeV2(cluster::SetClusterVersionRequest(member_.NextRequestId(), version), reply);
  }
  etcdserverpb::ClusterVersionSetRequest request;
  request.set_ver(cluster::VersionText(version));
  member_.Propose(EntryKind::kClusterVersionSet, request.SerializeAsString(), {}, reply);
}

// ---- up, when asked ----

void VersionMonitor::Raise(cluster::Version target, bool dry_run, Done done) {
  target = cluster::ClusterVersion(target);
  if (raise_ != nullptr && !dry_run) return done(FailedPrecondition("another raise is under way"));
  member_.WhenLinearizable([this, target, dry_run, alive = std::weak_ptr(alive_),
                            done = std::move(done)](const Status& status) {
    if (!status.ok() || alive.expired()) return done(status.ok() ? ErrStopped() : status);
    if (dry_run) {
      return AskMembers([this, target, done](MemberVersions members) {
        // Those that lack a snapshot would be told to make one.
        for (auto& [id, member] : members) {
          if (member) member->v2_entries_covered = true;
        }
        done(CheckRaise(member_.membership().version(), target, member_.membership().downgrade(), members));
      });
    }
    if (raise_ != nullptr) return done(FailedPrecondition("another raise is under way"));
    raise_ = std::make_unique<RaiseJob>();
    raise_->target = target;
    raise_->done = done;
    raise_->deadline_nanos = member_.now() + kSnapshotsNanos;
    StepRaise();
  });
}

void VersionMonitor::StepRaise() {
  raise_->asking = true;
  AskMembers([this](const MemberVersions& members) {
    if (raise_ == nullptr) return;
    raise_->asking = false;
    OnRaiseAnswers(members);
  });
}

void VersionMonitor::OnRaiseAnswers(MemberVersions members) {
  const auto& version = member_.membership().version();
  const cluster::DowngradeInfo& downgrade = member_.membership().downgrade();
  MemberVersions covered = members;
  for (auto& [id, member] : covered) {
    if (member) member->v2_entries_covered = true;
  }
  if (const Status bad = CheckRaise(version, raise_->target, downgrade, covered); !bad.ok()) {
    return EndRaise(bad);
  }
  const Status uncovered = CheckRaise(version, raise_->target, downgrade, members);
  if (uncovered.ok()) {
    raise_->asking = true;  // Nothing more to be done with ticks.
    return ProposeVersion(raise_->target, [this](const Status& status) { EndRaise(status); });
  }
  if (member_.now() >= raise_->deadline_nanos) return EndRaise(uncovered);
  if (!std::exchange(raise_->snapshots_wanted, true)) AskForSnapshots(members);
}

void VersionMonitor::EndRaise(const Status& status) {
  const auto job = std::move(raise_);
  if (job != nullptr) job->done(status);
}

void VersionMonitor::AskForSnapshots(const MemberVersions& members) {
  for (const auto& [id, member] : members) {
    if (!member || member->v2_entries_covered) continue;
    if (id == member_.id()) {
      member_.MakeSnapshot();
      continue;
    }
    PeerCall call;
    call.method = "POST";
    call.path = kSnapshotPath;
    member_.transport()->Call(id, std::move(call), member_.config().request_timeout_nanos(),
                              [id = id](const StatusOr<PeerAnswer>& answer) {
                                if (answer.ok()) return;
                                LOG_WARN("failed to ask a member for a snapshot",
                                         log::HexId("remote-member-id", id),
                                         {"error", Message(answer.status())});
                              });
  }
}

// ---- down ----

void VersionMonitor::ValidateDowngrade(cluster::Version target, Done done) {
  if (!member_.membership().version()) return done(ErrClusterVersionUnavailable());
  member_.WhenLinearizable(
      [this, target, alive = std::weak_ptr(alive_), done = std::move(done)](const Status& status) {
        if (!status.ok() || alive.expired()) return done(status.ok() ? ErrStopped() : status);
        done(CheckDowngrade(member_.membership().version(), target, member_.membership().downgrade()));
      });
}

void VersionMonitor::EnableDowngrade(cluster::Version target, Done done) {
  ValidateDowngrade(target, [this, target, done = std::move(done)](const Status& status) {
    if (!status.ok()) return done(status);
    ProposeDowngrade({true, target}, done);
  });
}

void VersionMonitor::CancelDowngrade(Done done) {
  member_.WhenLinearizable(
      [this, alive = std::weak_ptr(alive_), done = std::move(done)](const Status& status) {
        if (!status.ok() || alive.expired()) return done(status.ok() ? ErrStopped() : status);
        if (!member_.membership().downgrade().enabled) return done(ErrNoInflightDowngrade());
        ProposeDowngrade({}, done);
      });
}

void VersionMonitor::ProposeDowngrade(const cluster::DowngradeInfo& info, Done done) {
  etcdserverpb::DowngradeInfoSetRequest request;
  request.set_enabled(info.enabled);
  if (info.enabled) request.set_ver(cluster::VersionText(info.target));
  member_.Propose(
      EntryKind::kDowngradeInfoSet, request.SerializeAsString(), {},
      [alive = std::weak_ptr(alive_), done = std::move(done)](const Status& status, std::string_view) {
        if (!alive.expired()) done(status);
      });
}

}  // namespace quorate::server
