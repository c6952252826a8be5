#include "offline/verify_backup.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "backup/backup_directory.h"
#include "backup/log_segment.h"
#include "backup/sha256.h"
#include "base/env_sim.h"
#include "offline/data_directory.h"
#include "offline/db_file.h"
#include "offline/restore_at.h"
#include "server/member.h"

namespace quorate::offline {
namespace {

constexpr std::string_view kName = "verify";
constexpr std::string_view kPeerUrl = "http://localhost:2380";
// Rounds until a member that is alone leads and has published itself: a few, when nothing fails.
constexpr int kRoundsMax = 100'000;

std::string NameIn(const std::string& path) {
  const size_t slash = path.rfind('/');
  return slash == std::string::npos ? path : path.substr(slash + 1);
}

RestoreOptions Scratch(const std::string& directory) {
  RestoreOptions options;
  options.name = kName;
  options.data_dir = directory;
  options.peer_urls = {std::string(kPeerUrl)};
  options.initial_cluster = std::string(kName) + "=" + std::string(kPeerUrl);
  options.initial_cluster_token = kName;
  return options;
}

// A member alone in this process, which no client and no other member can reach.
class ScratchMember {
 public:
  ScratchMember(FileSystem* files, Clock* clock, Random* random, const std::string& data_dir)
      : env_{files, clock, random, &executor_} {
    config_.name = kName;
    config_.data_dir = data_dir;
    config_.advertise_peer_urls = {std::string(kPeerUrl)};
    config_.advertise_client_urls = {"http://localhost:2379"};
    config_.initial_cluster = std::string(kName) + "=" + std::string(kPeerUrl);
    config_.on_fatal = [this](const Status& status) { fatal_.Update(status); };
  }
  ~ScratchMember() { executor_.Drop(); }

  Status Start() {
    QUORATE_ASSIGN_OR_RETURN(member_, server::Member::Open(config_, env_));
    return RunUntil([this] { return member_->ready(); });
  }
  StatusOr<uint32_t> HashKv(int64_t revision) {
    std::optional<StatusOr<mvcc::HashKvResult>> result;
    member_->store().HashKv(revision,
                            [&result](StatusOr<mvcc::HashKvResult> hash) { result = std::move(hash); });
    QUORATE_RETURN_IF_ERROR(RunUntil([&result] { return result.has_value(); }));
    if (!result->ok()) return result->status();
    return (*result)->hash;
  }
  Status Close() {
    executor_.RunUntilIdle();
    return member_->Close();
  }

 private:
  template <typename Condition>
  Status RunUntil(const Condition& holds) {
    for (int round = 0; round < kRoundsMax && fatal_.ok(); ++round) {
      executor_.RunUntilIdle();
      member_->EndOfRound();
      if (holds()) return absl::OkStatus();
      if (!member_->WantsRound() && executor_.completed() == 0) member_->Tick();
    }
    return fatal_.ok() ? Unavailable("the scratch member does not come up on the backup") : fatal_;
  }

