// What stands between the member and the others if its log went back in time (lost_log_guard.h).
#include <algorithm>
#include <set>
#include <utility>

#include "raft/confchange_codec.h"
#include "server/errors.h"
#include "server/member.h"

namespace quorate::server {
namespace {

// Whether this member is the only voter of both the committed configuration and the one at the end of the
// log.
StatusOr<bool> IsOnlyVoter(const raft::Snapshot* snapshot, const wal::LogContents& log) {
  std::set<uint64_t> voters;
  if (snapshot != nullptr) {
    const raft::ConfState& at_snapshot = snapshot->metadata.conf_state;
    voters.insert(at_snapshot.voters.begin(), at_snapshot.voters.end());
    voters.insert(at_snapshot.voters_outgoing.begin(), at_snapshot.voters_outgoing.end());
  }
  const std::set<uint64_t> self = {log.metadata.node_id};
  bool committed_alone = voters == self;
  for (const raft::Entry& entry : log.entries) {
    if (entry.type == raft::EntryType::kConfChange) {
      QUORATE_ASSIGN_OR_RETURN(const raft::ConfChange change, raft::DecodeConfChange(entry.data.view()));
      if (change.type == raft::ConfChangeType::kAddNode) voters.insert(change.node_id);
      if (change.type == raft::ConfChangeType::kRemoveNode) voters.erase(change.node_id);
    }
    if (entry.index <= log.hard_state.commit) committed_alone = voters == self;
  }
  return committed_alone && voters == self;
}

}  // namespace

Status Member::OpenGuard(const raft::Snapshot* snapshot, const wal::LogContents& log) {
  StartFacts facts;
  facts.data_dir = config_.data_dir;
  facts.election_ticks = config_.election_ticks;
  facts.tick_nanos = config_.tick_nanos;
  facts.member_id = id_;
  facts.cluster_id = cluster_id_;
  facts.disk.hard_state = log.hard_state;
  facts.disk.last_index = raft_storage_.LastIndex();
  facts.disk.database_index = backend_->consistent_index();
  facts.disk.snapshot_index = snapshot_index_;
  facts.first_start = first_start_;
  if (config_.known_as_started) facts.published_name = config_.name;
  if (config_.remote_cluster) {
    for (const cluster::Member& member : config_.remote_cluster->members) {
      const bool started = !member.attributes.client_urls.empty();
      if (member.id == id_ && started) facts.published_name = member.attributes.name;
    }
  }
  QUORATE_ASSIGN_OR_RETURN(facts.only_voter, IsOnlyVoter(snapshot, log));
  facts.name = config_.name;
  facts.peer_urls = config_.advertise_peer_urls;

  LostLogGuard::Hooks hooks;
  hooks.status = [this] { return raft_->GetBasicStatus(); };
  hooks.term_at = [this](raft::Index index) { return raft_storage_.TermAt(index).value_or(0); };
  hooks.others = [this] {
    std::vector<uint64_t> others;
    for (const auto& [id, member] : membership_->members()) {
      if (id != id_) others.push_back(id);
    }
    return others;
  };
  hooks.deliver = [this](raft::Message message) { (void)StepRaft(std::move(message)); };
  hooks.on_quarantine = [this] { OnQuarantine(); };
  hooks.on_fatal = config_.on_fatal;
  hooks.transport = transport_;
  QUORATE_ASSIGN_OR_RETURN(guard_, LostLogGuard::Open(config_.lost_log, env_, facts, std::move(hooks)));
  raft_->SetMayCampaign(guard_->may_campaign());
  if (guard_->quarantined()) BecomeReady();
  return absl::OkStatus();
}

// Clients come in all the same: they are to be told.
void Member::OnQuarantine() {
  raft_->SetMayCampaign(false);
  if (is_leader()) OnLeaderChange({});
  FailAllWaiting(Refusal());
  BecomeReady();
  if (on_quarantined_) on_quarantined_();
}

void Member::OnQuarantined(std::function<void()> fn) {
  on_quarantined_ = std::move(fn);
  if (guard_->quarantined()) on_quarantined_();
}

Status Member::Refusal() const { return stopping_ ? ErrStopped() : QuarantineRefusal(); }

Status Member::QuarantineRefusal() const {
  return guard_->quarantined() ? ErrQuarantined(guard_->quarantine_reason()) : absl::OkStatus();
}

// The log is written to its end; what was still to be acknowledged of it counts too.
Status Member::CloseGuard() {
  for (const InFlightReady& written : in_flight_) {
    if (written.hard_state) raft_storage_.SetHardState(*written.hard_state);
    raft_storage_.Append(written.entries);
  }
  const raft::HardState state = raft_storage_.InitialHardState();
  return guard_->Close({state.term, state.vote, raft_storage_.LastIndex()});
}

}  // namespace quorate::server
