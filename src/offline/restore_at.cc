#include "offline/restore_at.h"

#include <algorithm>
#include <charconv>
#include <map>
#include <set>
#include <utility>

#include "backup/backup_directory.h"
#include "backup/log_chain.h"
#include "backup/utc_time.h"
#include "base/logging.h"
#include "cluster/member.h"
#include "offline/replay.h"

namespace quorate::offline {
namespace {

using backup::BackupName;
using backup::BackupNote;

std::string Text(const Moment& at) {
  if (at.revision) return "revision " + std::to_string(*at.revision);
  if (at.index) return "raft index " + std::to_string(*at.index);
  return at.unix_nanos ? backup::UtcText(*at.unix_nanos) : "the end of the archive";
}

bool IsAtOrBefore(FileSystem* files, const std::string& directory, const BackupName& backup,
                  const Moment& at) {
  if (at.index) {
    const auto note = backup::ReadNote(files, directory, backup);
    return note.ok() && note->raft_index <= *at.index;
  }
  if (at.revision) return backup.revision <= *at.revision;
  return !at.unix_nanos || backup.taken_unix_nanos <= *at.unix_nanos;
}

StatusOr<BackupName> ChooseBackup(FileSystem* files, const RestoreAtOptions& options) {
  QUORATE_ASSIGN_OR_RETURN(const auto backups,
                           backup::ListBackups(files, options.backup_dir, options.cluster_id));
  std::set<uint64_t> clusters;
  for (const BackupName& one : backups) clusters.insert(one.cluster_id);
  if (clusters.size() > 1 && options.backup_file.empty()) {
    std::string ids;
    for (const uint64_t id : clusters) ids += (ids.empty() ? "" : ", ") + cluster::IdText(id);
    return InvalidArgument(options.backup_dir + " has backups of several clusters (" + ids +
                           "); name one with --cluster-id");
  }
  if (backups.empty()) {
    return NotFound(options.backup_dir + " has no backups" +
                    (options.cluster_id == 0 ? "" : " of cluster " + cluster::IdText(options.cluster_id)) +
                    "; name the directory that --backup-dir of the servers names");
  }
  for (auto one = backups.rbegin(); one != backups.rend(); ++one) {
    const bool named = backup::Stem(*one) + std::string(backup::kBackupSuffix) == options.backup_file;
    if (options.backup_file.empty() ? IsAtOrBefore(files, options.backup_dir, *one, options.at) : named)
      return *one;
  }
  if (!options.backup_file.empty()) {
    return NotFound(options.backup_dir + " has no backup " + options.backup_file);
  }
  return NotFound("no backup in " + options.backup_dir + " is as old as " + Text(options.at) +
                  ": the oldest is of revision " + std::to_string(backups.front().revision) + ", taken at " +
                  backup::UtcText(backups.front().taken_unix_nanos));
}

// Where in the log the state of a time was.
struct Target {
  uint64_t index = UINT64_MAX;  // UINT64_MAX: as far as it goes, or until the revision is there.
  int64_t unix_nanos = 0;
};

// The last row at or before the time, of all that follow the backup.
StatusOr<Target> FindTarget(FileSystem* files, const RestoreAtOptions& options, const BackupNote& base) {
  Target target;
  target.unix_nanos = base.name.taken_unix_nanos;
  if (options.at.index) target.index = *options.at.index;
  if (!options.at.unix_nanos) return target;
  const int64_t until = *options.at.unix_nanos;
  target.index = base.raft_index;
  QUORATE_ASSIGN_OR_RETURN(auto chain, backup::LogChain::Begin(files, options.backup_dir, base, until));
  for (;;) {
    QUORATE_ASSIGN_OR_RETURN(const auto piece, chain.Next());
    if (!piece) break;
    for (const backup::IndexRow& row : piece->rows) {
      if (row.unix_nanos > until || row.index < target.index) continue;
      target = {row.index, std::max(target.unix_nanos, row.unix_nanos)};
    }
  }
  const std::string missing = chain.WhatIsMissing();
  if (missing.empty()) return target;
  return OutOfRange("the archive in " + options.backup_dir + " has a gap before " + Text(options.at) + ": " +
                    missing + ". It reaches raft index " + std::to_string(chain.index()) +
                    ", the last row is of " + backup::UtcText(target.unix_nanos) +
                    "; restore up to there, or add the files that other members have archived");
}

// Applies the archived log to a copy of the backup.
class Replayer {
 public:
  Replayer(FileSystem* files, Clock* clock, Random* random, const RestoreAtOptions& options,
           const BackupNote& base, const Target& target, const ReportFn& report)
      : files_(*files),
        clock_(*clock),
        random_(*random),
        options_(options),
        base_(base),
        target_(target),
        report_(report),
        unix_nanos_(target.unix_nanos) {}

