// Who belongs to the cluster, who was removed from it, and at which version it runs. The v2 store
// (v2_store.h) is what is replayed, as in etcd 3.4: it is loaded from the .snap file, and every later entry
// is applied to it again, those too that the db already has. Each change also goes to the rows of the db
// (members, members_removed, cluster).
//
// Owner: the core's thread.
//
// Invariants
//   1. members() and removed() say the same as the v2 store. No ID is in both.
//   2. A removed ID never comes back.
//   3. The rows written through `rows` are what etcd would have written for the same entries.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "cluster/downgrade_info.h"
#include "cluster/member.h"
#include "cluster/v2_request.h"
#include "cluster/v2_store.h"
#include "cluster/version.h"
#include "mvcc/backend.h"
#include "raft/types.h"

namespace quorate::cluster {

// What a ConfChange did, for the server: transport, metrics, stopping oneself.
enum class ChangeKind { kAdded, kPromoted, kRemoved, kUpdated };
struct AppliedChange {
  ChangeKind kind;
  Member member;  // After the change; of a removed one, as it was.
};

class Membership {
 public:
  static constexpr int kLearnersMaxDefault = 1;

  // `rows` gets the db rows; null: none are written (inspection). Not owned.
  Membership(uint64_t local_id, uint64_t cluster_id, mvcc::Backend* rows)
      : local_id_(local_id), cluster_id_(cluster_id), rows_(rows) {}

  // --- start
  // ------------------------------------------------------------------------------------------------------
  // State from the data of a .snap file, our own at start or the leader's later. The rows are not written:
  // they come with the db. FailedPrecondition for a store with v2 user keys, and for a cluster version newer
  // than we know.
  Status LoadV2(std::string_view json);
  // State from the db rows alone (a db restored from a snapshot file, or whose .snap is gone); the v2 store
  // is made anew.
  Status LoadRows(const mvcc::Backend& backend);
  // After the db was replaced by a leader's: rows are written to this one from now on.
  void set_rows(mvcc::Backend* rows) { rows_ = rows; }
  // The data of the next .snap file.
  std::string V2Json() const { return store_.Json(); }

  // --- state
  // ------------------------------------------------------------------------------------------------------
  uint64_t local_id() const { return local_id_; }
  uint64_t cluster_id() const { return cluster_id_; }
  // Ascending by ID.
  const std::map<uint64_t, Member>& members() const { return members_; }
  const Member* Find(uint64_t id) const;
  // The local member; null before it was added and after it was removed.
  const Member* local() const { return Find(local_id_); }
  bool removed(uint64_t id) const { return removed_.contains(id); }
  const std::set<uint64_t>& removed_ids() const { return removed_; }
  // nullopt until the leader has set it for the first time.
  const std::optional<Version>& version() const { return version_; }
  const DowngradeInfo& downgrade() const { return downgrade_; }
  // All client URLs, ascending.
  std::vector<std::string> ClientUrls() const;

  // --- apply
  // ------------------------------------------------------------------------------------------------------
  // Whether the change may be applied; the same answer on every member. The error is the client's. A change
  // that can't be decoded or is of no known type gives DataLoss: the log is not one that etcd wrote.
  Status ValidateConfChange(const raft::ConfChange& change, int learners_max = kLearnersMaxDefault) const;
  // Only after ValidateConfChange said OK.
  AppliedChange ApplyConfChange(const raft::ConfChange& change);
  // What UpdateAttributes, SetVersion and ApplyV2 would answer; nothing changes.
  Status ValidateAttributesOf(uint64_t id) const;
  Status ValidateVersion(Version version) const;
  Status ValidateV2(const V2Request& request) const;
  // Of a removed member: ignored. FailedPrecondition when nobody knows the ID.
  Status UpdateAttributes(uint64_t id, Attributes attributes);
  // FailedPrecondition when it is newer than we know: this server must not go on. `on_version` is called on a
  // change.
  Status SetVersion(Version version);
  // Since 3.5.
  void SetDowngrade(const DowngradeInfo& info);
  // A v2-style entry. FailedPrecondition for v2 user data; then nothing has changed and the member must stop.
  Status ApplyV2(const V2Request& request);
  void set_version_observer(std::function<void(Version)> observer) { on_version_ = std::move(observer); }

  // --- checks before a proposal (--strict-reconfig-check)
  // ----------------------------------------------------------- Whether enough voters would be started after
  // the change. Source: membership.IsReadyTo*.
  bool ReadyToAddVoter() const;
  bool ReadyToRemoveVoter(uint64_t id) const;
  bool ReadyToPromote() const;

  // The configuration as raft has it after the members (joint ones never occur in etcd).
  raft::ConfState ConfState() const;

  // Asserts invariants 1 and 2.
  void CheckInvariants() const;

 private:
  Status LoadStore(V2Store store);
  Status LoadDowngrade();
  void WriteMember(const Member& member);

  const uint64_t local_id_;
  const uint64_t cluster_id_;
  mvcc::Backend* rows_;
  V2Store store_;
  std::map<uint64_t, Member> members_;
  std::set<uint64_t> removed_;
  std::optional<Version> version_;
  DowngradeInfo downgrade_;
  std::function<void(Version)> on_version_;
};

}  // namespace quorate::cluster
