// Work of the backend on Lane::kDb.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>

#include "base/env.h"
#include "base/status.h"
#include "bolt/db.h"
#include "mvcc/batch.h"
#include "mvcc/committed_file.h"

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

// Applies one frozen batch in one transaction.
class CommitJob final : public BackendJob {
 public:
  CommitJob(std::shared_ptr<bolt::Db> db, std::shared_ptr<const Batch> batch, bool write_term,
            const Clock* clock)
      : BackendJob(std::move(db)), batch_(std::move(batch)), write_term_(write_term), clock_(clock) {}
  // Whether there was anything to write, and how long it took.
  bool wrote() const { return wrote_; }
  int64_t nanos() const { return nanos_; }

 private:
  Status Execute() override;
  Status Apply(bolt::WriteTx& tx) const;

  std::shared_ptr<const Batch> batch_;
  const bool write_term_;
  const Clock* const clock_;
  bool wrote_ = false;
  int64_t nanos_ = 0;
};

// Copies the file into a new one and puts it in its place. If it fails with replaced() false, the old file is
// as it was.
class DefragmentJob final : public BackendJob {
 public:
  DefragmentJob(std::shared_ptr<bolt::Db> db, FileSystem* files, std::string path, std::string copy_path,
                bolt::Options options)
      : BackendJob(std::move(db)),
        files_(files),
        path_(std::move(path)),
        copy_path_(std::move(copy_path)),
        options_(options) {}
  bool replaced() const { return replaced_; }

 private:
  Status Execute() override;
  Status WriteCopy() const;

  FileSystem* const files_;
  const std::string path_;
  const std::string copy_path_;
  const bolt::Options options_;
  bool replaced_ = false;
};

// The part before the random end of the name of a copy under way: PATH.tmp.
inline std::string CopyPrefix(const std::string& path) { return path + ".tmp."; }

}  // namespace quorate::mvcc
