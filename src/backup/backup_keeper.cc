#include "backup/backup_keeper.h"

#include <algorithm>
#include <utility>

#include "backup/log_archiver.h"
#include "base/logging.h"
#include "mvcc/snapshot_parts.h"
#include "server/member.h"

namespace quorate::backup {
namespace {

constexpr int64_t kSecondNanos = 1'000'000'000;
// Slow enough that a disk shared with the log hardly feels it, fast enough for the largest databases.
constexpr uint64_t kBytesPerSecond = uint64_t{64} << 20;
constexpr uint64_t kPieceBytesMin = uint64_t{1} << 20;
constexpr uint64_t kPieceBytesMax = uint64_t{64} << 20;
// A database that is replaced by a leader's drops what was asked of it, and a hash of a large one takes long.
constexpr int64_t kSnapshotWaitNanos = 60 * kSecondNanos;
constexpr int64_t kHashWaitNanos = 60 * kSecondNanos;
constexpr int64_t kRetryNanosMax = 300 * kSecondNanos;

std::optional<int64_t> Younger(std::optional<int64_t> a, std::optional<int64_t> b) {
  if (!a) return b;
  return b ? std::min(*a, *b) : a;
}

// Without those, at its end, that hold more than the cluster has ever committed: it was restored to an
// earlier state, and what is archived from now on follows none of them.
void DropOtherHistory(FileSystem* files, const std::string& directory, uint64_t committed_index,
                      std::vector<BackupName>* backups) {
  while (!backups->empty()) {
    const auto note = ReadNote(files, directory, backups->back());
    if (!note.ok() || note->raft_index <= committed_index) return;
    backups->pop_back();
  }
}

using Removed = StatusOr<std::vector<std::string>>;

void Tell(const Removed& removed) {
  if (!removed.ok()) {
    LOG_WARN("failed to remove old backups", {"error", Message(removed.status())});
    return;
  }
  for (const std::string& path : *removed) LOG_INFO("removed an old backup", {"path", path});
}

}  // namespace

struct BackupKeeper::Taking {
  enum class Phase { kCopy, kCheck, kReadBack, kVerified };