  // What the state is told from others by.
  StatusOr<std::string> Run(const std::string& db_path) {
    QUORATE_ASSIGN_OR_RETURN(const auto replay, Replay::Open(&files_, &clock_, &random_, db_path));
    if (replay->index() != base_.raft_index || replay->revision() != base_.name.revision) {
      return DataLoss("the backup is of raft index " + std::to_string(replay->index()) + " and revision " +
                      std::to_string(replay->revision()) + ", its note says " +
                      std::to_string(base_.raft_index) + " and " + std::to_string(base_.name.revision) +
                      ": they do not belong together");
    }
    if (options_.compare_hashes) QUORATE_RETURN_IF_ERROR(ReadHashes());
    QUORATE_ASSIGN_OR_RETURN(auto chain, backup::LogChain::Begin(&files_, options_.backup_dir, base_));
    while (!Reached(*replay)) {
      QUORATE_ASSIGN_OR_RETURN(const auto piece, chain.Next());
      if (!piece) break;
      QUORATE_RETURN_IF_ERROR(ApplyPiece(*piece, *replay));
    }
    if (!Reached(*replay)) QUORATE_RETURN_IF_ERROR(NotReached(*replay, chain.WhatIsMissing()));
    revision_ = replay->revision();
    index_ = replay->index();
    QUORATE_ASSIGN_OR_RETURN(kv_hash_, replay->HashKv());
    QUORATE_RETURN_IF_ERROR(replay->Close());
    return "@" + std::to_string(index_) + "-" + std::to_string(revision_) + "-" + std::to_string(kv_hash_) +
           "-" + std::to_string(options_.member.revision_bump);
  }
  uint64_t entries() const { return entries_; }
  uint64_t hashes_compared() const { return hashes_compared_; }
  int64_t revision() const { return revision_; }
  uint64_t index() const { return index_; }
  uint32_t kv_hash() const { return kv_hash_; }
  int64_t unix_nanos() const { return unix_nanos_; }

 private:
  Status ReadHashes() {
    QUORATE_ASSIGN_OR_RETURN(const auto backups,
                             backup::ListBackups(&files_, options_.backup_dir, base_.name.cluster_id));
    for (const BackupName& one : backups) {
      if (one.taken_unix_nanos <= base_.name.taken_unix_nanos) continue;
      const auto note = backup::ReadNote(&files_, options_.backup_dir, one);
      if (note.ok() && note->kv_hash) later_.emplace(note->raft_index, *note);
    }
    return absl::OkStatus();
  }

  // The log has led to the state of a later backup: it must be the same.
  Status CompareHash(Replay& replay) {
    const auto found = later_.find(replay.index());
    if (found == later_.end() || found->second.name.revision != replay.revision()) return absl::OkStatus();
    QUORATE_ASSIGN_OR_RETURN(const uint32_t hash, replay.HashKv());
    if (hash != *found->second.kv_hash) {
      return DataLoss("the archived log leads to hash " + std::to_string(hash) + " at revision " +
                      std::to_string(replay.revision()) + ", where " + backup::Stem(found->second.name) +
                      " noted " + std::to_string(*found->second.kv_hash) +
                      ": the log or a backup is damaged");
    }
    ++hashes_compared_;
    return absl::OkStatus();
  }

  bool Reached(const Replay& replay) const {
    if (options_.at.revision) return replay.revision() >= *options_.at.revision;
    return replay.index() >= target_.index;
  }

  Status ApplyPiece(const backup::ChainPiece& piece, Replay& replay) {
    auto row = piece.rows.begin();
    for (const raft::Entry& entry : piece.entries) {
      for (; row != piece.rows.end() && row->index <= replay.index(); ++row) {
        QUORATE_RETURN_IF_ERROR(CheckRow(*row, piece, replay));
      }
      if (Reached(replay)) return absl::OkStatus();
      QUORATE_RETURN_IF_ERROR(replay.Apply(entry));
      ++entries_;
      QUORATE_RETURN_IF_ERROR(CompareHash(replay));
      if (report_) report_(kReplaying, entry.index - base_.raft_index, Total(piece));
    }
    for (; row != piece.rows.end() && row->index <= replay.index(); ++row) {
      QUORATE_RETURN_IF_ERROR(CheckRow(*row, piece, replay));
    }
    return absl::OkStatus();
  }

