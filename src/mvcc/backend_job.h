// Work of the backend on Lane::kDb.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "base/env.h"
#include "base/status.h"
#include "bolt/db.h"
#include "mvcc/batch.h"
#include "mvcc/committed_file.h"
#include "mvcc/file_copy.h"

namespace quorate::mvcc {

// Runs once: on the lane, or on the owner's thread if it needs the result before the lane came to it.
class BackendJob {
 public:
  virtual ~BackendJob() = default;

  // On the lane. Does nothing when the owner has taken the job.
  void Run();
  // Owner's thread: returns when the job has run, running it if nobody has begun.
  void RunOrWait();
  // Owner's thread: returns when the job has ended or will never begin.
  void CancelOrWait();

  // Results, once it has run.
  const Status& status() const { return status_; }
  // The file after the job; null after a failure.
  const std::shared_ptr<bolt::Db>& db() const { return db_; }
  const std::shared_ptr<const CommittedFile>& file() const { return file_; }

 protected:
  explicit BackendJob(std::shared_ptr<bolt::Db> db) : db_(std::move(db)) {}
  virtual Status Execute() = 0;

  std::shared_ptr<bolt::Db> db_;

 private:
  enum State : int { kQueued, kRunning, kFinished };
  std::atomic<int> state_{kQueued};
  Status status_;
  std::shared_ptr<const CommittedFile> file_;
};

// What a commit does for a defragmentation besides applying its batch.
struct DefragStep {
  uint64_t run = 0;  // Of the defragmenter.
  // Orders: pages to move, or a copy to go on with; then the file is cut.
  std::shared_ptr<const std::vector<bolt::TailPage>> tail;
  size_t begin = 0;  // Of `tail`.
  size_t end = 0;
  std::shared_ptr<FileCopy> copy;
  uint64_t copy_bytes_max = 0;  // 0: what was copied is kept up to date, no more.

  // Results, once the commit has ended well.
  size_t next = 0;               // The first of `tail` that was not looked at.
  uint64_t moved = 0;            // Pages of the plan.
  bolt::PageId no_room_end = 0;  // The end of the highest page that found no room, 0 for none.
  bolt::CutResult cut;
  Status status;  // Of the defragmentation; the file and its commits are sound in any case.
};

// Applies one frozen batch in one transaction.
class CommitJob final : public BackendJob {
 public:
  // `step` may be null.
  CommitJob(std::shared_ptr<bolt::Db> db, std::shared_ptr<const Batch> batch, bool write_term,
            const Clock* clock, std::shared_ptr<DefragStep> step)
      : BackendJob(std::move(db)),
        batch_(std::move(batch)),
        write_term_(write_term),
        clock_(clock),
        step_(std::move(step)) {}
  // Whether there was anything to write, and how long it took.
  bool wrote() const { return wrote_; }
  int64_t nanos() const { return nanos_; }
  const std::shared_ptr<DefragStep>& step() const { return step_; }

 private:
  Status Execute() override;
  Status Commit(bool moving);
  Status Move(bolt::WriteTx& tx);
  Status AfterCommit();
  Status FollowCopy();
  // Tells when this step has taken long enough.
  std::function<bool()> Deadline() const;

  std::shared_ptr<const Batch> batch_;
  const bool write_term_;
  const Clock* const clock_;
  const std::shared_ptr<DefragStep> step_;
  bool wrote_ = false;
  int64_t nanos_ = 0;
};

}  // namespace quorate::mvcc