  BackupNote note;
  int64_t started_nanos = 0;
  Phase phase = Phase::kCopy;
  std::shared_ptr<SnapshotReader> reader;  // Null until the state to copy is there, and after the check.
  std::shared_ptr<BackupCopy> copy;        // Null until then, too.
  bool hash_known = false;                 // Or known not to come.
  bool step_running = false;
  int64_t verified_nanos = 0;
};

// What reads it now holds it, too, and ends soon.
void BackupKeeper::DropState(Taking* taking) {
  if (taking->reader != nullptr) taking->reader->Stop();
  taking->reader = nullptr;
}

BackupKeeper::BackupKeeper(server::Member* member, server::PeerService* peers, const Env& env,
                           KeeperOptions options, LogArchiver* archiver)
    : member_(*member),
      env_(env),
      options_(std::move(options)),
      archiver_(archiver),
      others_(member, env.clock),
      started_nanos_(member->now()) {
  peers->Add(std::string(kPeerPath), [this, alive = std::weak_ptr(alive_)](
                                         const server::PeerCall&, const server::PeerService::Reply& reply) {
    reply(alive.expired() ? server::ErrorAnswer(404, "404 page not found") : Answer());
  });
}

// A write that hangs holds on to what it was for as long as it hangs: the state, and with it the open
// database and its lock, is not to be among that.
BackupKeeper::~BackupKeeper() {
  if (taking_ != nullptr) DropState(taking_.get());
}

template <typename Result>
void BackupKeeper::Run(Lane lane, std::function<Result()> work, std::function<void(const Result&)> done) {
  auto result = std::make_shared<std::optional<Result>>();
  env_.executor->Submit(
      lane, [result, work = std::move(work)] { *result = work(); },
      [result, done = std::move(done), alive = std::weak_ptr(alive_)] {
        if (!alive.expired()) done(**result);
      });
}

template <typename Result>
void BackupKeeper::RunOnDisk(std::function<Result()> work, std::function<void(const Result&)> done) {
  disk_.Begin(member_.now());
  Run<Result>(Lane::kBackground, std::move(work), [this, done = std::move(done)](const Result& result) {
    disk_.End(member_.now());
    done(result);
  });
}

// Often enough that half an interval is told from a whole one.
int64_t BackupKeeper::LookIntervalNanos() const {
  return std::clamp<int64_t>(options_.interval_nanos / 20, member_.config().tick_nanos, 30 * kSecondNanos);
}

uint64_t BackupKeeper::PieceBytes() const {
  const double seconds = static_cast<double>(member_.config().tick_nanos) / kSecondNanos;
  return std::clamp(static_cast<uint64_t>(kBytesPerSecond * seconds), kPieceBytesMin, kPieceBytesMax);
}

bool BackupKeeper::MayTake() const { return member_.ready() && !member_.lost_log().quarantined(); }

std::optional<int64_t> BackupKeeper::OwnAgeNanos() const {
  std::optional<int64_t> age;
  if (own_taken_nanos_) age = member_.now() - *own_taken_nanos_;
  if (!newest_unix_nanos_) return age;
  const int64_t by_clock = env_.clock->WallNanos() - *newest_unix_nanos_;
  if (by_clock < -kClockSkewNanos) return age;
  return Younger(age, std::max<int64_t>(by_clock, 0));
}

std::optional<int64_t> BackupKeeper::AgeNanos() const { return Younger(OwnAgeNanos(), others_.AgeNanos()); }

bool BackupKeeper::too_old() const {
  const int64_t age = AgeNanos().value_or(member_.now() - started_nanos_);
  return age > 2 * options_.interval_nanos;
}

server::PeerAnswer BackupKeeper::Answer() const {
  const BackupAnswer answer{OwnAgeNanos(), newest_unix_nanos_, taking_ != nullptr};
  return {200, EncodeAnswer(answer), "application/json"};
}

void BackupKeeper::Tick() {
  const int64_t now = member_.now();
  if (member_.leader() != leader_) {
    leader_ = member_.leader();
    leader_since_nanos_ = now;
    next_look_nanos_ = std::min(next_look_nanos_, now);
  }
  WatchDisk();
  WatchAge();
  if (taking_ != nullptr) return Advance();
  if (others_.asking() || now < next_look_nanos_ || !MayTake()) return;
  if (listing_ && !figures_.disk_hangs) return;
  next_look_nanos_ = now + LookIntervalNanos();
  if (figures_.disk_hangs) return AskOthers();
  RemoveWhatOthersOutlived();
  Look();
}

void BackupKeeper::WatchDisk() {
  const bool hung = std::exchange(figures_.disk_hangs, disk_.Hangs(member_.now()));
  if (!hung && figures_.disk_hangs) {
    Fail(Unavailable(options_.directory + ": the disk has not answered for a minute"));
  }
  if (hung && !figures_.disk_hangs)
    LOG_INFO("the disk of backups answers again", {"backup-dir", options_.directory});
}

// Said once each time it begins, for those who read logs.
void BackupKeeper::WatchAge() {
  const bool is = too_old();
  if (is && !was_too_old_) {
    LOG_WARN("the last good backup is too old", {"backup-dir", options_.directory},
             log::Duration("age", AgeNanos().value_or(member_.now() - started_nanos_)),
             log::Duration("backup-interval", options_.interval_nanos));
  }
  was_too_old_ = is;
}

void BackupKeeper::Look() {
  listing_ = true;
  using Listed = StatusOr<std::vector<BackupName>>;
  // Others may lag behind the member that took one.
  const uint64_t committed = member_.is_leader() ? member_.committed_index() : UINT64_MAX;
  RunOnDisk<Listed>(
      [files = env_.files, directory = options_.directory, member_id = member_.id(),
       cluster_id = member_.cluster_id(), clean = !left_overs_removed_, wall = env_.clock->WallNanos(),
       committed]() -> Listed {
        if (clean) {
          QUORATE_ASSIGN_OR_RETURN(const auto removed, RemoveLeftovers(files, directory, member_id, wall));
          for (const std::string& path : removed) {
            LOG_INFO("removed what an earlier backup left", {"path", path});
          }
        }
        QUORATE_ASSIGN_OR_RETURN(auto backups, ListBackups(files, directory, cluster_id));
        DropOtherHistory(files, directory, committed, &backups);
        return backups;
      },
      [this](const Listed& backups) { OnListed(backups); });
}

// A directory that can't be read counts as empty: that it can't shows when a backup is due.
void BackupKeeper::OnListed(const StatusOr<std::vector<BackupName>>& backups) {
  listing_ = false;
  left_overs_removed_ |= backups.ok();
  newest_unix_nanos_.reset();
  const int64_t wall = env_.clock->WallNanos();
  if (backups.ok()) {
    for (const BackupName& backup : *backups) {
      if (backup.taken_unix_nanos <= wall + kClockSkewNanos) newest_unix_nanos_ = backup.taken_unix_nanos;
    }
  }
  if (!MayTake()) return;
  const bool due = OwnAgeNanos().value_or(options_.interval_nanos) >= options_.interval_nanos;
  if (member_.is_leader() && due && member_.now() >= retry_nanos_ && taking_ == nullptr) Take();
  if (!others_.asking()) AskOthers();
}

// The leader asks, too: it may be the one that can't, and what the others have taken is a good backup.
void BackupKeeper::AskOthers() {
  others_.Ask([this] {
    if (!member_.is_leader() && !others_.AreAtIt(options_.interval_nanos)) DecideAsFollower();
  });
}

size_t BackupKeeper::RankAmongFollowers() const {
  size_t rank = 0;
  for (const auto& [id, other] : member_.membership().members()) {
    if (id < member_.id() && id != leader_) ++rank;
  }
  return rank;
}

void BackupKeeper::DecideAsFollower() {
  const int64_t now = member_.now();
  if (figures_.disk_hangs || now < retry_nanos_ || taking_ != nullptr || !MayTake()) return;
  // One after the other, so that the next sees the one before at it.
  const int64_t turn = options_.interval_nanos / 10 * static_cast<int64_t>(RankAmongFollowers());
  const int64_t late = options_.interval_nanos + options_.interval_nanos / 2 + turn;
  // A leader that has just come sees for itself what is due.
  if (now - std::max(started_nanos_, leader_since_nanos_) < options_.interval_nanos / 2) return;
  if (AgeNanos().value_or(now - started_nanos_) < late) return;
  LOG_WARN("the leader's last backup is late: this member takes one", log::HexId("leader", leader_),
           log::Duration("backup-interval", options_.interval_nanos));
  Take();
}

void BackupKeeper::Take() {
  if (member_.alarms().Has(member_.id(), server::AlarmType::kCorrupt)) {
    return Fail(FailedPrecondition("this member has the alarm CORRUPT: a backup of it would be worthless"));
  }
  const auto taking = std::make_shared<Taking>();
  taking->started_nanos = member_.now();
  taking_ = taking;
  figures_.running = true;
  const auto alive = std::weak_ptr(alive_);
  member_.backend().BeginSnapshot(
      [this, taking, alive] {
        if (!alive.expired() && taking_ == taking) NoteState(taking);
      },
      [this, taking, alive](StatusOr<std::shared_ptr<mvcc::Backend::Snapshot>> snapshot) {
        if (alive.expired() || taking_ != taking) return;
        if (!snapshot.ok()) return Fail(snapshot.status());
        taking->reader = std::make_shared<SnapshotReader>(*std::move(snapshot), mvcc::CheckSnapshot);
        taking->copy = std::make_shared<BackupCopy>(env_.files, options_.directory, taking->note.name,
                                                    taking->reader->size_bytes());
        LOG_INFO("taking a backup", {"path", taking->copy->path()}, {"revision", taking->note.name.revision},
                 {"size-bytes", taking->copy->size_bytes()});
      });
}

// At the moment whose state the copy shows.
void BackupKeeper::NoteState(const std::shared_ptr<Taking>& taking) {
  BackupNote& note = taking->note;
  const int64_t wall = env_.clock->WallNanos();
  note.name = {wall - wall % 1'000'000, member_.store().current_revision(), member_.id(),
               member_.cluster_id()};
  note.raft_index = member_.applied_index();
  note.raft_term = member_.term();
  note.compact_revision = member_.store().compacted_revision();
  if (archiver_ != nullptr) {
    note.entry_crc = archiver_->CrcAt(note.raft_index);
    archiver_->Rotate();
  }
  member_.store().HashKv(
      0, [this, taking, alive = std::weak_ptr(alive_)](const StatusOr<mvcc::HashKvResult>& hash) {
        if (alive.expired()) return;
        if (hash.ok() && hash->current_revision == taking->note.name.revision &&
            hash->compact_revision == taking->note.compact_revision) {
          taking->note.kv_hash = hash->hash;
        }
        taking->hash_known = true;
      });
}

void BackupKeeper::Advance() {
  const std::shared_ptr<Taking> taking = taking_;
  if (taking->step_running) return;
  if (taking->copy == nullptr) {
    if (member_.now() - taking->started_nanos < kSnapshotWaitNanos) return;
    return Fail(Unavailable("the database gave no state to copy: it was replaced meanwhile"));
  }
  switch (taking->phase) {
    case Taking::Phase::kCopy:
      return CopyPiece(taking);
    case Taking::Phase::kCheck:
      return Check(taking);
    case Taking::Phase::kReadBack:
      return ReadBack(taking);
    case Taking::Phase::kVerified:
      const bool waited = member_.now() - taking->verified_nanos >= kHashWaitNanos;
      if (taking->hash_known || waited) Publish(taking);
      return;
  }
}

// Into memory first: a write that hangs would hold on to the old state.
void BackupKeeper::CopyPiece(const std::shared_ptr<Taking>& taking) {
  using Piece = StatusOr<std::string>;
  taking->step_running = true;
  Run<Piece>(
      Lane::kRead, [reader = taking->reader, bytes = PieceBytes()] { return reader->Next(bytes); },
      [this, taking](const Piece& read) {
        if (taking_ != taking) return;
        if (!read.ok()) return Fail(read.status());
        if (taking->reader->at_end()) taking->phase = Taking::Phase::kCheck;
        RunOnDisk<Status>([copy = taking->copy, piece = *read] { return copy->Write(piece); },
                          [this, taking](const Status& status) { OnStep(taking, status); });
      });
}

void BackupKeeper::Check(const std::shared_ptr<Taking>& taking) {
  taking->step_running = true;
  Run<Status>(
      Lane::kRead, [reader = taking->reader] { return reader->Check(); },
      [this, taking](const Status& status) {
        taking->reader = nullptr;
        taking->phase = Taking::Phase::kReadBack;
        OnStep(taking, status);
      });
}

void BackupKeeper::ReadBack(const std::shared_ptr<Taking>& taking) {
  taking->step_running = true;
  RunOnDisk<StatusOr<bool>>([copy = taking->copy, bytes = PieceBytes()] { return copy->ReadBack(bytes); },
                            [this, taking](const StatusOr<bool>& ready) {
                              if (ready.ok() && *ready) {
                                taking->phase = Taking::Phase::kVerified;
                                taking->verified_nanos = member_.now();
                              }
                              OnStep(taking, ready.status());
                            });
}

// What comes from a backup that was given up is too late.
void BackupKeeper::OnStep(const std::shared_ptr<Taking>& taking, const Status& status) {
  taking->step_running = false;
  if (taking_ == taking && !status.ok()) Fail(status);
}

void BackupKeeper::Publish(const std::shared_ptr<Taking>& taking) {
  taking->step_running = true;
  RunOnDisk<Status>([copy = taking->copy, note = taking->note] { return copy->Publish(note); },
                    [this, taking](const Status& status) {
                      OnStep(taking, status);
                      if (taking_ == taking) Succeed(taking);
                    });
}

void BackupKeeper::Succeed(const std::shared_ptr<Taking>& taking) {
  const BackupNote& note = taking->note;
  taking_ = nullptr;
  newest_unix_nanos_ = note.name.taken_unix_nanos;
  own_taken_nanos_ = taking->started_nanos;
  retry_nanos_ = 0;
  figures_.running = false;
  ++figures_.successes;
  figures_.last_taken_unix_nanos = note.name.taken_unix_nanos;
  figures_.last_revision = note.name.revision;
  figures_.last_size_bytes = taking->copy->size_bytes();
  figures_.last_duration_nanos = member_.now() - taking->started_nanos;
  LOG_INFO("took a backup", {"path", taking->copy->path()}, {"revision", note.name.revision},
           {"size-bytes", taking->copy->size_bytes()}, log::Duration("took", figures_.last_duration_nanos));
  RemoveOldOnes();
}

void BackupKeeper::Fail(const Status& why) {
  const std::shared_ptr<Taking> taking = std::exchange(taking_, nullptr);
  const int64_t wait =
      std::clamp<int64_t>(options_.interval_nanos / 10, member_.config().tick_nanos, kRetryNanosMax);
  retry_nanos_ = member_.now() + wait;
  figures_.running = false;
  ++figures_.failures;
  LOG_WARN("failed to take a backup", {"backup-dir", options_.directory}, {"error", Message(why)},
           log::Duration("next-attempt-in", wait));
  // Those that the retention keeps no more, since it was made shorter perhaps, go without a new one.
  if (absl::IsResourceExhausted(why)) RemoveOldOnes();
  if (taking == nullptr || taking->copy == nullptr) return;
  DropState(taking.get());
  RunOnDisk<bool>(
      [copy = taking->copy] {
        copy->Abandon();
        return true;
      },
      [](bool) {});
}

void BackupKeeper::RemoveOldOnes() {
  RunOnDisk<Removed>(
      [files = env_.files, directory = options_.directory, cluster_id = member_.cluster_id(),
       retention = options_.retention] { return RemoveOld(files, directory, cluster_id, retention); },
      Tell);
}

// Invariant 4 where others take the backups into directories of their own: here everything stays as long as
// it would there. Counted from the newest backup: time alone removes nothing.
void BackupKeeper::RemoveWhatOthersOutlived() {
  if (member_.now() < next_removal_nanos_) return;
  next_removal_nanos_ = member_.now() + options_.interval_nanos;
  const auto newest = std::max(newest_unix_nanos_, others_.newest_unix_nanos());
  Outlived outlived;
  outlived.before_unix_nanos =
      newest.value_or(env_.clock->WallNanos()) - SpanNanos(options_.retention, options_.interval_nanos);
  // In a directory that they share nobody has newer ones.
  outlived.others_have_newer =
      newest_unix_nanos_ && *newest - *newest_unix_nanos_ > 2 * options_.interval_nanos;
  RunOnDisk<Removed>(
      [files = env_.files, directory = options_.directory, cluster_id = member_.cluster_id(), outlived,
       log = archiver_ != nullptr]() -> Removed {
        std::vector<std::string> removed;
        if (outlived.others_have_newer) {
          QUORATE_ASSIGN_OR_RETURN(
              removed, RemoveBackupsBefore(files, directory, cluster_id, outlived.before_unix_nanos));
        }
        if (!log) return removed;
        QUORATE_ASSIGN_OR_RETURN(const auto segments,
                                 RemoveOldSegments(files, directory, cluster_id, outlived));
        removed.insert(removed.end(), segments.begin(), segments.end());
        return removed;
      },
      Tell);
}

}  // namespace quorate::backup
