// When backups are taken, and by whom; the one object that a member with --backup-dir has.
//
// The leader takes one when its directory has none that is younger than the interval. A follower does when
// the newest that it knows of, in its own directory or told by any other member on the peer port, is one and
// a half intervals old: so it takes over from a leader that can't, and from one that is an etcd. Members may
// share a directory or have one each. Two backups at once are harmless.
//
// Nothing here waits, and nothing that goes wrong here touches the member: files are reached through an Env
// of its own, with a file system whose failed syncs mean nothing to the member and an executor whose
// Lane::kBackground a disk of backups may hold up for ever; its Lane::kRead reads the member's own database.
// The copy goes on by one piece a tick. When the disk does not answer for a minute (DiskWatch) the backup has
// failed: the old state is let go, the others are told that none is under way, and nothing more is asked of
// the disk until it answers.
//
// Owner: the core's thread. Invariants:
//   1. At most one backup is under way here.
//   2. The newest good backup in the directory is never removed.
//   3. Nothing of it is in the replicated state.
//   4. What the directory holds is bounded by the retention, whoever takes the backups: see RemoveOld.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "backup/backup_copy.h"
#include "backup/backup_directory.h"
#include "backup/backup_file.h"
#include "backup/disk_watch.h"
#include "backup/others_backups.h"
#include "backup/retention.h"
#include "backup/snapshot_reader.h"
#include "base/env.h"
#include "server/peer_service.h"

namespace quorate::server {
class Member;
}

namespace quorate::backup {

struct KeeperOptions {
  std::string directory;  // Must exist: a disk that is not mounted is not filled behind its mount point.
  int64_t interval_nanos = int64_t{3'600} * 1'000'000'000;
  Retention retention;
};

class LogArchiver;

// For the metrics.
struct KeeperFigures {
  uint64_t successes = 0;
  uint64_t failures = 0;
  bool running = false;
  bool disk_hangs = false;
  // Of this member's last good one; 0: none since the start.
  int64_t last_taken_unix_nanos = 0;
  int64_t last_revision = 0;
  uint64_t last_size_bytes = 0;
  int64_t last_duration_nanos = 0;
};

class BackupKeeper {
 public:
  // Answers on the peer port from now on: before the first request. Nothing is owned; `member` and `peers`
  // outlive it, and so does what is in `env`, whose executor calls on the core's thread. `archiver`: of
  // --backup-log; null without.
  BackupKeeper(server::Member* member, server::PeerService* peers, const Env& env, KeeperOptions options,
               LogArchiver* archiver = nullptr);
  ~BackupKeeper();
  BackupKeeper(const BackupKeeper&) = delete;
  BackupKeeper& operator=(const BackupKeeper&) = delete;

  // With the member's.
  void Tick();

  const KeeperFigures& figures() const { return figures_; }
  // Age of the newest good backup that is known here, whoever took it; nullopt: none is known.
  std::optional<int64_t> AgeNanos() const;
  // Older than two intervals, or none for as long: somebody should look.
  bool too_old() const;

 private:
  struct Taking;

  static void DropState(Taking* taking);
  int64_t LookIntervalNanos() const;
  uint64_t PieceBytes() const;
  bool MayTake() const;
  std::optional<int64_t> OwnAgeNanos() const;
  void Look();
  void OnListed(const StatusOr<std::vector<BackupName>>& backups);
  size_t RankAmongFollowers() const;
  void AskOthers();
  void DecideAsFollower();
  void Take();
  void NoteState(const std::shared_ptr<Taking>& taking);
  void Advance();
  void CopyPiece(const std::shared_ptr<Taking>& taking);
  void Check(const std::shared_ptr<Taking>& taking);
  void ReadBack(const std::shared_ptr<Taking>& taking);
  void OnStep(const std::shared_ptr<Taking>& taking, const Status& status);
  void Publish(const std::shared_ptr<Taking>& taking);
  void Succeed(const std::shared_ptr<Taking>& taking);
  void Fail(const Status& why);
  void RemoveOldOnes();
  void RemoveWhatOthersOutlived();
  void WatchDisk();
  void WatchAge();
  server::PeerAnswer Answer() const;
  // Runs `work` off the core and `done` here, unless the keeper has gone meanwhile.
  template <typename Result>
  void Run(Lane lane, std::function<Result()> work, std::function<void(const Result&)> done);
  // On the disk of backups. What `work` holds may be held for ever.
  template <typename Result>
  void RunOnDisk(std::function<Result()> work, std::function<void(const Result&)> done);

  server::Member& member_;
  const Env env_;
  const KeeperOptions options_;
  LogArchiver* const archiver_;
  OthersBackups others_;
  const int64_t started_nanos_;

  DiskWatch disk_;
  bool listing_ = false;
  bool left_overs_removed_ = false;
  int64_t next_look_nanos_ = 0;
  int64_t next_removal_nanos_ = 0;
  int64_t retry_nanos_ = 0;  // Not before, after a failure.
  uint64_t leader_ = 0;
  int64_t leader_since_nanos_ = 0;

  std::optional<int64_t> newest_unix_nanos_;  // In the directory, when it was last looked at.
  std::optional<int64_t> own_taken_nanos_;    // Monotonic: this member's own last one.
  std::shared_ptr<Taking> taking_;            // Null: none is under way.
  bool was_too_old_ = false;
  KeeperFigures figures_;
  std::shared_ptr<char> alive_ = std::make_shared<char>();
};

}  // namespace quorate::backup