  // What the member noted then must be what the log leads to now.
  Status CheckRow(const backup::IndexRow& row, const backup::ChainPiece& piece, const Replay& replay) {
    if (!options_.at.unix_nanos) unix_nanos_ = std::max(unix_nanos_, row.unix_nanos);
    if (row.index != replay.index() || row.revision == replay.revision()) return absl::OkStatus();
    return DataLoss(piece.path + " leads to revision " + std::to_string(replay.revision()) +
                    " at raft index " + std::to_string(row.index) + ", where the member had revision " +
                    std::to_string(row.revision) + ": the log does not belong to the backup");
  }

  uint64_t Total(const backup::ChainPiece& piece) const {
    const uint64_t last = target_.index == UINT64_MAX ? piece.entries.back().index : target_.index;
    return last - base_.raft_index;
  }

  Status NotReached(const Replay& replay, const std::string& missing) const {
    const bool wanted = options_.at.revision || target_.index != UINT64_MAX;
    if (!wanted && missing.empty()) return absl::OkStatus();
    return OutOfRange(
        "the archive in " + options_.backup_dir + " reaches revision " + std::to_string(replay.revision()) +
        " (raft index " + std::to_string(replay.index()) + "), and not " + Text(options_.at) + ": " +
        (missing.empty() ? "nothing later was archived" : missing) + "; restore with --at " +
        std::to_string(replay.revision()) + ", or add the files that other members have archived");
  }

  FileSystem& files_;
  Clock& clock_;
  Random& random_;
  const RestoreAtOptions& options_;
  const BackupNote& base_;
  const Target& target_;
  const ReportFn& report_;
  std::map<uint64_t, BackupNote> later_;  // By raft index.
  uint64_t entries_ = 0;
  uint64_t hashes_compared_ = 0;
  int64_t revision_ = 0;
  uint64_t index_ = 0;
  uint32_t kv_hash_ = 0;
  int64_t unix_nanos_;
};

}  // namespace

StatusOr<Moment> ParseMoment(std::string_view text) {
  Moment at;
  if (!text.empty() && text.find_first_not_of("0123456789") == std::string_view::npos) {
    int64_t revision = 0;
    const auto parsed = std::from_chars(text.data(), text.data() + text.size(), revision);
    if (parsed.ec != std::errc() || revision == 0) {
      return InvalidArgument(std::string(text) + " is no revision: they go from 1 to 2^63-1");
    }
    at.revision = revision;
    return at;
  }
  if (constexpr std::string_view kIndex = "index:"; text.starts_with(kIndex)) {
    const std::string_view digits = text.substr(kIndex.size());
    uint64_t index = 0;
    const auto parsed = std::from_chars(digits.data(), digits.data() + digits.size(), index);
    if (parsed.ec != std::errc() || parsed.ptr != digits.data() + digits.size() || index == 0) {
      return InvalidArgument(std::string(text) +
                             " names no raft index; write index:5012, as another restore said");
    }
    at.index = index;
    return at;
  }
  const auto time = backup::ParseUtc(text);
  if (!time.ok()) {
    return InvalidArgument(std::string(Message(time.status())) + "; or give a revision");
  }
  at.unix_nanos = *time;
  return at;
}

StatusOr<RestoredAt> RestoreAt(FileSystem* files, Clock* clock, Random* random,
                               const RestoreAtOptions& options, const ReportFn& report) {
  QUORATE_ASSIGN_OR_RETURN(const BackupName chosen, ChooseBackup(files, options));
  const auto note = backup::ReadNote(files, options.backup_dir, chosen);
  if (!note.ok()) {
    return MakeStatus(note.status().code(),
                      std::string(Message(note.status())) +
                          ": without it the archived log can't be joined to the backup; restore the backup "
                          "alone with `snapshot restore`");
  }
  QUORATE_ASSIGN_OR_RETURN(const Target target, FindTarget(files, options, *note));
  RestoredAt out;
  out.backup_path = options.backup_dir + "/" + backup::Stem(chosen) + std::string(backup::kBackupSuffix);
  out.backup_revision = chosen.revision;
  LOG_INFO("restoring to a moment", {"at", Text(options.at)}, {"backup", out.backup_path},
           {"backup-revision", chosen.revision});
  Replayer replayer(files, clock, random, options, *note, target, report);
  RestoreOptions member = options.member;
  member.snapshot_path = out.backup_path;
  member.prepare_db = [&replayer](const std::string& db_path) { return replayer.Run(db_path); };
  QUORATE_ASSIGN_OR_RETURN(out.restored, Restore(files, member, report));
  out.revision = replayer.revision();
  out.index = replayer.index();
  out.kv_hash = replayer.kv_hash();
  out.unix_nanos = replayer.unix_nanos();
  out.entries = replayer.entries();
  out.hashes_compared = replayer.hashes_compared();
  return out;
}

}  // namespace quorate::offline
