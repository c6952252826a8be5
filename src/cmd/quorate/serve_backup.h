// The backups that a server with --backup-dir takes by itself: the keeper, and the threads and files that are
// its own, so that a disk of backups that fails or hangs touches nothing else.
#pragma once

#include <memory>
#include <string>

#include "backup/backup_keeper.h"
#include "backup/disk_executor.h"
#include "backup/log_archiver.h"
#include "base/env_posix.h"
#include "cmd/quorate/options.h"
#include "net/loop.h"
#include "server/cluster_life.h"
#include "server/member.h"

namespace quorate::cmd {

// Core thread only. Goes before the member and after what asks it (services).
class ServeBackups {
 public:
  // Null without --backup-dir. InvalidArgument for settings that can't be meant. `loop` outlives it.
  static StatusOr<std::unique_ptr<ServeBackups>> Make(const Options& options, net::Loop* loop);
  // Takes a moment at most, though the disk of backups may not answer.
  ~ServeBackups();

  void Start(server::Member* member, server::ClusterLife* life);
  // With the member's; after Start.
  void Tick();
  // Each entry after it was applied: server::Config::on_applied.
  void OnApplied(const raft::Entry& entry) { archiver_->OnApplied(entry); }
  bool archives_log() const { return archive_log_; }

  std::string MetricsText() const;
  std::string CheckLine() const;

 private:
  ServeBackups(backup::KeeperOptions options, bool archive_log, net::Loop* loop);

  const backup::KeeperOptions options_;
  const bool archive_log_;
  const std::shared_ptr<PosixFileSystem> files_ = std::make_shared<PosixFileSystem>();
  SystemClock clock_;
  SystemRandom random_;
  std::unique_ptr<backup::LogArchiver> archiver_;  // Null without --backup-log.
  std::unique_ptr<backup::BackupKeeper> keeper_;
  backup::DiskExecutor executor_;
};

}  // namespace quorate::cmd
