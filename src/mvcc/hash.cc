// HashKV and Hash, as etcd computes them.
#include <algorithm>
#include <array>
#include <string>
#include <utility>

#include "base/crc32c.h"
#include "base/logging.h"
#include "mvcc/store_jobs.h"

namespace quorate::mvcc {
namespace {

// Rows of bucket meta that differ between equal members (etcd: schema.DefaultIgnores).
constexpr std::array<std::string_view, 3> kHashIgnored = {kConsistentIndexKey, kTermKey, "storageVersion"};

}  // namespace

void Store::HashKv(int64_t revision, std::function<void(StatusOr<HashKvResult>)> done) {
  const auto kept = std::find_if(compaction_hashes_.begin(), compaction_hashes_.end(),
                                 [revision](const CompactionHash& one) { return one.revision == revision; });
  if (kept != compaction_hashes_.end()) {
    const HashKvResult result{kept->hash, kept->compact_revision, current_revision_};
    env_.executor->Submit(
        Lane::kRead, [] {}, [done = std::move(done), result] { done(result); });
    return;
  }
  const bool compacted = options_.keep_tombstone_at_compaction ? revision < compacted_revision_
                                                               : revision <= compacted_revision_;
  Status error;
  if (revision > 0 && compacted) error = CompactedError();
  if (revision > current_revision_) error = FutureRevisionError();
  if (!error.ok()) {
    env_.executor->Submit(
        Lane::kRead, [] {}, [done = std::move(done), error] { done(error); });
    return;
  }
  // A negative revision is before everything: the hash of nothing.
  jobs_->AddHashKv(revision == 0 ? current_revision_ : std::max<int64_t>(revision, -1), std::move(done));
}

std::shared_ptr<Store::Jobs::HashKvJob> Store::Jobs::NewHashKv(int64_t revision) const {
  auto job = std::make_shared<HashKvJob>();
  job->revision = revision;
  job->result.compact_revision = store_->compacted_revision_;
  job->result.current_revision = store_->current_revision_;
  job->skip_tombstone = store_->options_.keep_tombstone_at_compaction;
  job->view = store_->backend_->View();
  return job;
}

void Store::Jobs::AddHashKv(int64_t revision, std::function<void(StatusOr<HashKvResult>)> done) {
  auto job = NewHashKv(revision);
  job->done = std::move(done);
  hashes_.push_back(std::move(job));
}

void Store::Jobs::AddCompactionHash(int64_t revision) {
  if (!compactions_.empty()) {
    LOG_INFO("previous compaction was interrupted, skip storing compaction hash value",
             {"compact-revision", revision});
    return;
  }
  auto job = NewHashKv(revision);
  job->tombstone_counts = store_->options_.keep_tombstone_at_compaction;
  job->done = [weak = weak_from_this(), revision](const StatusOr<HashKvResult>& result) {
    const std::shared_ptr<Jobs> self = weak.lock();
    if (self == nullptr) return;
    if (!result.ok()) {
      LOG_WARN("failed to hash a compaction", {"compact-revision", revision},
               {"error", Message(result.status())});
      return;
    }
    LOG_INFO("storing new hash", {"hash", uint64_t{result->hash}}, {"revision", revision},
             {"compact-revision", result->compact_revision});
    std::vector<CompactionHash>& hashes = self->store_->compaction_hashes_;
    hashes.push_back({revision, result->compact_revision, result->hash});
    if (hashes.size() > kCompactionHashesMax) hashes.erase(hashes.begin());
  };
  hashes_.push_back(std::move(job));
}

void Store::Jobs::ComputeHash(const std::shared_ptr<HashKvJob>& job) {
  auto status = std::make_shared<Status>();
  store_->env_.executor->Submit(
      Lane::kRead,
      [job, status] {
        *status = job->Compute();
        job->view = {};
      },
      [job, status] {
        if (status->ok()) {
          job->done(job->result);
        } else {
          job->done(*status);
        }
      });
}

// CRC-32C of "key" and of each key and value in bucket `key` up to the revision. What lies at or below the
// compacted revision counts only if a compaction at `revision` would keep it, so that members hash alike
// whether or not they have got round to deleting. (When such a compaction would keep nothing at all, etcd
// forgets to look, and so do we.)
Status Store::Jobs::HashKvJob::Compute() {
  std::sort(kept.begin(), kept.end());
  size_t next_kept = 0;
  uint32_t crc = crc32c::Value(BucketName(Bucket::kKey));
  const int64_t compacted = result.compact_revision;
  QUORATE_RETURN_IF_ERROR(
      view.Scan({0, 0}, {revision + 1, 0}, [&](Revision at, bool tombstone, std::string_view value) {
        if (at.main <= compacted && keeps_any) {
          while (next_kept < kept.size() && kept[next_kept] < at) ++next_kept;
          if (next_kept == kept.size() || kept[next_kept] != at) return true;
        }
        if (skip_tombstone && tombstone && at.main == compacted) return true;
        crc = crc32c::Extend(crc, EncodeRevision(at, tombstone).view());
        crc = crc32c::Extend(crc, value);
        return true;
      }));
  result.hash = crc;
  return {};
}

void Store::Hash(std::function<void(StatusOr<HashResult>)> done) {
  const auto begun = [executor = env_.executor, current = current_revision_,
                      done = std::move(done)](StatusOr<std::shared_ptr<Backend::Snapshot>> snapshot) {
    if (!snapshot.ok()) {
      done(snapshot.status());
      return;
    }
    auto hash = std::make_shared<StatusOr<uint32_t>>(0u);
    executor->Submit(
        Lane::kRead,
        [hash, file = *snapshot] {
          *hash = file->Hash({kHashIgnored.begin(), kHashIgnored.end()});
        },
        [hash, current, done] {
          if (hash->ok()) {
            done(HashResult{**hash, current});
          } else {
            done(hash->status());
          }
        });
  };
  backend_->BeginSnapshot(begun);
}

}  // namespace quorate::mvcc
