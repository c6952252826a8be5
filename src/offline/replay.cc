#include "offline/replay.h"

#include <optional>
#include <utility>

#include "auth/auth_store.h"
#include "cluster/membership.h"
#include "cluster/v2_request.h"
#include "lease/lessor.h"
#include "mvcc/backend.h"
#include "mvcc/store.h"
#include "raft/confchange_codec.h"
#include "raft_internal.pb.h"
#include "server/alarms.h"
#include "server/applier.h"
#include "server/config.h"
#include "server/metrics.h"
#include "server/requests.h"
#include "server/storage_version.h"

namespace quorate::offline {
namespace {

constexpr size_t kStepBudget = 1'000'000;

template <typename Message>
bool Parse(const server::EntryView& view, Message* message) {
  return message->ParseFromArray(view.body.data(), static_cast<int>(view.body.size()));
}

Status At(const raft::Entry& entry, const Status& status) {
  if (status.ok()) return status;
  return DataLoss("entry " + std::to_string(entry.index) +
                  " of the archived log can't be applied: " + std::string(Message(status)));
}

}  // namespace

// As server::Member::OpenParts puts them together.
struct Replay::State {
  State(FileSystem* files, Clock* clock, Random* random)
      : env{files, clock, random, &executor}, membership(0, 0, nullptr) {
    // The quota was enforced by alarms, which are in the log.
    config.quota_backend_bytes = -1;
  }

  Status Open(const std::string& db_path) {
    mvcc::BackendOptions options;
    options.on_fatal = [this](const Status& status) { fatal.Update(status); };
    QUORATE_ASSIGN_OR_RETURN(backend, mvcc::Backend::Open(env, db_path, std::move(options)));
    lease::LessorOptions lease_options;
    lease_options.min_ttl_seconds =
        lease::MinTtlSeconds(config.election_ticks, config.tick_nanos / 1'000'000);
    QUORATE_ASSIGN_OR_RETURN(lessor, lease::Lessor::Open(env, backend.get(), lease_options));
    mvcc::StoreOptions store_options;
    store_options.keep_tombstone_at_compaction = true;
    QUORATE_ASSIGN_OR_RETURN(store, mvcc::Store::Open(env, backend.get(), lessor.get(), store_options));
    QUORATE_ASSIGN_OR_RETURN(auto loaded, server::Alarms::Load(backend.get()));
    alarms.emplace(std::move(loaded));
    QUORATE_ASSIGN_OR_RETURN(auth, auth::AuthStore::Open(backend.get(), env.random, config.auth));
    QUORATE_RETURN_IF_ERROR(membership.LoadRows(*backend));
    membership.set_rows(backend.get());
    MakeApplier();
    return FollowVersion(nullptr);
  }

  void MakeApplier() {
    server::Applier::Parts parts;
    parts.config = &config;
    parts.backend = backend.get();
    parts.store = store.get();
    parts.lessor = lessor.get();
    parts.auth = auth.get();
    parts.alarms = &*alarms;
    parts.metrics = &metrics;
    parts.header = [] { return server::ResponseHeader{}; };
    parts.now = [this] { return env.clock->MonotonicNanos(); };
    parts.raise_no_space = [] {};
    applier.emplace(std::move(parts));
  }

  Status Apply(const raft::Entry& entry) {
    switch (entry.type) {
      case raft::EntryType::kNormal:
        return entry.data.empty() ? absl::OkStatus() : ApplyNormal(entry);
      case raft::EntryType::kConfChange:
        return ApplyConfChange(entry);
      case raft::EntryType::kConfChangeV2:
        break;
    }
    return DataLoss("it is a joint configuration change, which no etcd writes");
  }

  Status ApplyNormal(const raft::Entry& entry) {
    if (cluster::IsV2Request(entry.data.view())) {
      QUORATE_ASSIGN_OR_RETURN(const auto request, cluster::DecodeV2Request(entry.data.view()));
      QUORATE_RETURN_IF_ERROR(membership.ApplyV2(request));
      return FollowVersion(nullptr);
    }
    server::EntryView view;
    if (!server::DecodeEntry(entry.data.view(), &view)) return DataLoss("it can't be decoded");
    switch (view.kind) {
      case server::EntryKind::kClusterVersionSet:
      case server::EntryKind::kClusterMemberAttrSet:
      case server::EntryKind::kDowngradeInfoSet:
        QUORATE_RETURN_IF_ERROR(ApplyClusterEntry(view));
        return FollowVersion(nullptr);
      default:
        applier->Apply(view, entry.index, {});
        return absl::OkStatus();
    }
  }

