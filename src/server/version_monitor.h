// Which version the cluster runs at: the leader's regular look at all members, the steps up that an operator
// asks for, and the downgrade of etcd 3.6 and later. Facts: formats.md 6.6, 5.2; etcd
// server/etcdserver/version (monitor.go, version.go, downgrade.go).
//
// A member of ours reports the newest patch of the cluster version's own minor (cluster::ReportedVersion), so
// that no leader, etcd's included, raises the version by itself: it goes up by Raise only. A cluster without
// a version, or at 3.0 (what a leader sets while it can't reach every member), is brought to 3.4 or to
// Config::initial_cluster_version. In between, as long as nothing is to be decided, nobody is asked.
//
// Core thread only. Tick() is to be called with the member's.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "cluster/downgrade_info.h"
#include "cluster/version.h"
#include "server/peer_service.h"
#include "server/transport.h"

namespace quorate::server {

class Member;

// What one member says of itself: /version of any, and /quorate/version of ours.
struct MemberVersion {
  cluster::Version server;
  std::optional<cluster::Version> cluster;  // nullopt: "not_decided".
  // Only of ours: the newest cluster version that its program can be a member of.
  std::optional<cluster::Version> newest_cluster;
  // Only of ours: every v2-style entry lies behind its newest snapshot.
  bool v2_entries_covered = true;
};
// nullopt: could not be reached, or gave no such answer.
using MemberVersions = std::map<uint64_t, std::optional<MemberVersion>>;

// The bodies of the two answers. ParseVersions leaves the fields of ours alone.
std::string VersionsJson(const std::optional<cluster::Version>& cluster,
                         const std::optional<cluster::Version>& storage);
StatusOr<MemberVersion> ParseVersions(std::string_view json);
std::string OwnVersionJson(bool v2_entries_covered);
Status ParseOwnVersion(std::string_view json, MemberVersion* out);

// What the leader proposes now as the cluster's version; nullopt: nothing. `initial`: what a cluster without
// a version, or at 3.0, starts at.
std::optional<cluster::Version> DecideClusterVersion(const std::optional<cluster::Version>& present,
                                                     const cluster::DowngradeInfo& downgrade,
                                                     const MemberVersions& members, cluster::Version initial);

// OK when the cluster may go from `present` to `target`; else FailedPrecondition with all the reasons.
Status CheckRaise(const std::optional<cluster::Version>& present, cluster::Version target,
                  const cluster::DowngradeInfo& downgrade, const MemberVersions& members);

// "3.5" or "3.5.2" to 3.5.0; InvalidArgument "etcdserver: wrong downgrade target version format".
StatusOr<cluster::Version> ParseDowngradeTarget(std::string_view text);
// The original's errors, and InvalidArgument below 3.6: no version under 3.5 knows how to be gone back to.
Status CheckDowngrade(const std::optional<cluster::Version>& present, cluster::Version target,
                      const cluster::DowngradeInfo& downgrade);

class VersionMonitor {
 public:
  using Done = std::function<void(const Status&)>;
  using VersionsDone = std::function<void(const MemberVersions&)>;

  // Adds its paths to `service`: GET /quorate/version, POST /quorate/snapshot.
  VersionMonitor(Member* member, PeerService* service);
  ~VersionMonitor();
  VersionMonitor(const VersionMonitor&) = delete;
  VersionMonitor& operator=(const VersionMonitor&) = delete;

  void Tick();

  // Asks every member, at most for a request's time.
  void AskMembers(VersionsDone done);
  // One minor up, if CheckRaise allows it; any member may be asked. `dry_run`: only the check. Members that
  // have v2-style entries behind their newest snapshot are told to make one first, and are waited for.
  void Raise(cluster::Version target, bool dry_run, Done done);

  // The Downgrade RPC. Linearizable; the original's errors.
  void ValidateDowngrade(cluster::Version target, Done done);
  void EnableDowngrade(cluster::Version target, Done done);
  void CancelDowngrade(Done done);

 private:
  struct Asked;
  struct RaiseJob {
    cluster::Version target;
    Done done;
    int64_t deadline_nanos = 0;
    bool asking = false;
    bool snapshots_wanted = false;
  };

  void Serve(PeerService* service);
  void AskMember(uint64_t id, const std::shared_ptr<Asked>& asked);
  void AskOwnFields(uint64_t id, const MemberVersion& version, const std::shared_ptr<Asked>& asked);
  MemberVersion OwnVersion() const;
  void DecideRound();
  void Decide(const MemberVersions& members);
  void StepRaise();
  void OnRaiseAnswers(MemberVersions members);
  void EndRaise(const Status& status);
  void AskForSnapshots(const MemberVersions& members);
  void ProposeVersion(cluster::Version version, Done done);
  void ProposeDowngrade(const cluster::DowngradeInfo& info, Done done);

  Member& member_;
  int64_t next_round_nanos_ = 0;
  uint64_t round_term_ = 0;  // Of the last first round of a term.
  bool round_under_way_ = false;
  std::unique_ptr<RaiseJob> raise_;
  std::shared_ptr<char> alive_ = std::make_shared<char>();
};

}  // namespace quorate::server
