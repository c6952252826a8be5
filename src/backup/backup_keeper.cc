#include "backup/backup_keeper.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "backup/log_archiver.h"
#include "base/logging.h"
#include "mvcc/snapshot_check.h"
#include "server/member.h"

namespace quorate::backup {
namespace {

constexpr int64_t kSecondNanos = 1'000'000'000;
// Slow enough that a disk shared with the log hardly feels it, fast enough for the largest databases.
constexpr uint64_t kBytesPerSecond = uint64_t{64} << 20;
constexpr uint64_t kPieceBytesMin = uint64_t{1} << 20;
constexpr uint64_t kPieceBytesMax = uint64_t{64} << 20;
constexpr int64_t kAskNanos = 5 * kSecondNanos;
// A database that is replaced by a leader's drops what was asked of it, and a hash of a large one takes long.
constexpr int64_t kSnapshotWaitNanos = 60 * kSecondNanos;
constexpr int64_t kHashWaitNanos = 60 * kSecondNanos;
constexpr int64_t kRetryNanosMax = 300 * kSecondNanos;
// A backup that seems to be of the future was taken by a clock that went wrong; a little of it is the clocks
// of members that share a directory.
constexpr int64_t kClockSkewNanos = 60 * kSecondNanos;
constexpr size_t kAnswerBytesMax = 4096;

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

}  // namespace

struct BackupKeeper::Taking {
  BackupNote note;
  int64_t started_nanos = 0;
  std::shared_ptr<BackupCopy> copy;  // Null until the state to copy is there.
  bool hash_asked = false;
  bool hash_known = false;  // Or known not to come.
  bool step_running = false;
  std::optional<int64_t> verified_nanos;
};

struct BackupKeeper::Asking {
  size_t open = 0;
  bool running = false;  // Another is at it.
  std::optional<int64_t> age_nanos;
};

BackupKeeper::BackupKeeper(server::Member* member, server::PeerService* peers, const Env& env,
                           KeeperOptions options, LogArchiver* archiver)
    : member_(*member),
      env_(env),
      options_(std::move(options)),
      archiver_(archiver),
      started_nanos_(member->now()) {
  peers->Add(std::string(kPeerPath), [this, alive = std::weak_ptr(alive_)](
                                         const server::PeerCall&, const server::PeerService::Reply& reply) {
    reply(alive.expired() ? server::ErrorAnswer(404, "404 page not found") : Answer());
  });
}

BackupKeeper::~BackupKeeper() = default;

template <typename Result>
void BackupKeeper::Run(std::function<Result()> work, std::function<void(const Result&)> done) {
  auto result = std::make_shared<std::optional<Result>>();
  env_.executor->Submit(
      Lane::kBackground, [result, work = std::move(work)] { *result = work(); },
      [result, done = std::move(done), alive = std::weak_ptr(alive_)] {
        if (!alive.expired()) done(**result);
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

std::optional<int64_t> BackupKeeper::AgeNanos() const {
  std::optional<int64_t> others;
  if (others_taken_nanos_) others = member_.now() - *others_taken_nanos_;
  return Younger(OwnAgeNanos(), others);
}

bool BackupKeeper::too_old() const {
  const int64_t age = AgeNanos().value_or(member_.now() - started_nanos_);
  return age > 2 * options_.interval_nanos;
}

server::PeerAnswer BackupKeeper::Answer() const {
  const nlohmann::json json = {{"ageNanos", OwnAgeNanos().value_or(-1)}, {"running", taking_ != nullptr}};
  return {200, json.dump() + "\n", "application/json"};
}

void BackupKeeper::Tick() {
  const int64_t now = member_.now();
  if (member_.leader() != leader_) {
    leader_ = member_.leader();
    leader_since_nanos_ = now;
    next_look_nanos_ = std::min(next_look_nanos_, now);
  }
  WatchAge();
  if (taking_ != nullptr) return Advance();
  if (looking_ || now < next_look_nanos_ || !MayTake()) return;
  next_look_nanos_ = now + LookIntervalNanos();
  RemoveOldLog();
  Look();
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
  looking_ = true;
  using Listed = StatusOr<std::vector<BackupName>>;
  // Others may lag behind the member that took one.
  const uint64_t committed = member_.is_leader() ? member_.committed_index() : UINT64_MAX;
  Run<Listed>(
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
  looking_ = false;
  left_overs_removed_ |= backups.ok();
  newest_unix_nanos_.reset();
  const int64_t wall = env_.clock->WallNanos();
  if (backups.ok()) {
    for (const BackupName& backup : *backups) {
      if (backup.taken_unix_nanos <= wall + kClockSkewNanos) newest_unix_nanos_ = backup.taken_unix_nanos;
    }
  }
  if (!MayTake() || member_.now() < retry_nanos_) return;
  if (!member_.is_leader()) return AskOthers();
  if (OwnAgeNanos().value_or(options_.interval_nanos) >= options_.interval_nanos) Take();
}

void BackupKeeper::AskOthers() {
  const auto asking = std::make_shared<Asking>();
  std::vector<uint64_t> others;
  for (const auto& [id, other] : member_.membership().members()) {
    if (id != member_.id()) others.push_back(id);
  }
  asking->open = others.size();
  if (others.empty() || member_.transport() == nullptr) return DecideAsFollower(*asking);
  looking_ = true;
  for (const uint64_t id : others) {
    server::PeerCall call;
    call.path = kPeerPath;
    member_.transport()->Call(
        id, std::move(call), kAskNanos,
        [this, asking, alive = std::weak_ptr(alive_)](const StatusOr<server::PeerAnswer>& answer) {
          if (alive.expired()) return;
          if (answer.ok() && answer->status == 200 && answer->body.size() <= kAnswerBytesMax) {
            const auto json = nlohmann::json::parse(answer->body, nullptr, false);
            const auto field = [&](const char* name) {
              return json.is_object() && json.contains(name) ? json[name] : nlohmann::json();
            };
            const nlohmann::json age = field("ageNanos");
            if (age.is_number_integer() && age.get<int64_t>() >= 0) {
              asking->age_nanos = Younger(asking->age_nanos, age.get<int64_t>());
            }
            const nlohmann::json running = field("running");
            asking->running |= running.is_boolean() && running.get<bool>();
          }
          if (--asking->open > 0) return;
          looking_ = false;
          DecideAsFollower(*asking);
        });
  }
}

size_t BackupKeeper::RankAmongFollowers() const {
  size_t rank = 0;
  for (const auto& [id, other] : member_.membership().members()) {
    if (id < member_.id() && id != leader_) ++rank;
  }
  return rank;
}

void BackupKeeper::DecideAsFollower(const Asking& asking) {
  const int64_t now = member_.now();
  if (asking.age_nanos) {
    others_taken_nanos_ = std::max(others_taken_nanos_.value_or(INT64_MIN), now - *asking.age_nanos);
  }
  if (asking.running || taking_ != nullptr || !MayTake()) return;
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
        taking->copy = std::make_shared<BackupCopy>(env_.files, options_.directory, taking->note.name,
                                                    *std::move(snapshot), mvcc::CheckSnapshot);
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
  if (taking->verified_nanos) {
    const bool waited = member_.now() - *taking->verified_nanos >= kHashWaitNanos;
    if (taking->hash_known || waited) Publish(taking);
    return;
  }
  taking->step_running = true;
  Run<StatusOr<bool>>([copy = taking->copy, bytes = PieceBytes()] { return copy->Step(bytes); },
                      [this, taking](const StatusOr<bool>& ready) { OnStep(taking, ready); });
}

void BackupKeeper::OnStep(const std::shared_ptr<Taking>& taking, const StatusOr<bool>& ready) {
  taking->step_running = false;
  if (!ready.ok()) return Fail(ready.status());
  if (*ready) taking->verified_nanos = member_.now();
}

void BackupKeeper::Publish(const std::shared_ptr<Taking>& taking) {
  taking->step_running = true;
  Run<Status>([copy = taking->copy, note = taking->note] { return copy->Publish(note); },
              [this, taking](const Status& status) {
                if (!status.ok()) return Fail(status);
                Succeed(taking);
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
  if (taking == nullptr || taking->copy == nullptr) return;
  Run<bool>(
      [copy = taking->copy] {
        copy->Abandon();
        return true;
      },
      [](bool) {});
}

void BackupKeeper::RemoveOldOnes() {
  using Removed = StatusOr<std::vector<std::string>>;
  Run<Removed>(
      [files = env_.files, directory = options_.directory, cluster_id = member_.cluster_id(),
       retention = options_.retention] { return RemoveOld(files, directory, cluster_id, retention); },
      [](const Removed& removed) {
        if (!removed.ok()) {
          LOG_WARN("failed to remove old backups", {"error", Message(removed.status())});
          return;
        }
        for (const std::string& path : *removed) LOG_INFO("removed an old backup", {"path", path});
      });
}

// Also where no backup is taken: a follower archives for the day when it leads.
void BackupKeeper::RemoveOldLog() {
  if (archiver_ == nullptr || member_.now() < next_log_removal_nanos_) return;
  next_log_removal_nanos_ = member_.now() + options_.interval_nanos;
  using Removed = StatusOr<std::vector<std::string>>;
  const int64_t without_backup = env_.clock->WallNanos() - 2 * options_.interval_nanos;
  Run<Removed>([files = env_.files, directory = options_.directory, cluster_id = member_.cluster_id(),
                without_backup] { return RemoveOldSegments(files, directory, cluster_id, without_backup); },
               [](const Removed& removed) {
                 if (!removed.ok()) {
                   LOG_WARN("failed to remove old archived logs", {"error", Message(removed.status())});
                   return;
                 }
                 for (const std::string& path : *removed)
                   LOG_INFO("removed an old archived log", {"path", path});
               });
}

}  // namespace quorate::backup
