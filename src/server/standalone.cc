#include "server/standalone.h"

#include <algorithm>

#include "cluster/member.h"
#include "cluster/v2_request.h"
#include "raft/confchange_codec.h"
#include "server/log_members.h"
#include "server/requests.h"

namespace quorate::server {
namespace {

StatusOr<bool> MayStay(const raft::Entry& entry, uint64_t self) {
  switch (entry.type) {
    case raft::EntryType::kNormal: {
      EntryView view;
      return entry.data.empty() || cluster::IsV2Request(entry.data.view()) ||
             DecodeEntry(entry.data.view(), &view);
    }
    case raft::EntryType::kConfChange: {
      QUORATE_ASSIGN_OR_RETURN(const raft::ConfChange change, raft::DecodeConfChange(entry.data.view()));
      return change.type != raft::ConfChangeType::kRemoveNode || change.node_id != self;
    }
    case raft::EntryType::kConfChangeV2:
      return false;
  }
  return false;
}

// The first comes first: the last voter can't be removed.
StatusOr<std::vector<raft::ConfChange>> ChangesToAlone(const raft::Snapshot* snapshot,
                                                       const std::vector<std::string>& peer_urls,
                                                       const wal::LogContents& log) {
  QUORATE_ASSIGN_OR_RETURN(const LogMembers members, MembersAtEnd(snapshot, log));
  const uint64_t self = log.metadata.node_id;
  std::vector<raft::ConfChange> changes;
  if (members.learners.contains(self)) {
    changes.push_back(cluster::PromoteMemberChange(0, self));
  } else if (!members.voters.contains(self)) {
    cluster::Member member;
    member.id = self;
    member.peer_urls = peer_urls;
    changes.push_back(cluster::AddMemberChange(0, member));
  }
  for (const auto* others : {&members.voters, &members.learners}) {
    for (const uint64_t id : *others) {
      if (id != self) changes.push_back(cluster::RemoveMemberChange(0, id));
    }
  }
  return changes;
}

}  // namespace

StatusOr<Standalone> MakeStandalone(const raft::Snapshot* snapshot, raft::Index committed,
                                    const std::vector<std::string>& peer_urls, wal::LogContents* log) {
  Standalone alone;
  alone.first_new = log->entries.size();
  committed = std::max(committed, log->hard_state.commit);
  for (size_t i = 0; i < log->entries.size(); ++i) {
    raft::Entry& entry = log->entries[i];
    if (entry.index <= committed) continue;
    QUORATE_ASSIGN_OR_RETURN(const bool may_stay, MayStay(entry, log->metadata.node_id));
    if (may_stay) continue;
    entry.type = raft::EntryType::kNormal;
    entry.data = {};
    alone.first_new = std::min(alone.first_new, i);
    alone.emptied.push_back(entry.index);
  }
  QUORATE_ASSIGN_OR_RETURN(const auto changes, ChangesToAlone(snapshot, peer_urls, *log));
  raft::Index last = LastIndex(snapshot, *log);
  for (const raft::ConfChange& change : changes) {
    if (change.type == raft::ConfChangeType::kRemoveNode) ++alone.removed_members;
    raft::Entry& entry = log->entries.emplace_back();
    entry.term = log->hard_state.term;
    entry.index = ++last;
    entry.type = raft::EntryType::kConfChange;
    entry.data = raft::EncodeConfChange(change);
  }
  log->hard_state.commit = last;
  return alone;
}

}  // namespace quorate::server
