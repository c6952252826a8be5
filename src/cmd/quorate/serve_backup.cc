#include "cmd/quorate/serve_backup.h"

#include <chrono>
#include <filesystem>
#include <future>
#include <system_error>
#include <thread>
#include <utility>

#include "backup/report.h"
#include "backup/retention.h"
#include "base/logging.h"

namespace quorate::cmd {
namespace {

// What a disk that works needs to follow some links.
constexpr std::chrono::seconds kResolveGrace(5);

// With symbolic links followed as far as it exists.
std::filesystem::path Resolved(const std::filesystem::path& absolute) {
  std::error_code error;
  const auto resolved = std::filesystem::weakly_canonical(absolute, error);
  return (error ? absolute.lexically_normal() : resolved) / "";
}

std::filesystem::path Absolute(const std::string& path) {
  std::error_code error;
  return std::filesystem::absolute(path, error);
}

// A disk of backups that does not answer keeps no server from starting: then the name alone has to do.
std::string ResolvedBackups(const std::string& path) {
  const std::filesystem::path absolute = Absolute(path);
  const auto resolved = std::make_shared<std::promise<std::filesystem::path>>();
  auto answer = resolved->get_future();
  std::thread([resolved, absolute] { resolved->set_value(Resolved(absolute)); }).detach();
  if (answer.wait_for(kResolveGrace) == std::future_status::ready) return answer.get().string();
  LOG_WARN("the disk of backups does not answer; the server starts without it", {"backup-dir", path});
  return (absolute.lexically_normal() / "").string();
}

}  // namespace

StatusOr<std::unique_ptr<ServeBackups>> ServeBackups::Make(const Options& options, net::Loop* loop) {
  if (options.backup_dir.empty()) return nullptr;
  const std::string backups = ResolvedBackups(options.backup_dir);
  for (const std::string& own : {options.data_dir, options.wal_dir}) {
    if (own.empty() || !backups.starts_with(Resolved(Absolute(own)).string())) continue;
    return InvalidArgument("--backup-dir " + options.backup_dir + " lies in " + own +
                           ", which the server owns and which a backup is to outlive; name a directory "
                           "elsewhere, best on another disk");
  }
  backup::KeeperOptions keeper;
  keeper.directory = options.backup_dir;
  keeper.interval_nanos = options.backup_interval_nanos;
  const auto retention = backup::ParseRetention(options.backup_retention_text);
  if (!retention.ok()) {
    return InvalidArgument("--backup-retention: " + std::string(Message(retention.status())));
  }
  keeper.retention = *retention;
  return std::unique_ptr<ServeBackups>(new ServeBackups(std::move(keeper), options.backup_log, loop));
}

ServeBackups::ServeBackups(backup::KeeperOptions options, bool archive_log, net::Loop* loop)
    : options_(std::move(options)),
      archive_log_(archive_log),
      executor_([this, loop] { loop->Post([this] { executor_.RunCompletions(); }); }, files_) {}

// A check under way ends with its keeper, so that the executor need not wait for it.
ServeBackups::~ServeBackups() { keeper_ = nullptr; }

void ServeBackups::Start(server::Member* member, server::ClusterLife* life) {
  const Env env{files_.get(), &clock_, &random_, &executor_};
  if (archive_log_) archiver_ = std::make_unique<backup::LogArchiver>(member, env, options_.directory);
  keeper_ =
      std::make_unique<backup::BackupKeeper>(member, &life->peer_service(), env, options_, archiver_.get());
}

void ServeBackups::Tick() {
  keeper_->Tick();
  if (archiver_ != nullptr) archiver_->Tick();
}

std::string ServeBackups::MetricsText() const {
  std::string text = backup::MetricsText(*keeper_);
  if (archiver_ != nullptr) text += backup::MetricsText(*archiver_);
  return text;
}

std::string ServeBackups::CheckLine() const { return backup::CheckLine(*keeper_); }

}  // namespace quorate::cmd
