// The inside of Backend, for the files that implement it.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "bolt/db.h"
#include "mvcc/backend.h"
#include "mvcc/backend_job.h"
#include "mvcc/batch.h"
#include "mvcc/committed_file.h"
#include "mvcc/defragmenter.h"

namespace quorate::mvcc {

struct Backend::Impl : std::enable_shared_from_this<Backend::Impl> {
  using Waiter = std::function<void(const Status&)>;

  Impl(const Env& given_env, std::string given_path, BackendOptions given_options)
      : env(given_env), path(std::move(given_path)), options(std::move(given_options)) {}

  Status Open();
  Status RemoveStaleCopies();
  Status CreateBuckets();
  Status LoadConsistentIndex();
  bolt::Options BoltOptions() const;

  // The batch for the next change.
  Batch& Changing();
  // Makes `parts` from file, in_flight and open.
  void Publish();
  void StartNext();
  // Starts the defragmenter's next commit if its time has come.
  void StartIfDue();
  void StartCommit();
  void Submit(const std::shared_ptr<BackendJob>& started, std::function<void()> done);
  void FinishCommit(const std::shared_ptr<CommitJob>& finished);
  void Retire();
  void Fail(const Status& status);
  Stats Figures() const;
  bool HasChanges() const { return open->operations() > 0 || open->has_consistent_index(); }

  const Env env;
  const std::string path;
  BackendOptions options;
  std::shared_ptr<bolt::Db> db;
  std::shared_ptr<const CommittedFile> file;
  std::shared_ptr<const Batch> in_flight;
  std::shared_ptr<Batch> open;
  std::shared_ptr<const ReadView::Parts> parts;

  uint64_t index = 0;
  uint64_t term = 0;
  int64_t batch_begin_nanos = 0;  // Of the first change in `open`.

  std::shared_ptr<BackendJob> job;  // Under way; null when idle.
  bool commit_wanted = false;
  std::vector<Waiter> waiters;                       // For the next commit.
  std::vector<std::function<void()>> before_freeze;  // Run when its batch is complete.
  std::vector<Waiter> in_flight_waiters;             // For the one under way.
  Defragmenter defragmenter{this};

  Status failure;
  bool closed = false;
  uint64_t commits = 0;
  int64_t last_commit_nanos = 0;
  std::function<void(int64_t)> commit_observer;
  std::function<void(int64_t)> defragment_observer;
};

}  // namespace quorate::mvcc
