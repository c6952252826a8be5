// What a keeper tells the world. Core thread only.
#pragma once

#include <string>

#include "backup/backup_keeper.h"
#include "backup/log_archiver.h"

namespace quorate::backup {

// Prometheus text, for the end of /metrics.
std::string MetricsText(const BackupKeeper& keeper);
std::string MetricsText(const LogArchiver& archiver);

// A line for /readyz?verbose: "[+]backup ok", or how old the last good one is. It never counts: a member
// without backups serves all the same.
std::string CheckLine(const BackupKeeper& keeper);

}  // namespace quorate::backup