  InlineExecutor executor_;
  const Env env_;
  server::Config config_;
  Status fatal_;
  std::unique_ptr<server::Member> member_;
};

Status CheckFile(FileSystem* files, const std::string& path, const std::optional<backup::BackupNote>& note,
                 const ReportFn& report) {
  QUORATE_RETURN_IF_ERROR(files->Stat(path).status());
  QUORATE_ASSIGN_OR_RETURN(const Digest digest, ReadDigest(files, path, report));
  if (!digest.ok()) {
    return DataLoss(path + ": " +
                    WhyNoDb(files, path)
                        .value_or(digest.stored.empty()
                                      ? "no digest stands at its end: it was cut off or is no backup"
                                      : "the digest at its end is not that of its pages: it was damaged") +
                    "; use another backup");
  }
  if (note && note->sha256 != backup::Hex(digest.stored)) {
    return DataLoss(path + " is not the file that its note describes; use another backup");
  }
  QUORATE_ASSIGN_OR_RETURN(const auto db, OpenDb(files, path, false));
  QUORATE_ASSIGN_OR_RETURN(const bolt::ReadTx tx, db->BeginRead());
  return CheckDb(tx, path, report);
}

// Starts a member on a copy.
Status Drill(FileSystem* files, Clock* clock, Random* random, const VerifyBackupOptions& options,
             const std::optional<backup::BackupNote>& note, const ReportFn& report, VerifiedBackup* out) {
  RestoreOptions restore = Scratch(options.scratch_dir + "/member");
  restore.snapshot_path = options.path;
  QUORATE_ASSIGN_OR_RETURN(const Restored restored, Restore(files, restore, report));
  out->revision = note ? note->name.revision : std::max<int64_t>(restored.revision, 1);
  ScratchMember member(files, clock, random, restore.data_dir);
  QUORATE_RETURN_IF_ERROR(member.Start());
  QUORATE_ASSIGN_OR_RETURN(out->kv_hash, member.HashKv(out->revision));
  QUORATE_RETURN_IF_ERROR(member.Close());
  if (!note || !note->kv_hash) return absl::OkStatus();
  if (*note->kv_hash != out->kv_hash) {
    return DataLoss(options.path + " has the hash " + std::to_string(out->kv_hash) + " at revision " +
                    std::to_string(out->revision) + ", the server noted " + std::to_string(*note->kv_hash) +
                    "; use another backup");
  }
  out->hash_compared = true;
  return absl::OkStatus();
}

Status ReplayArchive(FileSystem* files, Clock* clock, Random* random, const VerifyBackupOptions& options,
                     const backup::BackupNote& note, const ReportFn& report, VerifiedBackup* out) {
  const std::string directory = ParentOf(options.path);
  QUORATE_ASSIGN_OR_RETURN(const auto segments, backup::ListSegments(files, directory, note.name.cluster_id));
  out->log_revision = out->revision;
  out->has_log = !segments.empty();
  if (segments.empty()) return absl::OkStatus();
  RestoreAtOptions restore;
  restore.backup_dir = directory;
  restore.backup_file = NameIn(options.path);
  restore.compare_hashes = true;
  restore.member = Scratch(options.scratch_dir + "/replayed");
  QUORATE_ASSIGN_OR_RETURN(const RestoredAt restored, RestoreAt(files, clock, random, restore, report));
  out->entries = restored.entries;
  out->hashes_compared = restored.hashes_compared;
  out->log_revision = restored.revision;
  return absl::OkStatus();
}

StatusOr<VerifiedBackup> VerifyIn(FileSystem* files, Clock* clock, Random* random,
                                  const VerifyBackupOptions& options, const ReportFn& report) {
  std::optional<backup::BackupNote> note;
  const auto name = backup::ParseName(NameIn(options.path), backup::kBackupSuffix);
  if (name) {
    auto read = backup::ReadNote(files, ParentOf(options.path), *name);
    if (!read.ok() && !absl::IsNotFound(read.status())) return read.status();
    if (read.ok()) note = *std::move(read);
  }
  QUORATE_RETURN_IF_ERROR(CheckFile(files, options.path, note, report));
  VerifiedBackup out;
  QUORATE_RETURN_IF_ERROR(Drill(files, clock, random, options, note, report, &out));
  if (note) QUORATE_RETURN_IF_ERROR(ReplayArchive(files, clock, random, options, *note, report, &out));
  return out;
}

}  // namespace

StatusOr<VerifiedBackup> VerifyBackup(FileSystem* files, Clock* clock, Random* random,
                                      const VerifyBackupOptions& options, const ReportFn& report) {
  const auto names = files->List(options.scratch_dir);
  if (names.ok() && !names->empty()) {
    return AlreadyExists("the scratch directory " + options.scratch_dir +
                         " is not empty; name one that does not exist yet");
  }
  QUORATE_RETURN_IF_ERROR(files->CreateDirectories(options.scratch_dir, 0700));
  auto verified = VerifyIn(files, clock, random, options, report);
  const Status removed = files->RemoveAll(options.scratch_dir);
  if (verified.ok() && !removed.ok()) return removed;
  return verified;
}

}  // namespace quorate::offline
