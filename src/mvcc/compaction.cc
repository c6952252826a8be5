#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/logging.h"
#include "mvcc/store_jobs.h"

namespace quorate::mvcc {

Status Store::Compact(int64_t revision, std::function<void()> done) {
  if (revision <= compacted_revision_) {
    if (done) jobs_->AfterCompactions(std::move(done));
    return CompactedError();
  }
  if (revision > current_revision_) return FutureRevisionError();
  if (options_.hash_compactions) jobs_->AddCompactionHash(revision);
  compacted_revision_ = revision;
  backend_->Put(Bucket::kMeta, kScheduledCompactKey, EncodeRevision({revision, 0}, false).view());
  // The wish is durable before the work begins to show.
  backend_->Commit({});
  jobs_->AddCompaction(std::move(done));
  return {};
}

void Store::Jobs::AddCompaction(std::function<void()> done) {
  auto compaction = std::make_shared<Compaction>();
  compaction->revision = store_->compacted_revision_;
  compaction->begin_nanos = store_->env_.clock->MonotonicNanos();
  if (done) compaction->done.push_back(std::move(done));
  compactions_.push_back(std::move(compaction));
}

void Store::Jobs::AfterCompactions(std::function<void()> done) {
  if (!compactions_.empty()) {
    compactions_.back()->done.push_back(std::move(done));
    return;
  }
  store_->env_.executor->Submit(
      Lane::kRead, [] {}, std::move(done));
}

bool Store::Jobs::busy() const {
  return !hashes_.empty() || (!compactions_.empty() && !compactions_.front()->waiting);
}

void Store::Jobs::Step(size_t budget) {
  if (!hashes_.empty()) {
    const std::shared_ptr<HashKvJob> job = hashes_.front();
    store_->index_.KeepStep(&job->pass, job->revision, job->result.compact_revision, job->tombstone_counts,
                            budget, &job->kept, &job->keeps_any);
    if (!job->pass.done) return;
    hashes_.pop_front();
    ComputeHash(job);
    return;
  }
  if (compactions_.empty() || compactions_.front()->waiting) return;
  const std::shared_ptr<Compaction> compaction = compactions_.front();
  switch (compaction->phase) {
    case Phase::kIndex:
      store_->index_.CompactStep(&compaction->pass, compaction->revision,
                                 store_->options_.keep_tombstone_at_compaction, budget, &compaction->dropped);
      if (compaction->pass.done) Sort(compaction);
      return;
    case Phase::kSort:
      return;
    case Phase::kDelete:
      StepDelete(*compaction);
      return;
  }
}

void Store::Jobs::Sort(const std::shared_ptr<Compaction>& compaction) {
  compaction->phase = Phase::kSort;
  compaction->waiting = true;
  store_->env_.executor->Submit(
      Lane::kRead,
      [compaction] {
        std::sort(compaction->dropped.begin(), compaction->dropped.end(),
                  [](const DroppedRecord& a, const DroppedRecord& b) { return a.revision() < b.revision(); });
      },
      [compaction] {
        compaction->phase = Phase::kDelete;
        compaction->waiting = false;
      });
}

void Store::Jobs::StepDelete(Compaction& compaction) {
  Backend& backend = *store_->backend_;
  const size_t end =
      std::min(compaction.dropped.size(), compaction.deleted + store_->options_.compaction_batch);
  for (size_t i = compaction.deleted; i < end; ++i) {
    backend.DeleteRecord(compaction.dropped[i].revision(), compaction.dropped[i].tombstone);
  }
  store_->stats_.compaction_keys_deleted += end - compaction.deleted;
  compaction.deleted = end;
  const bool last = end == compaction.dropped.size();
  if (last) {
    backend.Put(Bucket::kMeta, kFinishedCompactKey, EncodeRevision({compaction.revision, 0}, false).view());
  }
  compaction.waiting = true;
  backend.Commit([weak = weak_from_this(), last] {
    const std::shared_ptr<Jobs> self = weak.lock();
    if (self == nullptr) return;
    if (last) {
      self->Finish();
    } else {
      self->compactions_.front()->waiting = false;
    }
  });
}

void Store::Jobs::Finish() {
  const std::shared_ptr<Compaction> compaction = compactions_.front();
  compactions_.pop_front();
  const int64_t nanos = store_->env_.clock->MonotonicNanos() - compaction->begin_nanos;
  ++store_->stats_.compactions;
  store_->stats_.last_compaction_nanos = nanos;
  LOG_INFO("finished scheduled compaction", {"compact-revision", compaction->revision},
           log::Duration("took", nanos));
  for (const std::function<void()>& done : compaction->done) done();
}

}  // namespace quorate::mvcc
