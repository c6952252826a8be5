#include "mvcc/store.h"

#include <algorithm>
#include <cstdio>
#include <limits>
#include <utility>

#include "base/check.h"
#include "base/logging.h"
#include "mvcc/key_value.h"
#include "mvcc/store_jobs.h"

namespace quorate::mvcc {

Status CompactedError() { return OutOfRange(kCompactedText); }
Status FutureRevisionError() { return OutOfRange(kFutureRevisionText); }
bool IsCompacted(const Status& status) {
  return status.code() == absl::StatusCode::kOutOfRange && Message(status) == kCompactedText;
}

Store::Store(const Env& env, Backend* backend, LeaseBinding* leases, StoreOptions options)
    : env_(env), backend_(backend), leases_(leases), options_(options), jobs_(std::make_shared<Jobs>(this)) {}

Store::~Store() = default;

StatusOr<std::unique_ptr<Store>> Store::Open(const Env& env, Backend* backend, LeaseBinding* leases,
                                             StoreOptions options) {
  std::unique_ptr<Store> store(new Store(env, backend, leases, options));
  QUORATE_RETURN_IF_ERROR(store->Restore());
  return store;
}

// --- opening
// ---------------------------------------------------------------------------------------------------------

Status Store::Restore() {
  int64_t scheduled = -1;
  QUORATE_RETURN_IF_ERROR(LoadCompactRevision(kFinishedCompactKey, &compacted_revision_));
  QUORATE_RETURN_IF_ERROR(LoadCompactRevision(kScheduledCompactKey, &scheduled));
  if (compacted_revision_ >= 0) {
    LOG_INFO("restored last compact revision", {"meta-bucket-name", BucketName(Bucket::kMeta)},
             {"meta-bucket-name-key", kFinishedCompactKey},
             {"restored-compact-revision", compacted_revision_});
  }
  QUORATE_RETURN_IF_ERROR(RestoreIndex());
  // The newest revisions may all have been deleted by the compaction. (3.4.23 forgets the scheduled one here,
  // and then goes back in time after a crash within a compaction at the current revision; later releases do
  // as we do.)
  current_revision_ = std::max({current_revision_, compacted_revision_, scheduled});
  if (scheduled <= compacted_revision_) return {};
  compacted_revision_ = scheduled;
  jobs_->AddCompaction({});
  LOG_INFO("resume scheduled compaction", {"meta-bucket-name", BucketName(Bucket::kMeta)},
           {"meta-bucket-name-key", kScheduledCompactKey}, {"scheduled-compact-revision", scheduled});
  return {};
}

Status Store::LoadCompactRevision(std::string_view key, int64_t* revision) const {
  QUORATE_ASSIGN_OR_RETURN(const std::optional<std::string> bytes, backend_->Get(Bucket::kMeta, key));
  if (!bytes) return {};
  Revision decoded;
  bool tombstone;
  if (!DecodeRevision(*bytes, &decoded, &tombstone)) {
    return DataLoss(
        "meta/" + std::string(key) +
        " in the db file is no revision; restore the member from a snapshot or from another member");
  }
  *revision = decoded.main;
  return {};
}

Status Store::RestoreIndex() {
  constexpr int64_t kMax = std::numeric_limits<int64_t>::max();
  const ReadView view = backend_->View();
  KeyIndex::Builder builder(&index_);
  KeyIndex::Builder::Record record;
  Status damage;
  QUORATE_RETURN_IF_ERROR(
      view.Scan({1, 0}, {kMax, kMax}, [&](Revision revision, bool tombstone, std::string_view value) {
        KeyValue kv;
        if (!Decode(value, &kv) || revision.sub > UINT32_MAX || revision <= record.revision) {
          damage = DataLoss(
              "revision " + std::to_string(revision.main) + "/" + std::to_string(revision.sub) +
              " in bucket 'key' of the db file is damaged; restore the member from a snapshot or from "
              "another member");
          return false;
        }
        record = {kv.key, revision, tombstone, kv.create_revision, kv.version, kv.lease};
        builder.Add(record);
        current_revision_ = revision.main;
        return true;
      }));
  QUORATE_RETURN_IF_ERROR(damage);
  builder.Finish([this](std::string_view key, int64_t lease) {
    if (leases_ == nullptr) return;
    const Status attached = leases_->Attach(lease, key);
    if (!attached.ok()) {
      char id[17];
      std::snprintf(id, sizeof id, "%016llx", static_cast<unsigned long long>(lease));
      LOG_WARN("failed to attach a lease", {"lease-id", id}, {"error", Message(attached)});
    }
  });
  return {};
}

// --- reads
// -----------------------------------------------------------------------------------------------------------

Status Store::ResolveRevision(int64_t asked, int64_t current, int64_t* at) const {
  if (asked > current) return FutureRevisionError();
  *at = asked <= 0 ? current : asked;
  if (*at < compacted_revision_) return CompactedError();
  return {};
}

StatusOr<RangePlan> Store::PlanRange(const RangeOptions& options) {
  ++stats_.ranges;
  return PlanRangeAt(options, current_revision_);
}

StatusOr<RangePlan> Store::PlanRangeAt(const RangeOptions& options, int64_t current) const {
  int64_t at;
  QUORATE_RETURN_IF_ERROR(ResolveRevision(options.revision, current, &at));
  RangePlan plan;
  if (options.count_only) {
    plan.count_ = index_.Count(options.key, options.range_end, at);
    return plan;
  }
  plan.Take(options);
  // Without filters and with keys in order, the limit is known to cut right here.
  size_t limit = plan.InOrder() ? static_cast<size_t>(std::max<int64_t>(options.limit, 0)) : 0;
  // A target without an order sorts too, but as in every etcd only what the limit, and one more, lets
  // through.
  const bool sorts_unasked = !plan.InOrder() && options.sort_order == SortOrder::kNone && !plan.Filters();
  if (sorts_unasked && options.limit > 0) limit = static_cast<size_t>(options.limit) + 1;
  if (!sorts_unasked && plan.PicksByIndex()) {
    plan.PickByIndex(index_, options, at);
    if (!plan.revisions_.empty()) plan.view_ = backend_->View();
    return plan;
  }
  bool cut = false;
  index_.Range(options.key, options.range_end, at, [&](std::string_view, const KeyVersion& version) {
    if (limit == 0 || plan.revisions_.size() < limit) {
      plan.revisions_.push_back(version.modified);
    } else {
      cut = true;
      if (at >= index_.newest()) return false;  // Then the index counts without a walk.
    }
    ++plan.count_;
    return true;
  });
  if (cut) {
    plan.more_ = true;
    if (at >= index_.newest()) plan.count_ = index_.Count(options.key, options.range_end, at);
  }
  if (!plan.revisions_.empty()) plan.view_ = backend_->View();
  return plan;
}

StatusOr<RangeResult> Store::Range(const RangeOptions& options) {
  QUORATE_ASSIGN_OR_RETURN(const RangePlan plan, PlanRange(options));
  return plan.Finish();
}

std::optional<Revision> Store::Find(std::string_view key, int64_t at) const {
  KeyVersion version;
  if (at < compacted_revision_ || !index_.Get(key, at, &version)) return std::nullopt;
  return version.modified;
}

HistoryView Store::History() const { return HistoryView(backend_->View()); }

// --- writes, long work, figures
// --------------------------------------------------------------------------------------

WriteTxn Store::BeginWrite() { return WriteTxn(this); }

void Store::set_observer(std::function<void(const EventBatch&)> observer) { observer_ = std::move(observer); }

bool Store::busy() const { return jobs_->busy(); }

void Store::Step(size_t budget) { jobs_->Step(budget); }

Store::Stats Store::stats() const {
  Stats stats = stats_;
  stats.keys = index_.alive();
  stats.index_bytes = index_.bytes();
  return stats;
}

}  // namespace quorate::mvcc
