// The threads of a member's backups: one for the disk of backups (Lane::kBackground), one for the archived
// log on that disk (Lane::kLog), one that reads the member's own database (Lane::kRead); kDb has none.
//
// A disk may hold a thread up for ever, an NFS server that is gone for example, and the program must end all
// the same. So a thread that does not come back is left behind: what it uses is kept alive by it.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include "base/env.h"

namespace quorate::backup {

// Submit and RunCompletions belong to the owner's thread. Invariants:
//   1. `done` runs only inside RunCompletions(), and for one lane in the order of submission.
//   2. After the destructor began neither `wake` nor a `done` is called.
class DiskExecutor final : public Executor {
 public:
  // `wake` is called on a worker's thread and must be cheap and thread-safe. `kept_alive` is what jobs use
  // and do not hold themselves: it goes when the last thread has ended.
  DiskExecutor(std::function<void()> wake, std::shared_ptr<void> kept_alive);
  // Drops what has not begun. Waits for the job of kRead, and a moment for the others, whose threads it may
  // leave behind.
  ~DiskExecutor() override;
  DiskExecutor(const DiskExecutor&) = delete;
  DiskExecutor& operator=(const DiskExecutor&) = delete;

  void Submit(Lane lane, std::function<void()> work, std::function<void()> done) override;
  // Runs the `done` of every job completed so far; returns their number.
  size_t RunCompletions();

 private:
  struct Shared;

  static void Serve(const std::shared_ptr<Shared>& shared, size_t at);

  const std::shared_ptr<Shared> shared_;
  std::vector<std::thread> threads_;
};

}  // namespace quorate::backup
