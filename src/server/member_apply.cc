// Committed entries on their way into the state, and the snapshots that shorten the log behind them.
#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/logging.h"
#include "base/wipe.h"
#include "cluster/v2_request.h"
#include "raft/confchange_codec.h"
#include "raft_internal.pb.h"
#include "server/errors.h"
#include "server/member.h"
#include "server/storage_version.h"

namespace quorate::server {

void Member::ApplyCommitted(std::vector<raft::Entry> entries, const raft::ApplyAck& ack) {
  to_apply_.push_back({std::move(entries), ack, 0});
  if (to_apply_.size() == 1) ApplyWaiting();
}

// In order, until one has to wait.
void Member::ApplyWaiting() {
  while (!to_apply_.empty()) {
    Committed& batch = to_apply_.front();
    for (; batch.next < batch.entries.size(); ++batch.next) {
      if (!ApplyEntry(batch.entries[batch.next])) return;
    }
    const raft::ApplyAck ack = batch.ack;
    to_apply_.pop_front();
    raft_->OnApplied(ack);
    TrimRaftLog();
    MaybeSnapshot();
  }
}

// A password that another member has logged plain, as etcd 3.4 does: hashing it would stop heartbeats and
// clients for as long, which at a high cost is seconds. So the entries wait, and nothing else.
bool Member::HashFirst(const EntryView& view) {
  auto found = applier_->FindPasswordToHash(view);
  if (!found) return false;
  struct Job {
    explicit Job(const Applier::PasswordToHash& found) : user(found.user), password(found.password) {}
    const std::string user;
    const Secret password;
    StatusOr<std::string> hash = std::string();
  };
  const auto job = std::make_shared<Job>(*found);
  Wipe(&found->password);
  env_.executor->Submit(
      Lane::kRead,
      [job, cost = auth_->bcrypt_cost(), salt = auth_->NewSalt()] {
        job->hash = auth::HashPassword(job->password.view(), cost, salt);
      },
      [this, job] {
        if (!job->hash.ok()) return config_.on_fatal(job->hash.status());
        auth_->KeepHash(job->user, job->password.view(), *job->hash);
        ApplyWaiting();
        PersistHeld();
        RunReadyReads();
      });
  return true;
}

bool Member::ApplyEntry(const raft::Entry& entry) {
  QUORATE_CHECK(entry.index == applied_index_ + 1);
  const int64_t started = now();
  committed_index_ = std::max(committed_index_, entry.index);
  switch (entry.type) {
    case raft::EntryType::kNormal:
      if (!entry.data.empty()) {
        if (!ApplyNormal(entry)) return false;
      } else if (is_leader() && entry.term == term_) {
        // The first entry of a leader's term. Only now the leases are all there: before, a renewal of one
        // that is still to be applied would be told that it is gone.
        lessor_->Promote(config_.election_ticks * config_.tick_nanos);
      }
      break;
    case raft::EntryType::kConfChange:
      ApplyConfChange(entry);
      break;
    case raft::EntryType::kConfChangeV2:
      EndAt(entry, DataLoss("it is a joint configuration change, which no etcd writes"));
      break;
  }
  applied_index_ = entry.index;
  applied_term_ = entry.term;
  backend_->SetConsistentIndex(entry.index, entry.term);
  if (now() - started > config_.warning_apply_nanos) {
    ++metrics_.slow_apply;
    LOG_WARN("apply request took too long", log::Duration("took", now() - started), {"index", entry.index});
  }
  if (config_.on_applied) config_.on_applied(entry);
  // The leader's first entry, or any later one, of its term: now the member can speak for itself.
  if (is_leader() && entry.term == term_ && !publish_pending_ && !ready_) Publish();
  return true;
}

Reply Member::TakeReply(uint64_t id) {
  const auto it = pending_.find(id);
  if (it == pending_.end()) return {};
  Reply reply = std::move(it->second.reply);
  pending_.erase(it);
  return reply;
}

// To go on without an entry that the others have applied would be to go on with other data than theirs.
void Member::EndAt(const raft::Entry& entry, const Status& why) {
  config_.on_fatal(MakeStatus(
      why.code(),
      "entry " + std::to_string(entry.index) + " of the log was not applied: " + std::string(Message(why)) +
          " (every start comes to it again: run a release that knows it, or restore from a snapshot)"));
}

bool Member::ApplyNormal(const raft::Entry& entry) {
  if (cluster::IsV2Request(entry.data.view())) {
    ApplyV2(entry);
    return true;
  }
  EntryView view;
  if (!DecodeEntry(entry.data.view(), &view)) {
    EndAt(entry, DataLoss("it can't be decoded"));
    return true;
  }
  // What the database already has is not applied again; nobody waits for it.
  const bool replayed = entry.index <= backend_->consistent_index();
  if (!replayed && HashFirst(view)) return false;
  const Reply reply = TakeReply(view.header.id);
  switch (view.kind) {
    case EntryKind::kClusterVersionSet:
    case EntryKind::kClusterMemberAttrSet:
    case EntryKind::kDowngradeInfoSet: {
      Status status = ApplyClusterEntry(view);
      if (status.ok()) status = FollowVersion(entry.index);
      if (!status.ok()) EndAt(entry, status);
      if (reply) reply(status, {});
      return true;
    }
    default:
      break;
  }
  if (!replayed) {
    applier_->Apply(view, entry.index, reply);
  } else if (reply) {
    // The database that came with a snapshot was further than the snapshot: done, but the answer is not
    // known.
    reply(ErrTimeout(), {});
  }
  return true;
}

Status Member::ApplyClusterEntry(const EntryView& view) {
  const auto parse = [&](google::protobuf::Message& message) {
    return message.ParseFromArray(view.body.data(), static_cast<int>(view.body.size()));
  };
  if (view.kind == EntryKind::kClusterVersionSet) {
    etcdserverpb::ClusterVersionSetRequest request;
    if (!parse(request)) return DataLoss("malformed cluster version entry");
    QUORATE_ASSIGN_OR_RETURN(const auto version, cluster::ParseVersion(request.ver()));
    // An etcd of the lower version must not find entries of the higher one behind the snapshot.
    if (membership_->version() && version < *membership_->version()) MakeSnapshot();
    return membership_->SetVersion(version);
  }
  if (view.kind == EntryKind::kClusterMemberAttrSet) {
    etcdserverpb::ClusterMemberAttrSetRequest request;
    if (!parse(request)) return DataLoss("malformed member attributes entry");
    const auto& urls = request.member_attributes().client_urls();
    return membership_->UpdateAttributes(request.member_id(),
                                         {request.member_attributes().name(), {urls.begin(), urls.end()}});
  }
  etcdserverpb::DowngradeInfoSetRequest request;
  if (!parse(request)) return DataLoss("malformed downgrade entry");
  cluster::DowngradeInfo info;
  if (request.enabled()) {
    QUORATE_ASSIGN_OR_RETURN(info.target, cluster::ParseVersion(request.ver()));
    info.enabled = true;
  }
  membership_->SetDowngrade(info);
  return absl::OkStatus();
}

// What the cluster's version decides: rows of the database, and whether leases keep their checkpoints. 0: at
// open. The version is that of the database, which may be ahead of the entries that are applied again after a
// start.
Status Member::FollowVersion(uint64_t entry_index) {
  const bool replayed = entry_index <= backend_->consistent_index();
  if (entry_index != 0 && replayed) return absl::OkStatus();
  QUORATE_ASSIGN_OR_RETURN(const auto row, backend_->Get(mvcc::Bucket::kCluster, "clusterVersion"));
  std::optional<cluster::Version> version;
  if (row) {
    QUORATE_ASSIGN_OR_RETURN(version, cluster::ParseVersion(*row));
  }
  lessor_->set_checkpoint_persist(config_.lease_checkpoint_persist ||
                                  version.value_or(cluster::kVersion34) >= cluster::kVersion36);
  if (auth_ != nullptr) {
    auth_->set_plain_passwords(version.value_or(cluster::kInitialClusterVersion) < cluster::kVersion35);
  }
  return FollowClusterVersion(version, entry_index == 0 ? nullptr : &conf_state_, backend_.get());
}

void Member::ApplyV2(const raft::Entry& entry) {
  const auto request = cluster::DecodeV2Request(entry.data.view());
  v2_entry_index_ = entry.index;
  Status status = request.ok() ? membership_->ApplyV2(*request) : request.status();
  if (status.ok()) status = FollowVersion(entry.index);
  if (!status.ok()) return EndAt(entry, status);
  if (const Reply reply = TakeReply(request->id)) reply(absl::OkStatus(), {});
}

void Member::ApplyConfChange(const raft::Entry& entry) {
  auto decoded = raft::DecodeConfChange(entry.data.view());
  if (!decoded.ok()) return EndAt(entry, decoded.status());
  raft::ConfChange change = *std::move(decoded);
  const Reply reply = TakeReply(change.id);
  const Status status = membership_->ValidateConfChange(change, config_.learners_max);
  if (status.code() == absl::StatusCode::kDataLoss) return EndAt(entry, status);
  if (!status.ok()) change.node_id = raft::kNone;  // Raft is told to change nothing.
  const auto conf_state = raft_->ApplyConfChange(change);
  if (!conf_state.ok()) return EndAt(entry, conf_state.status());
  conf_state_ = *conf_state;
  if (status.ok()) FollowChange(membership_->ApplyConfChange(change));
  if (const Status followed = FollowVersion(entry.index); !followed.ok()) config_.on_fatal(followed);
  if (reply) reply(status, {});
}

// ---- publishing
// ----------------------------------------------------------------------------------------------------

void Member::ProposeV2(const cluster::V2Request& request, Reply reply) {
  Enqueue(cluster::EncodeV2Request(request), request.id, std::move(reply));
}

// Tells the cluster, through the log, this member's name and client URLs, at every start; and sets the
// version of a new cluster. In the form that members of the cluster's version write themselves.
void Member::Publish() {
  if (publish_pending_ || stopping_) return;
  publish_pending_ = true;
  if (!membership_->version() && is_leader() && membership_->members().size() == 1) {
    LOG_INFO("setting up initial cluster version using v2 API",
             {"cluster-version", cluster::MinorText(config_.initial_cluster_version)});
    ProposeV2(cluster::SetClusterVersionRequest(request_ids_.Next(), config_.initial_cluster_version), {});
  }
  const cluster::Attributes attributes{config_.name, config_.advertise_client_urls};
  const std::string json = cluster::AttributesJson(attributes);
  const Reply published = [this, json](const Status& status, std::string_view) {
    publish_pending_ = false;
    if (!status.ok()) return;  // Tried again with the next tick.
    LOG_INFO("published local member to cluster through raft", log::HexId("local-member-id", id_),
             {"local-member-attributes", json}, log::HexId("cluster-id", cluster_id_));
    BecomeReady();
  };
  if (membership_->version().value_or(cluster::kVersion34) < cluster::kVersion36) {
    return ProposeV2(cluster::PublishAttributesRequest(request_ids_.Next(), id_, json), published);
  }
  etcdserverpb::ClusterMemberAttrSetRequest request;
  request.set_member_id(id_);
  request.mutable_member_attributes()->set_name(attributes.name);
  for (const std::string& url : attributes.client_urls)
    request.mutable_member_attributes()->add_client_urls(url);
  Propose(EntryKind::kClusterMemberAttrSet, request.SerializeAsString(), {}, published);
}

void Member::ProposeCompaction(int64_t revision, std::function<void(bool)> done) {
  etcdserverpb::CompactionRequest request;
  request.set_revision(revision);
  // Without a user, as the original's.
  Propose(EntryKind::kCompaction, request.SerializeAsString(), {},
          [done = std::move(done)](const Status& status, std::string_view) {
            done(status.ok() || mvcc::IsCompacted(status));
          });
}

// ---- snapshots
// -----------------------------------------------------------------------------------------------------

void Member::MaybeSnapshot() {
  if (snapshot_writing_ || restore_ != nullptr) return;
  const bool wanted = std::exchange(snapshot_wanted_, false) && applied_index_ > snapshot_index_;
  if (!wanted && applied_index_ - snapshot_index_ <= config_.snapshot_count) return;
  snapshot_writing_ = true;
  auto snapshot = std::make_shared<raft::Snapshot>();
  snapshot->metadata = {conf_state_, applied_index_, applied_term_};
  snapshot->data = membership_->V2Json();
  LOG_INFO("triggering snapshot", log::HexId("local-member-id", id_),
           {"local-member-applied-index", applied_index_}, {"local-member-snapshot-index", snapshot_index_},
           {"local-member-snapshot-count", config_.snapshot_count});
  // First the database, so that it is never older than the snapshot; then the file; then the log's record of
  // it.
  backend_->Commit([this, snapshot] {
    auto status = std::make_shared<Status>();
    env_.executor->Submit(
        Lane::kBackground, [this, snapshot, status] { *status = snapshots_->Save(*snapshot); },
        [this, snapshot, status, started = now()] {
          metrics_.snapshot_file_fsync.ObserveNanos(now() - started);
          if (!status->ok()) {
            config_.on_fatal(*status);
            return;
          }
          FinishSnapshot(*snapshot);
        });
  });
}

void Member::FinishSnapshot(const raft::Snapshot& snapshot) {
  const raft::SnapshotMetadata& metadata = snapshot.metadata;
  snapshot_writing_ = false;
  // A leader's snapshot has overtaken it.
  if (metadata.index <= snapshot_index_ || restore_ != nullptr) return;
  wal_->SaveSnapshotRecord({metadata.index, metadata.term, metadata.conf_state});
  release_index_ = metadata.index;
  snapshot_index_ = metadata.index;
  // Raft only needs to know that there is one: what is sent is made anew (SendSnapshot).
  if (raft_storage_.LatestSnapshot()->metadata.index < metadata.index) {
    if (const Status status = raft_storage_.CreateSnapshot(metadata.index, &metadata.conf_state, {});
        !status.ok()) {
      LOG_WARN("failed to keep the snapshot in memory", {"error", Message(status)});
    }
  }
  TrimRaftLog();
  ReleaseReceived(metadata.index);
  LOG_INFO("saved snapshot", {"snapshot-index", metadata.index});
}

// The segments before a snapshot, whose record is durable by now, are unlocked, and may then be purged.
void Member::ReleaseLog(uint64_t index) {
  auto status = std::make_shared<Status>();
  env_.executor->Submit(
      Lane::kLog, [this, index, status] { *status = wal_->ReleaseTo(index); },
      [status] {
        if (!status->ok()) LOG_WARN("failed to release WAL segments", {"error", Message(*status)});
      });
}

void Member::Purge() {
  env_.executor->Submit(
      Lane::kBackground,
      [this] {
        const auto log = [](const StatusOr<std::vector<std::string>>& purged) {
          if (!purged.ok()) LOG_WARN("failed to purge files", {"error", Message(purged.status())});
          if (purged.ok()) {
            for (const std::string& path : *purged) LOG_INFO("purged", {"path", path});
          }
        };
        log(wal::PurgeWal(env_.files, dirs_.wal, config_.wal_files_max));
        log(wal::PurgeSnap(env_.files, dirs_.snap, config_.snapshot_files_max));
      },
      [] {});
}

}  // namespace quorate::server
