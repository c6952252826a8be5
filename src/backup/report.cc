#include "backup/report.h"

#include <string_view>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"

namespace quorate::backup {
namespace {

void AddMetric(std::string* out, std::string_view name, std::string_view type, std::string_view help,
               double value) {
  const std::string full = "quorate_backup_" + std::string(name);
  *out += "# HELP " + full + " " + std::string(help) + "\n# TYPE " + full + " " + std::string(type) + "\n" +
          full + " " + std::string(absl::StrCat(value)) + "\n";
}

double Seconds(int64_t nanos) { return static_cast<double>(nanos) / 1e9; }

std::string AgeText(int64_t nanos) {
  return absl::FormatDuration(absl::Trunc(absl::Nanoseconds(nanos), absl::Seconds(1)));
}

}  // namespace

std::string MetricsText(const BackupKeeper& keeper) {
  const KeeperFigures& figures = keeper.figures();
  const auto age = keeper.AgeNanos();
  std::string out;
  AddMetric(&out, "age_seconds", "gauge",
            "Age of the newest good backup that this member knows of, whoever took it; -1 without one.",
            age ? Seconds(*age) : -1);
  AddMetric(&out, "too_old", "gauge", "1 when that is more than two intervals of --backup-interval.",
            keeper.too_old());
  AddMetric(&out, "running", "gauge", "1 while this member takes a backup.", figures.running);
  AddMetric(&out, "disk_hangs", "gauge",
            "1 while the disk of backups has not answered for a minute; other members take the backups then.",
            figures.disk_hangs);
  AddMetric(&out, "successes_total", "counter", "Good backups that this member took since it started.",
            static_cast<double>(figures.successes));
  AddMetric(&out, "failures_total", "counter", "Backups that failed on this member since it started.",
            static_cast<double>(figures.failures));
  AddMetric(&out, "last_taken_timestamp_seconds", "gauge",
            "When this member took its last good backup, in Unix seconds; 0: not since it started.",
            static_cast<double>(figures.last_taken_unix_nanos / 1'000'000'000));
  AddMetric(&out, "last_revision", "gauge", "Revision of this member's last good backup.",
            static_cast<double>(figures.last_revision));
  AddMetric(&out, "last_size_bytes", "gauge", "Size of this member's last good backup.",
            static_cast<double>(figures.last_size_bytes));
  AddMetric(&out, "last_duration_seconds", "gauge", "How long this member's last good backup took.",
            Seconds(figures.last_duration_nanos));
  return out;
}

std::string MetricsText(const LogArchiver& archiver) {
  const ArchiveFigures& figures = archiver.figures();
  std::string out;
  AddMetric(&out, "log_last_index", "gauge", "Raft index of the last entry in the archived log.",
            static_cast<double>(figures.last_index));
  AddMetric(&out, "log_last_revision", "gauge", "Revision that the archived log reaches.",
            static_cast<double>(figures.last_revision));
  AddMetric(&out, "log_pending_bytes", "gauge", "What waits to be archived.",
            static_cast<double>(figures.pending_bytes));
  AddMetric(&out, "log_failures_total", "counter", "Writes to the archived log that failed.",
            static_cast<double>(figures.failures));
  AddMetric(&out, "log_gaps_total", "counter", "Gaps in what this member archived since it started.",
            static_cast<double>(figures.gaps));
  return out;
}

std::string CheckLine(const BackupKeeper& keeper) {
  const auto age = keeper.AgeNanos();
  if (!keeper.too_old()) return "[+]backup ok\n";
  const std::string what =
      age ? "the last good backup is " + AgeText(*age) + " old" : "there is no good backup";
  return "[-]backup too old: " + what + "; see the log for \"failed to take a backup\" (does not count)\n";
}

}  // namespace quorate::backup
