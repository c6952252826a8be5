#include "cluster/membership.h"

#include <algorithm>
#include <set>
#include <utility>

#include "base/check.h"
#include "base/logging.h"
#include "cluster/membership_errors.h"

namespace quorate::cluster {
namespace {

using mvcc::Bucket;
using raft::ConfChangeType;

constexpr std::string_view kRemovedValue = "removed";
constexpr std::string_view kClusterVersionKey = "clusterVersion";
constexpr std::string_view kDowngradeKey = "downgrade";

Status TooNew(Version version) {
  return FailedPrecondition("the cluster version is " + MinorText(version) +
                            ", and this server knows versions up to " + MinorText(kNewestClusterVersion) +
                            ": run a newer release on this member");
}

int Quorum(int members) { return members / 2 + 1; }

}  // namespace

Status Membership::LoadV2(std::string_view json) {
  QUORATE_ASSIGN_OR_RETURN(V2Store store, V2Store::Parse(json));
  return LoadStore(std::move(store));
}

Status Membership::LoadStore(V2Store store) {
  QUORATE_ASSIGN_OR_RETURN(const std::vector<Member> members, store.Members());
  QUORATE_ASSIGN_OR_RETURN(const std::vector<uint64_t> removed, store.RemovedIds());
  QUORATE_ASSIGN_OR_RETURN(const std::optional<Version> version, store.ClusterVersion());
  if (version && ClusterVersion(*version) > kNewestClusterVersion) return TooNew(*version);
  std::map<uint64_t, Member> by_id;
  for (const Member& member : members) by_id.emplace(member.id, member);
  std::set<uint64_t> gone(removed.begin(), removed.end());
  for (const uint64_t id : gone) {
    if (by_id.contains(id))
      return DataLoss("member " + IdText(id) + " is recorded as present and as removed");
  }
  QUORATE_RETURN_IF_ERROR(LoadDowngrade());
  store_ = std::move(store);
  members_ = std::move(by_id);
  removed_ = std::move(gone);
  const bool changed = version != version_;
  version_ = version;
  for (const auto& [id, member] : members_) {
    LOG_INFO("recovered/added member from store", log::HexId("cluster-id", cluster_id_),
             log::HexId("local-member-id", local_id_), log::HexId("recovered-remote-peer-id", id),
             {"recovered-remote-peer-urls", member.peer_urls});
  }
  if (version_ && changed) {
    LOG_INFO("set cluster version from store", {"cluster-version", MinorText(*version_)});
    if (on_version_) on_version_(*version_);
  }
  return absl::OkStatus();
}

// The row alone has it: the v2 store knows no downgrades.
Status Membership::LoadDowngrade() {
  downgrade_ = {};
  if (rows_ == nullptr) return absl::OkStatus();
  QUORATE_ASSIGN_OR_RETURN(const auto row, rows_->Get(Bucket::kCluster, kDowngradeKey));
  if (!row) return absl::OkStatus();
  auto info = ParseDowngradeInfo(*row);
  if (!info.ok()) return DataLoss("bucket cluster: bad downgrade " + *row);
  downgrade_ = *info;
  return absl::OkStatus();
}

void Membership::SetDowngrade(const DowngradeInfo& info) {
  if (info.enabled) {
    LOG_INFO("The server is ready to downgrade", {"target-version", VersionText(info.target)});
  } else if (downgrade_.enabled) {
    LOG_INFO("the downgrade has ended", {"target-version", VersionText(downgrade_.target)});
  }
  downgrade_ = info;
  if (rows_ != nullptr) rows_->Put(Bucket::kCluster, kDowngradeKey, DowngradeInfoJson(info));
}

Status Membership::LoadRows(const mvcc::Backend& backend) {
  V2Store store;
  std::vector<Member> members;
  Status bad = absl::OkStatus();
  QUORATE_RETURN_IF_ERROR(
      backend.ForEach(Bucket::kMembers, [&](std::string_view key, std::string_view value) {
        auto member = ParseMember(value);
        if (!member.ok() || IdText(member->id) != key) {
          bad.Update(DataLoss("bucket members: the row of " + std::string(key) + " is damaged"));
        } else {
          members.push_back(*std::move(member));
        }
      }));
  QUORATE_RETURN_IF_ERROR(
      backend.ForEach(Bucket::kMembersRemoved, [&](std::string_view key, std::string_view) {
        const auto id = ParseId(key);
        if (!id.ok()) {
          bad.Update(DataLoss("bucket members_removed: bad key " + std::string(key)));
          return;
        }
        Member member;
        member.id = *id;
        store.CreateMember(member);
        store.DeleteMember(*id);
      }));
  QUORATE_RETURN_IF_ERROR(bad);
  for (const Member& member : members) {
    store.CreateMember(member);
    if (member.started()) store.SetAttributes(member.id, member.attributes);
  }
  QUORATE_ASSIGN_OR_RETURN(const auto row, backend.Get(Bucket::kCluster, kClusterVersionKey));
  if (row) {
    const auto version = ParseVersion(*row);
    if (!version.ok()) return DataLoss("bucket cluster: bad clusterVersion \"" + *row + "\"");
    store.SetClusterVersion(*version);
  }
  return LoadStore(std::move(store));
}

const Member* Membership::Find(uint64_t id) const {
  const auto found = members_.find(id);
  return found == members_.end() ? nullptr : &found->second;
}

std::vector<std::string> Membership::ClientUrls() const {
  std::vector<std::string> urls;
  for (const auto& [id, member] : members_) {
    urls.insert(urls.end(), member.attributes.client_urls.begin(), member.attributes.client_urls.end());
  }
  std::sort(urls.begin(), urls.end());
  return urls;
}

Status Membership::ValidateConfChange(const raft::ConfChange& change, int learners_max) const {
  const uint64_t id = change.node_id;
  if (removed(id)) return ErrMemberNotFound();
  const Member* const known = Find(id);
  const auto url_taken = [&](const Member& proposed) {
    return std::any_of(members_.begin(), members_.end(), [&](const auto& entry) {
      const auto& urls = entry.second.peer_urls;
      return entry.first != id && std::any_of(urls.begin(), urls.end(), [&](const std::string& url) {
               return std::find(proposed.peer_urls.begin(), proposed.peer_urls.end(), url) !=
                      proposed.peer_urls.end();
             });
    });
  };
  if (change.type == ConfChangeType::kRemoveNode) {
    if (known == nullptr) return ErrMemberNotFound();
    // etcd ends at that, and at each start again.
    const bool last_voter = !known->is_learner && ConfState().voters.size() == 1;
    return last_voter ? ErrNotEnoughStarted() : absl::OkStatus();
  }

  const auto context = ParseConfChangeContext(change.context);
  if (!context.ok()) {
    return DataLoss("a membership change for " + IdText(id) +
                    " in the log cannot be decoded: " + std::string(Message(context.status())));
  }
  if (context->member.id != id) {
    return DataLoss("a membership change for " + IdText(id) + " in the log names another member, " +
                    IdText(context->member.id));
  }
  switch (change.type) {
    case ConfChangeType::kAddNode:
    case ConfChangeType::kAddLearnerNode: {
      if (context->is_promote) {
        if (known == nullptr) return ErrMemberNotFound();
        return known->is_learner ? absl::OkStatus() : ErrMemberNotLearner();
      }
      if (known != nullptr) return ErrMemberExists();
      if (url_taken(context->member)) return ErrPeerUrlExists();
      const auto learners =
          std::count_if(members_.begin(), members_.end(), [](const auto& m) { return m.second.is_learner; });
      if (context->member.is_learner && learners + 1 > learners_max) return ErrTooManyLearners();
      return absl::OkStatus();
    }
    case ConfChangeType::kUpdateNode:
      if (known == nullptr) return ErrMemberNotFound();
      return url_taken(context->member) ? ErrPeerUrlExists() : absl::OkStatus();
    case ConfChangeType::kRemoveNode:
      break;
  }
  return DataLoss("a membership change in the log has the unknown type " +
                  std::to_string(static_cast<int>(change.type)));
}

void Membership::WriteMember(const Member& member) {
  if (rows_ != nullptr) rows_->Put(Bucket::kMembers, IdText(member.id), MemberJson(member));
}

AppliedChange Membership::ApplyConfChange(const raft::ConfChange& change) {
  const uint64_t id = change.node_id;
  const auto log_change = [&](std::string_view what, std::string_view id_key, std::string_view urls_key,
                              const Member& member) {
    LOG_INFO(what, log::HexId("cluster-id", cluster_id_), log::HexId("local-member-id", local_id_),
             log::HexId(id_key, id), {urls_key, member.peer_urls});
  };
  if (change.type == ConfChangeType::kRemoveNode) {
    auto node = members_.extract(id);
    QUORATE_CHECK_MSG(!node.empty(), "removing unknown member " + IdText(id));
    store_.DeleteMember(id);
    removed_.insert(id);
    if (rows_ != nullptr) {
      rows_->Delete(Bucket::kMembers, IdText(id));
      rows_->Put(Bucket::kMembersRemoved, IdText(id), kRemovedValue);
    }
    log_change("removed member", "removed-remote-peer-id", "removed-remote-peer-urls", node.mapped());
    return {ChangeKind::kRemoved, std::move(node.mapped())};
  }
  auto context = ParseConfChangeContext(change.context);
  QUORATE_CHECK_MSG(context.ok(), "applying a membership change that was not validated");
  if (change.type == ConfChangeType::kUpdateNode || context->is_promote) {
    const auto found = members_.find(id);
    QUORATE_CHECK_MSG(found != members_.end(), "changing unknown member " + IdText(id));
    Member& member = found->second;
    if (context->is_promote) {
      member.is_learner = false;
    } else {
      member.peer_urls = context->member.peer_urls;
      member.is_learner = context->member.is_learner;
    }
    store_.UpdateRaftAttributes(member);
    WriteMember(member);
    log_change(context->is_promote ? "promote member" : "updated member", "updated-remote-peer-id",
               "updated-remote-peer-urls", member);
    return {context->is_promote ? ChangeKind::kPromoted : ChangeKind::kUpdated, member};
  }
  // The v2 store gets no attributes, but the row does: those that the context names.
  Member member = std::move(context->member);
  member.id = id;
  QUORATE_CHECK_MSG(!members_.contains(id) && !removed(id), "adding known member " + IdText(id));
  store_.CreateMember(member);
  WriteMember(member);
  const Member& added = members_[id] = std::move(member);
  log_change("added member", "added-peer-id", "added-peer-peer-urls", added);
  return {ChangeKind::kAdded, added};
}

Status Membership::ValidateAttributesOf(uint64_t id) const {
  if (members_.contains(id) || removed(id)) return absl::OkStatus();
  return FailedPrecondition("the log sets the attributes of member " + IdText(id) +
                            ", which nobody ever added");
}

Status Membership::UpdateAttributes(uint64_t id, Attributes attributes) {
  QUORATE_RETURN_IF_ERROR(ValidateAttributesOf(id));
  const auto found = members_.find(id);
  if (found == members_.end()) {
    LOG_WARN("skipped attributes update of removed member", log::HexId("cluster-id", cluster_id_),
             log::HexId("local-member-id", local_id_), log::HexId("updated-peer-id", id));
    return absl::OkStatus();
  }
  found->second.attributes = std::move(attributes);
  store_.SetAttributes(id, found->second.attributes);
  WriteMember(found->second);
  return absl::OkStatus();
}

Status Membership::ValidateVersion(Version version) const {
  return ClusterVersion(version) > kNewestClusterVersion ? TooNew(version) : absl::OkStatus();
}

Status Membership::SetVersion(Version version) {
  QUORATE_RETURN_IF_ERROR(ValidateVersion(version));
  if (version_) {
    LOG_INFO("updated cluster version", log::HexId("cluster-id", cluster_id_),
             log::HexId("local-member-id", local_id_), {"from", MinorText(*version_)},
             {"to", MinorText(version)});
  } else {
    LOG_INFO("set initial cluster version", log::HexId("cluster-id", cluster_id_),
             log::HexId("local-member-id", local_id_), {"cluster-version", MinorText(version)});
  }
  version_ = version;
  store_.SetClusterVersion(version);
  if (rows_ != nullptr) rows_->Put(Bucket::kCluster, kClusterVersionKey, VersionText(version));
  if (on_version_) on_version_(version);
  return absl::OkStatus();
}

Status Membership::ValidateV2(const V2Request& request) const {
  uint64_t id = 0;
  QUORATE_ASSIGN_OR_RETURN(const V2Action action, ClassifyV2Request(request, &id));
  switch (action) {
    case V2Action::kIgnore:
      return absl::OkStatus();
    case V2Action::kSetAttributes: {
      const auto attributes = ParseAttributes(request.value);
      if (!attributes.ok()) return DataLoss(request.path + ": " + std::string(Message(attributes.status())));
      return ValidateAttributesOf(id);
    }
    case V2Action::kSetClusterVersion: {
      const auto version = ParseVersion(request.value);
      if (!version.ok()) return DataLoss(request.path + ": " + std::string(Message(version.status())));
      return ValidateVersion(*version);
    }
  }
  return Internal("unknown v2 action");
}

Status Membership::ApplyV2(const V2Request& request) {
  QUORATE_RETURN_IF_ERROR(ValidateV2(request));
  uint64_t id = 0;
  switch (*ClassifyV2Request(request, &id)) {
    case V2Action::kSetAttributes:
      return UpdateAttributes(id, *ParseAttributes(request.value));
    case V2Action::kSetClusterVersion:
      return SetVersion(*ParseVersion(request.value));
    case V2Action::kIgnore:
      break;
  }
  return absl::OkStatus();
}

bool Membership::ReadyToAddVoter() const {
  int members = 1;
  int started = 0;
  for (const auto& [id, member] : members_) {
    if (member.is_learner) continue;
    ++members;
    started += member.started() ? 1 : 0;
  }
  // A member added to a single one is how a cluster is restored from one survivor.
  return (started == 1 && members == 2) || started >= Quorum(members);
}

bool Membership::ReadyToRemoveVoter(uint64_t removed_id) const {
  int members = 0;
  int started = 0;
  for (const auto& [id, member] : members_) {
    if (member.is_learner || id == removed_id) continue;
    ++members;
    started += member.started() ? 1 : 0;
  }
  return started >= Quorum(members);
}

bool Membership::ReadyToPromote() const {
  // The learner counts as a started voter.
  int members = 1;
  int started = 1;
  for (const auto& [id, member] : members_) {
    if (member.is_learner) continue;
    ++members;
    started += member.started() ? 1 : 0;
  }
  return started >= Quorum(members);
}

raft::ConfState Membership::ConfState() const {
  raft::ConfState conf_state;
  for (const auto& [id, member] : members_) {
    (member.is_learner ? conf_state.learners : conf_state.voters).push_back(id);
  }
  return conf_state;
}

void Membership::CheckInvariants() const {
  const auto members = store_.Members();
  const auto removed = store_.RemovedIds();
  QUORATE_CHECK(members.ok() && removed.ok());
  QUORATE_CHECK(members->size() == members_.size());
  for (const Member& member : *members) {
    const Member* const known = Find(member.id);
    QUORATE_CHECK_MSG(
        known != nullptr && known->peer_urls == member.peer_urls && known->is_learner == member.is_learner,
        "member " + IdText(member.id) + " differs between the v2 store and the cache");
    QUORATE_CHECK_MSG(!removed_.contains(member.id), "member " + IdText(member.id) + " was removed");
  }
  QUORATE_CHECK(std::set<uint64_t>(removed->begin(), removed->end()) == removed_);
  QUORATE_CHECK(*store_.ClusterVersion() == version_);
}

}  // namespace quorate::cluster