  Status ApplyClusterEntry(const server::EntryView& view) {
    if (view.kind == server::EntryKind::kClusterVersionSet) {
      etcdserverpb::ClusterVersionSetRequest request;
      if (!Parse(view, &request)) return DataLoss("malformed cluster version entry");
      QUORATE_ASSIGN_OR_RETURN(const auto version, cluster::ParseVersion(request.ver()));
      return membership.SetVersion(version);
    }
    if (view.kind == server::EntryKind::kClusterMemberAttrSet) {
      etcdserverpb::ClusterMemberAttrSetRequest request;
      if (!Parse(view, &request)) return DataLoss("malformed member attributes entry");
      const auto& urls = request.member_attributes().client_urls();
      return membership.UpdateAttributes(request.member_id(),
                                         {request.member_attributes().name(), {urls.begin(), urls.end()}});
    }
    etcdserverpb::DowngradeInfoSetRequest request;
    if (!Parse(view, &request)) return DataLoss("malformed downgrade entry");
    cluster::DowngradeInfo info;
    if (request.enabled()) {
      QUORATE_ASSIGN_OR_RETURN(info.target, cluster::ParseVersion(request.ver()));
      info.enabled = true;
    }
    membership.SetDowngrade(info);
    return absl::OkStatus();
  }

  Status ApplyConfChange(const raft::Entry& entry) {
    QUORATE_ASSIGN_OR_RETURN(const raft::ConfChange change, raft::DecodeConfChange(entry.data.view()));
    const Status valid = membership.ValidateConfChange(change, config.learners_max);
    if (absl::IsDataLoss(valid)) return valid;
    // A change that was refused then is refused again.
    if (valid.ok()) membership.ApplyConfChange(change);
    const raft::ConfState conf_state = membership.ConfState();
    return FollowVersion(&conf_state);
  }

  // As server::Member does after each of these.
  Status FollowVersion(const raft::ConfState* conf_state) {
    const auto version = membership.version();
    lessor->set_checkpoint_persist(version.value_or(cluster::kVersion34) >= cluster::kVersion36);
    auth->set_plain_passwords(version.value_or(cluster::kInitialClusterVersion) < cluster::kVersion35);
    return server::FollowClusterVersion(version, conf_state, backend.get());
  }

  // What an entry began in the background ends before the next one.
  void Settle() {
    do {
      if (store->busy()) store->Step(kStepBudget);
      executor.RunUntilIdle();
    } while (store->busy() && fatal.ok());
  }

  InlineExecutor executor;
  const Env env;
  server::Config config;
  server::Metrics metrics;
  Status fatal;
  uint64_t index = 0;
  std::unique_ptr<mvcc::Backend> backend;
  std::unique_ptr<lease::Lessor> lessor;
  std::unique_ptr<mvcc::Store> store;
  std::optional<server::Alarms> alarms;
  std::unique_ptr<auth::AuthStore> auth;
  cluster::Membership membership;
  std::optional<server::Applier> applier;
};

StatusOr<std::unique_ptr<Replay>> Replay::Open(FileSystem* files, Clock* clock, Random* random,
                                               const std::string& db_path) {
  auto state = std::make_unique<State>(files, clock, random);
  QUORATE_RETURN_IF_ERROR(state->Open(db_path));
  state->Settle();
  state->index = state->backend->consistent_index();
  return std::unique_ptr<Replay>(new Replay(std::move(state)));
}

Replay::Replay(std::unique_ptr<State> state) : state_(std::move(state)) {}
Replay::~Replay() = default;

uint64_t Replay::index() const { return state_->index; }
int64_t Replay::revision() const { return state_->store->current_revision(); }

Status Replay::Apply(const raft::Entry& entry) {
  if (entry.index != state_->index + 1) {
    return Internal("entry " + std::to_string(entry.index) + " after " + std::to_string(state_->index));
  }
  QUORATE_RETURN_IF_ERROR(At(entry, state_->Apply(entry)));
  state_->index = entry.index;
  state_->backend->SetConsistentIndex(entry.index, entry.term);
  state_->backend->MaybeCommit(state_->env.clock->MonotonicNanos());
  state_->Settle();
  return state_->fatal;
}

StatusOr<uint32_t> Replay::HashKv() {
  StatusOr<mvcc::HashKvResult> result = Unavailable("the store gave no hash");
  state_->store->HashKv(0, [&result](StatusOr<mvcc::HashKvResult> hash) { result = std::move(hash); });
  state_->Settle();
  QUORATE_RETURN_IF_ERROR(state_->fatal);
  if (!result.ok()) return result.status();
  return result->hash;
}

Status Replay::Close() {
  QUORATE_RETURN_IF_ERROR(state_->fatal);
  state_->applier.reset();
  return state_->backend->Close();
}

}  // namespace quorate::offline
